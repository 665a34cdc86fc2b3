"""Find a release's files in a folder: its tables, its images, and the hash of their content."""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.acquisition.catalogue import (
    ID,
    CataloguePlan,
    adapt_release,
    plan_catalogue,
    require_image_names,
)
from galaxy_tasks.acquisition.checksums import hash_content
from galaxy_tasks.acquisition.disk import expand_home
from galaxy_tasks.acquisition.id_matching import find_images, require_meeting
from galaxy_tasks.acquisition.image_file_rules import is_hidden
from galaxy_tasks.acquisition.image_folder import find_image_folders, has_images, list_images
from galaxy_tasks.acquisition.prediction_table import is_prediction_table
from galaxy_tasks.acquisition.table_rows import require_rows
from galaxy_tasks.acquisition.tables import (
    TABLE_SUFFIXES,
    describe_unread,
    find_table,
    is_table,
    read_table_header,
)
from galaxy_tasks.acquisition.zip_reader import is_zip
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError, show
from galaxy_tasks.formatting import shorten
from galaxy_tasks.releases.schema import ImageKey, ImageMapping, PublishedFile, Release
from galaxy_tasks.storage.cache_keys import ReleaseFiles

_logger = logging.getLogger(__name__)

INCOMPLETE = ".images.incomplete"
"""Exists beside an image folder while archives are unpacked into it."""


def locate_release(
    config: RunConfig, *, source: str | Path | None = None, checksums: Path | None = None
) -> ReleaseFiles:
    """Return where a release's files are, once all of it is found to be there.

    Reads the catalogue's header and hashes the content, images included.

    Args:
        config: names the release, and its files and columns if they are not the release's own.
        source: folder to look in instead of `config.source`, such as that of a simulated release.
        checksums: folder where checksums of images are kept; None: nowhere.

    Raises:
        InputError: a file, folder or column is missing or unreadable; the message says what was
            looked for and what is there.
    """
    folder = _require_folder(source or config.source)
    release = adapt_release(config)
    catalogue = _locate_catalogue(config, release, folder)
    plan = plan_catalogue(config, catalogue)
    images = locate_images(config, release, folder, plan=plan)
    mapping = _locate_mapping(release, folder, catalogue=catalogue)
    listing = list_images(images)
    listing.log()
    found = find_images(listing, release.image_name_pattern)
    if not found:
        raise InputError(
            f"No image is named like '{release.image_name_pattern or '{id}.jpg'}'. "
            f"{listing.describe()}. Images: {shorten(sorted(listing.images))}"
        )
    tables = [catalogue, mapping] if mapping else [catalogue]
    content = hash_content(tables, images=listing, checksums=checksums)
    require_rows(plan.table)
    _require_galaxies(plan, mapping, found)
    return ReleaseFiles(
        catalogue=str(catalogue), images=str(images), mapping=str(mapping or ""), content=content
    )


def _require_galaxies(plan: CataloguePlan, mapping: Path | None, images: dict[str, str]) -> None:
    """Raise InputError if the catalogue, or the table that maps its ids, leads to no image."""
    own = plan.release.mapping
    if own is None:
        require_meeting(plan.table, plan.columns[ID], images)
    elif mapping and isinstance(own, ImageMapping):
        require_meeting(read_table_header(mapping), own.image_column, images, is_mapping=True)


def _require_folder(source: str | Path) -> Path:
    if not source:
        raise InputError("No source folder: draw the simulated release first, or set 'source'.")
    folder = expand_home(source)
    if not folder.is_dir():
        raise InputError(f"The source folder {folder} does not exist or is not a folder.")
    return folder


