"""The commands `galaxy-morphology releases …`: list, show, fetch and check releases."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from galaxy_tasks.acquisition.fetch import check_release, fetch_release
from galaxy_tasks.acquisition.image_folder import list_images
from galaxy_tasks.acquisition.locate import find_image_source, find_placed, find_read_tables
from galaxy_tasks.acquisition.versions import complete_from_zenodo
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.schema import (
    Criterion,
    GivenScheme,
    ImageMapping,
    PublishedFile,
    Release,
    Scheme,
    VoteScheme,
)
from galaxy_tasks.watch.announced import list_announced
from galaxy_tasks.watch.inbox import inbox_folder

releases_app = typer.Typer(
    help="The Galaxy Zoo releases, and what of them is on disk.",
    no_args_is_help=True,
)
Folder = Annotated[
    Path | None,
    typer.Option(help="The release's own folder, or a folder of release folders."),
]
Target = Annotated[Path, typer.Option(help="Folder with a folder for each release, by its name.")]


@dataclass(frozen=True, kw_only=True)
class FilesOnDisk:
    """What a folder has of a release."""

    folder: Path
    names: tuple[str, ...]
    """Tables and archives."""
    images: int
    """Images in the release's image folder; 0 without a table, as they may be another release's."""
    is_complete: bool
    """Whether the workflow can be run on it."""


@releases_app.command("list")
def list_releases(*, folder: Folder = None) -> None:
    """List the releases: rows, size, licence, and what a folder has of each."""
    lines = [("release", "rows", "size", "licence", "on disk" if folder else "")]
    for release in RELEASES.values():
        counts = [*([release.rows] if release.rows else []), *release.other_rows.values()]
        rows = " + ".join(f"{count:,}" for count in counts) or "-"
        on_disk = _describe_disk(find_files(release, folder)) if folder else ""
        lines.append((release.name, rows, _describe_size(release), _licence(release), on_disk))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    for name, rows, *rest in lines:
        cells = [cell.ljust(width) for cell, width in zip(rest, widths[2:], strict=True)]
        print("  ".join([name.ljust(widths[0]), rows.rjust(widths[1]), *cells]).rstrip())


@releases_app.command("show")
def show_release(name: str, *, folder: Folder = None) -> None:
    """Show a release: citation, files, how an id becomes an image, and its label rules."""
    release = _find_release(name)
    votes = f"{release.votes.weighting}, {release.votes.base}" if release.votes else "none"
    facts = {
        "cite": release.citation or release.reference,
        "reference": release.reference,
        "licence": _licence(release),
        "rows": _describe_rows(release),
        "vote fractions": votes,
        "id column": " or ".join(release.id_columns),
        "position columns": f"{release.ra_column}, {release.dec_column}, where there are any",
        "images": release.image_source,
        "cutout side": (
            f"up to {release.cutout_arcsec:g} arcseconds"
            if release.cutout_arcsec
            else "depends on the galaxy; taken as an arcminute for the split"
        ),
    }
    if folder:
        facts["on disk"] = _describe_disk(find_files(release, folder))
    print(release.name)
    for fact, text in facts.items():
        print(f"  {fact + ':':18}{text}")
    print("  files:" if release.files else "  files:            your own")
    for file in release.files:
        print(f"    {_describe_file(file)}")
    for scheme_name, scheme in release.schemes.items():
        print(f"  scheme {scheme_name}:")
        for line in describe_scheme(release, scheme):
            print(f"    {line}")


@releases_app.command("fetch")
def fetch(
    name: str,
    *,
    folder: Target,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Leave a zip of images packed; it can be read as it is."),
    ] = False,
) -> None:
    """Fetch a release into a folder of its name, verify it and unpack its images.

    Files that are there already are verified. Run it again to continue after an interruption.
    """
    release = _find_release(name)
    place = folder / release.name
    fetch_release(
        complete_from_zenodo(release, place),
        folder=place,
        zip_images="in_place" if in_place else "unpacked",
    )
    found = find_files(release, place)
    print(f"{place}: {_describe_disk(found)}")
    if found.is_complete:
        print(f"Train on it: scripts/run --release {release.name} --source {place}")
    else:
        print(f"Images are still missing. {release.image_source}")


@releases_app.command("check")
def check(name: str, *, folder: Target) -> None:
    """Compare the files in a folder with what is published; exit code 1 if a file is not right.

    A file is compared with its published hash, which may come from Zenodo; without one, its content
    is checked.
    """
    release = _find_release(name)
    found = find_files(release, folder)
    if not release.files:
        print(
            f"{release.name} has no published files to compare with. Training on {found.folder} "
            "needs a table with ids and classes, and images."
        )
        return
    known = complete_from_zenodo(release, found.folder)
    checked = check_release(known, folder=found.folder)
    for file in checked:
        print(f"{file.name}: {file.finding}")
    if not all(file.is_right for file in checked):
        raise typer.Exit(1)


@releases_app.command("announced")
def announced() -> None:
    """List the releases that manifests announced: waiting, taken by a run, or refused and why.

    Manifests are read from the inbox: GALAXY_RELEASES_FOLDER, else 'inbox' in GALAXY_HOME.
    """
    inbox = inbox_folder()
    found = list_announced(inbox)
    if not found:
        print(f"Nothing was announced in {inbox.absolute()}.")
    for release in found:
        if release.refusal:
            print(f"refused  {release.title}: {release.refusal}")
        elif release.run_id:
            print(f"taken    {release.title}, by run {release.run_id}")
        else:
            print(f"waiting  {release.title}")


def _find_release(name: str) -> Release:
    if name not in RELEASES:
        raise InputError(f"No release {name!r}. Choose among: {', '.join(RELEASES)}")
    return RELEASES[name]


def find_files(release: Release, folder: Path) -> FilesOnDisk:
    """Return what a folder, or its subfolder of the release's name, has of a release.

    Raises:
        InputError: the folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(f"The folder {folder} does not exist or is not a folder.")
    own = folder / release.name
    place = own if own.is_dir() else folder
    tables = find_read_tables(release, place)
    placed = (each.path for each in find_placed(release, place))
    names = dict.fromkeys(path.name for path in (*tables, *placed) if path and path.is_file())
    images = _count_images(find_image_source(release, place)) if names else 0
    has_tables = len(tables) == (2 if isinstance(release.mapping, ImageMapping) else 1)
    return FilesOnDisk(
        folder=place, names=tuple(names), images=images, is_complete=has_tables and images > 0
    )


