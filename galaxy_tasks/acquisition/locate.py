"""Find a release on disk: which files it is read from, which columns, and what its content is."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from galaxy_tasks.acquisition.checksums import hash_content
from galaxy_tasks.acquisition.image_folder import find_image_folders, has_images, list_images
from galaxy_tasks.acquisition.image_names import is_hidden
from galaxy_tasks.acquisition.table_rows import require_rows
from galaxy_tasks.acquisition.tables import (
    TABLE_SUFFIXES,
    Table,
    advise,
    find_table,
    is_table,
    match_columns,
    read_table_header,
)
from galaxy_tasks.acquisition.zip_reader import is_zip
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.formatting import shorten
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.schema import (
    GivenScheme,
    ImageKey,
    ImageMapping,
    PublishedFile,
    Release,
    Scheme,
    VoteScheme,
)
from galaxy_tasks.storage.cache_keys import ReleaseFiles

INCOMPLETE = ".images.incomplete"
"""Beside an image folder while archives are unpacked into it: it stands for none of them."""


def locate_images(config: RunConfig, release: Release, folder: Path) -> Path:
    """Return the folder with the images, or the zip with them, of a source folder.

    Raises:
        InputError: there is neither, or more than one.
    """
    if found := find_image_source(release, folder, named=config.images_folder):
        return found
    if (folder / INCOMPLETE).exists():
        raise InputError(
            f"The images in {folder} are unpacked only in part. Run `galaxy-morphology releases "
            f"fetch {release.name} --folder {folder}` to continue."
        )
    names = (config.images_folder,) if config.images_folder else release.images_folders
    if names:
        raise InputError(
            f"{folder} lacks the image folder {' or '.join(names)}, and a zip in its place. Set "
            f"'images_folder' if it has another name. Found: {describe_folder(folder)}"
        )
    return _choose_image_source(folder)


def find_image_source(release: Release, folder: Path, *, named: str = "") -> Path | None:
    """Return the release's image folder, or the zip in its place; None if there is neither.

    A folder into which archives are unpacked only in part does not count.

    Args:
        release: names the folder, and the archive that is published.
        folder: where to look.
        named: folder or zip to look for instead.
    """
    names = (named,) if named else release.images_folders
    paths = [Path(os.path.normpath(folder / name)) for name in names]
    zips = [*paths, *(path.with_name(path.name + ".zip") for path in paths)]
    archives = [file.name for file in release.files if file.role == "images"]
    if not named and len(archives) == 1:  # several would have to be unpacked together
        zips.append(folder / archives[0])
    is_partial = not named and (folder / INCOMPLETE).exists()
    folders = [] if is_partial else [path for path in paths if path.is_dir()]
    return next(iter(folders), None) or next((path for path in zips if is_zip(path)), None)


def _choose_image_source(folder: Path) -> Path:
    """Return the folder itself if it holds images, its only folder that does, or its only zip."""
    zips = (path for path in sorted(folder.iterdir()) if is_zip(path) and not is_hidden(path.name))
    found = find_image_folders(folder) or list(zips)
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"{folder} must hold one folder with images, or one zip. Set 'images_folder' to its name, "
        f"or to '.' for all folders. Found with images: {shorten(path.name for path in found)}"
    )


def describe_folder(folder: Path) -> str:
    """Return the names in a folder as one line, for a message."""
    if not folder.is_dir():
        return "no such folder"
    return shorten(sorted(path.name + "/" * path.is_dir() for path in folder.iterdir()))


ID, RA, DEC = "galaxy_id", "ra", "dec"
"""What the plan calls the columns that every release has, whatever the release calls them."""


@dataclass(frozen=True, kw_only=True)
class CataloguePlan:
    """How a catalogue is read: its table, its way to labels, its columns."""

    release: Release
    scheme: Scheme
    table: Table
    columns: dict[str, str]
    """The catalogue's own column for each that cleaning reads: galaxy_id, ra, dec (where there
    are any) and those that the scheme names."""

    @property
    def numbers(self) -> frozenset[str]:
        """Those of the columns that hold numbers."""
        texts = {ID} if isinstance(self.scheme, VoteScheme) else {ID, self.scheme.column}
        return frozenset(self.columns) - texts


def locate_release(
    config: RunConfig, *, source: str | Path | None = None, checksums: Path | None = None
) -> ReleaseFiles:
    """Return where the release of these settings lies, after checking that all of it is there.

    Reads the catalogue's header and hashes the content, images included; needs no Spark.
    Where the image folder is not there, but a zip is in its place, that is the images' place.

    Args:
        config: names the release, and the files where they differ from the release's own.
        source: folder to look in instead of `config.source` (that of a simulated release).
        checksums: folder where checksums of images are kept for the next time; None: nowhere.

    Raises:
        InputError: a file, folder or column is missing or unreadable; says what was looked for
            and what is there.
    """
    folder = Path(source or config.source).expanduser().absolute()
    if not (source or config.source):
        raise InputError("No source folder: draw the simulated release first, or set 'source'.")
    if not folder.is_dir():
        raise InputError(f"The source folder {folder} does not exist or is no folder.")
    release = adapt_release(config)
    catalogue = _locate_catalogue(config, release, folder)
    images = locate_images(config, release, folder)
    mapping = _locate_mapping(release, folder, catalogue=catalogue)
    plan = plan_catalogue(config, catalogue)
    listing = list_images(images)
    listing.log()
    if not listing.find_by_id(release.image_name_pattern):
        raise InputError(
            f"No image is named like '{release.image_name_pattern or '{id}.jpg'}'. "
            f"{listing.describe()}. Images: {shorten(sorted(listing.images))}"
        )
    tables = [catalogue, mapping] if mapping else [catalogue]
    content = hash_content(tables, images=listing, checksums=checksums)
    require_rows(plan.table)
    return ReleaseFiles(
        catalogue=str(catalogue),
        images=str(images),
        mapping=str(mapping or ""),
        content=content,
    )


def adapt_release(config: RunConfig) -> Release:
    """Return the release with the names that the settings put in place of its own.

    Raises:
        InputError: the image name pattern lacks '{id}'.
    """
    release = RELEASES[config.release]
    pattern = config.image_name_pattern or release.image_name_pattern
    if pattern and pattern.count("{id}") != 1:
        raise InputError(
            "'image_name_pattern' must hold '{id}' once, like '{id}.jpg'. "
            f"Received: {pattern!r}"
        )
    schemes = dict(release.schemes)
    if config.class_column and "as_given" in schemes:
        schemes["as_given"] = GivenScheme(column=config.class_column)
    id_columns = (config.id_column,) if config.id_column else release.id_columns
    return replace(release, image_name_pattern=pattern, schemes=schemes, id_columns=id_columns)


def choose_scheme(config: RunConfig, release: Release) -> Scheme:
    """Return the release's way to labels; a table of classes has only one.

    Raises:
        InputError: the release's votes do not allow the scheme that is set.
    """
    if "as_given" in release.schemes:
        return release.schemes["as_given"]
    if config.scheme not in release.schemes:
        raise InputError(
            f"Release {release.name!r} has no scheme {config.scheme!r}. "
            f"Set 'scheme' to one of: {', '.join(release.schemes)}"
        )
    return release.schemes[config.scheme]


def plan_catalogue(config: RunConfig, catalogue: Path) -> CataloguePlan:
    """Return how to read the catalogue with these settings; see `match_catalogue`."""
    release = adapt_release(config)
    return match_catalogue(
        release,
        choose_scheme(config, release),
        catalogue,
        minimum_votes=config.minimum_votes,
        ra_column=config.ra_column,
        dec_column=config.dec_column,
    )


def match_catalogue(
    release: Release,
    scheme: Scheme,
    catalogue: Path,
    *,
    minimum_votes: int = 1,
    ra_column: str = "",
    dec_column: str = "",
) -> CataloguePlan:
    """Return how to read a catalogue for one of a release's schemes.

    Args:
        release: names the columns.
        scheme: says which of them are read.
        catalogue: the table.
        minimum_votes: above 0, the columns that count votes are read as well.
        ra_column: column that must hold right ascension, if not the release's own.
        dec_column: the same for declination.

    Raises:
        InputError: a column is missing, or the id's column cannot hold ids exactly.
    """
    table = read_table_header(catalogue)
    wanted = {ID: release.id_columns}
    given = {RA: ra_column, DEC: dec_column}
    for position, own in ((RA, release.ra_column), (DEC, release.dec_column)):
        known = (own, *release.aliases.get(own, ()))
        wanted[position] = (given[position],) if given[position] else known
    for column in scheme_columns(scheme, minimum_votes=minimum_votes):
        wanted[column] = (column, *release.aliases.get(column, ()))
    try:
        columns = match_columns(table, wanted, optional=[n for n in given if not given[n]])
    except InputError as error:
        raise InputError(f"{error}. {advise(release, table)}") from None
    if columns[ID] in table.floating_columns:
        raise InputError(
            f"Column {columns[ID]!r} of {catalogue} holds floating-point numbers, which cannot "
            "tell ids of 18 digits apart. Store the ids as whole numbers or text."
        )
    return CataloguePlan(release=release, scheme=scheme, table=table, columns=columns)


def scheme_columns(scheme: Scheme, *, minimum_votes: int) -> tuple[str, ...]:
    """Return the columns a scheme reads; vote counts only where a minimum is asked for."""
    if isinstance(scheme, VoteScheme):
        counts = scheme.vote_columns if minimum_votes > 0 else ()
        return (*scheme.fraction_columns, *counts)
    return (scheme.column,)


def _locate_catalogue(config: RunConfig, release: Release, folder: Path) -> Path:
    if config.catalogue_file:
        return _require_file(folder / config.catalogue_file, "the catalogue")
    if release.catalogue_names:
        return _first_table(folder, release.catalogue_names, "the catalogue")
    tables = sorted(p for p in folder.iterdir() if is_table(p) and not p.name.startswith("."))
    fitting = [path for path in tables if _has_columns(config, path)] if tables else []
    if len(fitting) == 1:
        return fitting[0]
    if len(tables) == 1:
        return tables[0]  # its missing columns make a better message than "no table"
    found = "several tables" if fitting else "no table"
    raise InputError(
        f"{folder} holds {found} with the id and class columns. Set 'catalogue_file' "
        f"(and 'id_column', 'class_column'). Found: {shorten(p.name for p in fitting or tables)}"
    )


def _has_columns(config: RunConfig, path: Path) -> bool:
    try:
        plan_catalogue(config, path)
    except InputError:
        return False
    return True


def _locate_mapping(release: Release, folder: Path, *, catalogue: Path) -> Path | None:
    mapping = release.mapping
    if mapping is None:
        return None
    if isinstance(mapping, ImageKey):
        require_image_names(release, catalogue)
        return None
    path = _first_table(folder, mapping.file_names, "the table that maps ids to images")
    require_image_names(release, path)
    return path


def require_image_names(release: Release, path: Path) -> None:
    """Raise InputError unless a table has the columns that lead from an id to an image's name."""
    mapping = release.mapping
    if mapping is None:
        return
    is_key = isinstance(mapping, ImageKey)
    names = mapping.columns if is_key else (mapping.id_column, mapping.image_column)
    match_columns(read_table_header(path), {name: (name,) for name in names})


