"""What of a release lies in a folder already, under its own names or as what stands for them.

Whatever `locate_release` would read is there: nobody has to fetch what can be trained on.
"""

from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.release_images import find_images, has_images
from galaxy_tasks.releases.files import TABLE_SUFFIXES, find_table
from galaxy_tasks.releases.rules import ImageMapping, Release, RemoteFile


@dataclass(frozen=True, kw_only=True)
class PlacedFile:
    """A file of a release, and where it is."""

    file: RemoteFile
    path: Path | None
    """The file; or what stands for it: the same table in another format, another catalogue of the
    release, the folder that an archive unpacks to, a zip in place of it; None: nothing of all."""

    @property
    def stand_in(self) -> Path | None:
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


def _find_file(release: Release, file: RemoteFile, folder: Path) -> Path | None:
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
    images = find_images(release, folder)
    if images and images.is_dir():
        return images if has_images(images) else None
    return images


def _strip_format(name: str) -> str:
    longest_first = sorted(TABLE_SUFFIXES, key=len, reverse=True)
    return name.removesuffix(next((each for each in longest_first if name.endswith(each)), ""))
