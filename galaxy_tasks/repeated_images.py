"""Which images have the same content under several names."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from galaxy_tasks.downloads import ZippedMembers
from galaxy_tasks.errors import InputError
from galaxy_tasks.zipped_images import find_places, is_zip

_TAIL_BYTES = 512

Result = TypeVar("Result")
Fingerprint = tuple[int, bytes]
"""Size and a few bytes that follow from the content: images that differ in it are not the same."""


@dataclass(frozen=True)
class ImageName:
    """An image: the position of its folder or zip, and its name there."""

    folder: int
    name: str


def hash_repeated_images(images: Sequence[ImageName], *, folders: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of each image whose content others have, too, and '' for all others.

    Only images alike in size and in some bytes are read whole: their last bytes, or their checksum
    where a zip states one. Of compressed images that leaves hardly any but true copies. One that
    cannot be read is like no other.
    """
    sources = _open_sources(folders)
    prints = [_try(sources[image.folder].take_fingerprint, image.name) for image in images]
    num_alike = Counter(prints)
    contents = [
        _try(sources[image.folder].hash, image.name) if one and num_alike[one] > 1 else None
        for image, one in zip(images, prints, strict=True)
    ]
    copies = Counter(content for content in contents if content)
    return [one if one and copies[one] > 1 else "" for one in contents]


def read_image(image: ImageName, *, folders: Sequence[Path]) -> bytes:
    """Return the content of an image.

    Raises:
        InputError: it is not in its zip, or damaged there.
        OSError: it cannot be read.
    """
    return _open_sources(folders)[image.folder].read(image.name)


def _open_sources(folders: Sequence[Path]) -> "list[_ZipSource | _FolderSource]":
    has_zip = any(is_zip(folder) for folder in folders)
    return [_ZipSource(f) if is_zip(f) else _FolderSource(f, has_zip=has_zip) for f in folders]


class _FolderSource:
    def __init__(self, folder: Path, *, has_zip: bool) -> None:
        self.folder, self.has_zip = folder, has_zip

    def take_fingerprint(self, name: str) -> Fingerprint:
        with (self.folder / name).open("rb") as file:
            size = file.seek(0, 2)
            if not self.has_zip:
                file.seek(max(0, size - _TAIL_BYTES))
                return (size, hashlib.blake2b(file.read(), digest_size=8).digest())
            file.seek(0)  # to be compared with a zip's checksums
            return (size, zlib.crc32(file.read()).to_bytes(4, "big"))

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def hash(self, name: str) -> str:
        with (self.folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class _ZipSource:
    def __init__(self, archive: Path) -> None:
        self.archive, self.places = archive, find_places(archive)

    def take_fingerprint(self, name: str) -> Fingerprint:
        place = self.places[name]
        return (place.size_bytes, place.crc32.to_bytes(4, "big"))

    def read(self, name: str) -> bytes:
        with ZippedMembers(self.archive, self.places) as members:
            return members.read(name)

    def hash(self, name: str) -> str:
        return hashlib.sha256(self.read(name)).hexdigest()


def _try(read: Callable[[str], Result], name: str) -> Result | None:
    """Return what is read, or None: an image that cannot be read is refused when it is prepared."""
    try:
        return read(name)
    except (OSError, KeyError, InputError):
        return None