def _count_images(images: Path | None) -> int:
    try:
        return len(list_images(images).images) if images else 0
    except InputError:  # damaged, or two images of one name; `check` says how
        return 0


def describe_scheme(release: Release, scheme: Scheme) -> list[str]:
    """Return a scheme's rules as lines: each class and its criteria with their meaning."""
    if isinstance(scheme, GivenScheme):
        return [f"the class is in column {scheme.column!r}"]
    if not isinstance(scheme, VoteScheme):
        rules = [f"{rule.morphology}: {scheme.column} like {rule.pattern}" for rule in scheme.rules]
        return [*rules, f"no galaxy: {scheme.column} like {scheme.artifact_pattern}"]
    lines = []
    for rule in scheme.rules:
        lines.append(f"{rule.morphology}, if all hold:")
        lines += [f"  {_describe_criterion(release, criterion)}" for criterion in rule.criteria]
    return lines


def _describe_criterion(release: Release, criterion: Criterion) -> str:
    answer = release.find_answer(criterion.column)
    meaning = f"  ({answer.question}: {answer.answer})" if answer else ""
    return f"{criterion.column} >= {criterion.minimum:g}{meaning}"


def _describe_file(file: PublishedFile) -> str:
    size = f"{file.size_mb:,g} MB" if file.size_mb else "size not stated"
    md5 = f", md5 {file.md5}" if file.md5 else ""
    return f"{file.name} ({size}{md5}): {' or '.join(file.addresses) or 'only by hand'}"


def _describe_rows(release: Release) -> str:
    """Return the rows of the table that is read, and of those that a setting can select."""
    others = (
        f"; with --catalogue-file {name} {count:,} instead"
        for name, count in release.other_rows.items()
    )
    return (f"{release.rows:,}" if release.rows else "it depends") + "".join(others)


def _describe_size(release: Release) -> str:
    """Return the size of all files, and which of them are of unknown size."""
    if not release.files:
        return "-"
    known = sum(file.size_mb for file in release.files if file.size_mb)
    unknown = [file for file in release.files if not file.size_mb]
    if not unknown:
        return f"{known:,.0f} MB"
    if release.archives_mb:  # the others are archives, of known size together
        more = f"{len(unknown)} archives, about {release.archives_mb / 1e3:,.0f} GB in all"
    else:
        more = f"{len(unknown)} file{'s'[: len(unknown) - 1]} of unstated size"
    return f"{known:,.0f} MB and {more}" if known else "not stated"


def _describe_disk(found: FilesOnDisk) -> str:
    parts = [*found.names, *([f"{found.images:,} images"] if found.images else [])]
    state = "" if found.is_complete or not parts else " (incomplete)"
    return (", ".join(parts) or "nothing") + state


def _licence(release: Release) -> str:
    return release.licence or ("not stated" if release.files else "-")
