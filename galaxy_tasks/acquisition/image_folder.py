"""Which images a folder or a zip holds, with every other file accounted for.

An image is known by its name without folders, so that a folder, the same files in nested folders,
and a zip of either have the same images, the same content and the same prepared pixels.
"""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from galaxy_tasks.acquisition.image_file_rules import (
    IMAGE,
    IMAGE_SUFFIXES,
    OTHER,
    is_hidden,
    judge_name,
    judge_path,
    unify_name,
)
from galaxy_tasks.acquisition.tar_reader import TarEntry
from galaxy_tasks.acquisition.zip_reader import ZipEntry, is_zip, list_entries
from galaxy_tasks.errors import InputError, show
from galaxy_tasks.formatting import shorten
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import read_json

_logger = logging.getLogger(__name__)

ImagePlace = str | ZipEntry | TarEntry
"""Where an image is: its path below the folder, or its entry in the zip or tar."""

LINK_TO_NOTHING = "a link to nothing"
_FOLDER = "folder"


@dataclass(frozen=True, kw_only=True)
class ImageListing:
    """The files of a folder or zip: each is an image, known to be none, or refused."""

    root: Path
    """The folder, or the zip."""
    images: Mapping[str, ImagePlace]
    """By name without folders, in no order."""
    ignored: tuple[str, ...] = ()
    """Paths of files that are known to be no images, and of folders that are not read ('a/')."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """By path the reason why it is neither."""

    def paths(self) -> dict[str, str]:
        """Return where below the root each image is, by its name; in a zip, that is its name."""
        return {
            name: place if isinstance(place, str) else name for name, place in self.images.items()
        }

    def find_by_id(self, pattern: str = "") -> dict[str, str]:
        """Return the names of images by the galaxy's id in them, which is in Unicode's form NFC.

        Args:
            pattern: file name with '{id}' for the id. Empty: the name without its suffix; of
                images that differ only in it, the first of IMAGE_SUFFIXES counts.
        """
        if pattern:
            before, _, after = pattern.partition("{id}")
            expression = re.compile(re.escape(before) + "(.+)" + re.escape(after))
            matches = ((expression.fullmatch(name), name) for name in self.images)
            found = {match[1]: name for match, name in matches if match}
        else:
            ranked = sorted(self.images, key=_rank, reverse=True)
            found = {name.rpartition(".")[0]: name for name in ranked}
        # macOS writes names in another form than tables are in.
        return {normalize("NFC", galaxy_id): name for galaxy_id, name in found.items()}

    def describe(self) -> str:
        """Return the counts as one line, with the names of what is not an image."""
        parts = [f"{len(self.images):,} images"]
        if self.ignored:
            parts.append(
                f"{len(self.ignored):,} ignored ({shorten(map(show, sorted(self.ignored)))})"
            )
        if self.refused:
            each = (f"{show(path)}: {reason}" for path, reason in sorted(self.refused.items()))
            parts.append(f"{len(self.refused):,} refused ({shorten(each)})")
        return f"{self.root}: {', '.join(parts)}"

    def log(self) -> None:
        """Log the counts, as a warning where files are refused."""
        _logger.log(logging.WARNING if self.refused else logging.INFO, "%s", self.describe())


def list_images(root: Path) -> ImageListing:
    """Return the images of a folder, with all folders below it, or of a zip.

    Linked folders are read, each once. Hidden files and folders, those that file managers make, and
    the results of this project are ignored.

    Raises:
        InputError: there is no such folder or zip, the zip is damaged or unsafe, or two images have
            one name.
    """
    if is_zip(root):
        entries = list_entries(root)
        return _sort_files(root, ((path, judge_path(path)) for path in entries), entries)
    return _sort_files(root, walk_files(root), {})


def has_images(folder: Path) -> bool:
    """Return whether a folder holds an image at all; stops at the first."""
    return any(kind == IMAGE for _, kind in walk_files(folder))


def find_image_folders(folder: Path) -> list[Path]:
    """Return the folders of this one that hold images, or itself if it holds one directly."""
    paths = (path for path, kind in walk_files(folder) if kind == IMAGE)
    names = {path.split("/")[0] if "/" in path else "" for path in paths}
    return [folder] if "" in names else sorted(folder / name for name in names)


def _sort_files(
    root: Path, files: Iterable[tuple[str, str]], entries: Mapping[str, ZipEntry]
) -> ImageListing:
    paths: dict[str, str] = {}
    first: dict[str, str] = {}
    ignored, refused, repeated = [], {}, []
    for path, kind in files:
        if kind == IMAGE:
            name = path.rpartition("/")[2]
            if (other := first.setdefault(unify_name(name), path)) != path:
                repeated.append(sorted((path, other)))
            paths[name] = path
        elif kind == OTHER:
            ignored.append(path)
        else:
            refused[path] = kind
    if repeated:
        _refuse_repeated(root, repeated)
    images = {name: entries[path] for name, path in paths.items()} if entries else paths
    return ImageListing(root=root, images=images, ignored=tuple(ignored), refused=refused)


def _refuse_repeated(root: Path, repeated: list[list[str]]) -> None:
    first, second = min(repeated)
    more = f" and {len(repeated) - 1:,} more such images" if len(repeated) > 1 else ""
    raise InputError(
        f"{root} holds two images of one name: {show(first)} and {show(second)}{more}. An image is "
        "known by its name without folders, in which case and Unicode form do not count. Rename or "
        "remove one of them, or name the folder that is meant ('images_folder' in training)."
    )


def walk_files(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each file's path below the root with its kind, or why it is refused.

    So are folders that are not read; their paths end in a slash.
    """
    seen = {_identify(artifacts.home())} - {_identify(root)}
    pending = [""]
    while pending:
        below = pending.pop()
        folder = root / below
        if (identity := _identify(folder)) in seen:
            yield below, OTHER
            continue
        seen.add(identity)
        try:
            with os.scandir(folder) as opened:
                entries = list(opened)
        except OSError as error:
            if not below:
                raise InputError(f"{root} is no readable folder or zip: {error.strerror}") from None
            yield below, f"the folder cannot be read: {error.strerror}"
            continue
        if below and _is_artifact(folder, entries):
            yield below, OTHER
            continue
        folders = []
        for entry in entries:
            kind = _judge_entry(entry)
            if kind != _FOLDER:
                yield below + entry.name, kind
            elif is_hidden(entry.name):
                yield f"{below}{entry.name}/", OTHER
            else:
                folders.append(f"{below}{entry.name}/")
        pending += sorted(folders, reverse=True)


def _is_artifact(folder: Path, entries: Iterable[os.DirEntry[str]]) -> bool:
    """Return whether this project published the folder, in whatever home."""
    if not any(entry.name == artifacts.MANIFEST for entry in entries):
        return False
    try:
        manifest = read_json(folder / artifacts.MANIFEST)
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and {"made_from", "kind", "key"} <= set(manifest)


def _identify(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _judge_entry(entry: os.DirEntry[str]) -> str:
    """Return 'folder', the kind of a file, or why it is refused."""
    try:
        if entry.is_dir():
            return _FOLDER
        kind = judge_name(entry.name)
        if kind == IMAGE and not entry.is_file():
            return LINK_TO_NOTHING if entry.is_symlink() else "not a regular file"
    except OSError as error:  # links that lead to each other
        return f"cannot be read: {error.strerror}"
    return kind


def _rank(name: str) -> tuple[int, str]:
    return IMAGE_SUFFIXES.index(f".{name.rpartition('.')[2].lower()}"), name