def locate_images(
    config: RunConfig, release: Release, folder: Path, *, plan: CataloguePlan | None = None
) -> Path:
    """Return the folder with the images, or the zip with them, of a source folder.

    Where there are several, and no setting or release names one, it is the only one with images of
    the galaxies in the catalogue, if its plan is given.

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
    return _choose_image_source(folder, plan)


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


def _choose_image_source(folder: Path, plan: CataloguePlan | None) -> Path:
    """Return the folder itself if it holds images, its only folder that does, or its only zip."""
    zips = (path for path in sorted(folder.iterdir()) if is_zip(path) and not is_hidden(path.name))
    found = find_image_folders(folder) or list(zips)
    if len(found) == 1:
        return found[0]
    names = shorten(path.name for path in found)
    meeting = [path for path in found if plan and _has_galaxies(path, plan)]
    if len(meeting) == 1:
        _logger.info("Of %s only %s has images of the catalogue's ids.", names, meeting[0].name)
        return meeting[0]
    raise InputError(
        f"{folder} must hold one folder with images, or one zip. Set 'images_folder' to its name, "
        f"or to '.' for all folders. Found with images: {names}"
    )


def _has_galaxies(path: Path, plan: CataloguePlan) -> bool:
    try:
        found = find_images(list_images(path), plan.release.image_name_pattern)
        require_meeting(plan.table, plan.columns[ID], found)
    except InputError:
        return False
    return True


def describe_folder(folder: Path) -> str:
    """Return the names in a folder as one line, for an error."""
    if not folder.is_dir():
        return "no such folder"
    return shorten(sorted(path.name + "/" * path.is_dir() for path in folder.iterdir()))


def _locate_catalogue(config: RunConfig, release: Release, folder: Path) -> Path:
    if config.catalogue_file:
        return _require_file(folder / config.catalogue_file, "the catalogue")
    if release.catalogue_names:
        return _first_table(folder, release.catalogue_names, "the catalogue")
    tables = sorted(p for p in folder.iterdir() if is_table(p) and not p.name.startswith("."))
    own = [path for path in tables if _is_prediction_table(path)]
    if own:
        names = shorten(show(path.name) for path in own)
        _logger.info("Passed over, as `galaxy-morphology predict` wrote it: %s", names)
        tables = [path for path in tables if path not in own]
    fitting = [path for path in tables if _has_columns(config, path)] if tables else []
    if len(fitting) == 1:
        return fitting[0]
    if len(tables) == 1:
        return tables[0]  # the error will name its missing columns
    found = "several tables" if fitting else "no table"
    unread = "" if tables else describe_unread(folder)
    raise InputError(
        f"{folder} holds {found} with the id and class columns. Set 'catalogue_file' "
        f"(and 'id_column', 'class_column'). Found: {shorten(p.name for p in fitting or tables)}."
        + unread
    )


def _is_prediction_table(path: Path) -> bool:
    try:
        return is_prediction_table(read_table_header(path).columns)
    except InputError:
        return False


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


@dataclass(frozen=True, kw_only=True)
class PlacedFile:
    """A published file, and what is in a folder in its place."""

    file: PublishedFile
    path: Path | None
    """The file itself, or what is read instead: the same table in another format, another catalogue
    of the release, the folder that an archive unpacks to, or a zip of it. None: nothing."""

    @property
    def substitute(self) -> Path | None:
        """What is read instead of the file, if it is not there itself."""
        return self.path if self.path and self.path.name != self.file.name else None


def find_placed(release: Release, folder: Path) -> list[PlacedFile]:
    """Return what is in the folder for each of the release's files, in the release's order.

    Whatever `locate_release` would read counts, so that nothing is fetched without need.
    """
    return [PlacedFile(file=file, path=_find_file(release, file, folder)) for file in release.files]


def find_read_tables(release: Release, folder: Path) -> list[Path]:
    """Return the catalogue, and the mapping if there is one, that would be read now."""
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
    # Another published catalogue only means that this one has not been fetched yet.
    table = find_table(folder, release.catalogue_names)
    return table if table and all(table.name != other.name for other in release.files) else None


def _find_images_instead(release: Release, folder: Path) -> Path | None:
    images = find_image_source(release, folder)
    is_empty = images and images.is_dir() and not has_images(images)
    return None if is_empty else images


def _strip_format(name: str) -> str:
    longest_first = sorted(TABLE_SUFFIXES, key=len, reverse=True)
    return name.removesuffix(next((each for each in longest_first if name.endswith(each)), ""))