def _first_table(folder: Path, names: Iterable[str], what: str) -> Path:
    if path := find_table(folder, names):
        return path
    raise InputError(
        f"{folder} lacks {what}. Looked for: {', '.join(names)} (or the same as FITS). "
        f"Found: {describe_folder(folder)}"
    )


def _require_file(path: Path, what: str) -> Path:
    if not path.exists():
        raise InputError(f"{what} {path} does not exist. Found: {describe_folder(path.parent)}")
    return path


# What of a release lies in a folder already, under its own names or as what stands for them.
#
# Whatever `locate_release` would read is there: nobody has to fetch what can be trained on.


@dataclass(frozen=True, kw_only=True)
class PlacedFile:
    """A file of a release, and where it is."""

    file: PublishedFile
    path: Path | None
    """The file; or what stands for it: the same table in another format, another catalogue of the
    release, the folder that an archive unpacks to, a zip in place of it; None: nothing of all."""

    @property
    def placeholder(self) -> Path | None:
        """What stands for the file, if that is not the file itself."""
        return self.path if self.path and self.path.name != self.file.name else None


def find_placed(release: Release, folder: Path) -> list[PlacedFile]:
    """Return each of the release's files with its place in the folder, in the release's order."""
    return [PlacedFile(file=file, path=_find_file(release, file, folder)) for file in release.files]


def find_read_tables(release: Release, folder: Path) -> list[Path]:
    """Return the catalogue, and the mapping where there is one, that would be read now."""
    mapping = release.mapping.file_names if isinstance(release.mapping, ImageMapping) else ()
    tables = (find_table(folder, names) for names in (release.catalogue_names, mapping))
    return [path for path in tables if path]


def _find_file(release: Release, file: PublishedFile, folder: Path) -> Path | None:
    own = folder / file.name
    if own.is_file():
        return own
    if file.role == "images":
        return _find_images_instead(release, folder)
    if file.role == "mapping":
        names = release.mapping.file_names if isinstance(release.mapping, ImageMapping) else ()
        return find_table(folder, names)
    stem = _strip_format(file.name)
    formats = [name for name in release.catalogue_names if _strip_format(name) == stem]
    if same := find_table(folder, formats):
        return same
    # Another catalogue that is fetched says only that this one has not come yet.
    table = find_table(folder, release.catalogue_names)
    return table if table and all(table.name != other.name for other in release.files) else None


def _find_images_instead(release: Release, folder: Path) -> Path | None:
    images = find_image_source(release, folder)
    is_empty = images and images.is_dir() and not has_images(images)
    return None if is_empty else images


def _strip_format(name: str) -> str:
    longest_first = sorted(TABLE_SUFFIXES, key=len, reverse=True)
    return name.removesuffix(next((each for each in longest_first if name.endswith(each)), ""))
