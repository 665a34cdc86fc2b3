"""Which images have the same content under several names."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.downloads import ZippedMembers
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases.checksums import UNREADABLE, checksum_images
from galaxy_tasks.zipped_images import find_places, is_zip


@dataclass(frozen=True)
class ImageName:
    """An image: the position of its folder or zip, and its name there."""

    folder: int
    name: str


def fingerprint_images(
    images: Sequence[ImageName], *, folders: Sequence[Path], cache: Path | None = None
) -> list[str]:
    """Return size and CRC-32 of each image as one text, '' for one that cannot be read.

    Images that differ in it are not the same; hardly any others are alike in it.

    Args:
        images: which images.
        folders: the folders or zips that they name by position.
        cache: where checksums are kept; see `checksum_images`.
    """
    prints = []
    for folder in folders:
        found = checksum_images(folder, cache=cache)
        each = zip(found.names, found.size_bytes.tolist(), found.crc32.tolist(), strict=True)
        prints.append({name: f"{size}:{crc:08x}" for name, size, crc in each if crc != UNREADABLE})
    return [prints[image.folder].get(image.name, "") for image in images]


def hash_repeated_images(
    images: Sequence[ImageName], *, folders: Sequence[Path], prints: Sequence[str]
) -> list[str]:
    """Return the SHA-256 of each image whose content others have, too, and '' for all others.

    Only images of one fingerprint are read: hardly any but true copies. One that cannot be read is
    like no other.

    Args:
        images: which images.
        folders: the folders or zips that they name by position.
        prints: their fingerprints.
    """
    readers = [_open(folder) for folder in folders]
    num_alike = Counter(prints)
    contents = [
        _hash(readers[image.folder], image.name) if one and num_alike[one] > 1 else ""
        for image, one in zip(images, prints, strict=True)
    ]
    copies = Counter(contents)
    return [one if copies[one] > 1 else "" for one in contents]


def read_image(image: ImageName, *, folders: Sequence[Path]) -> bytes:
    """Return the content of an image.

    Raises:
        InputError: it is not in its zip, or damaged there.
        OSError: it cannot be read.
    """
    return _open(folders[image.folder])(image.name)


def _open(folder: Path) -> Callable[[str], bytes]:
    """Return what reads an image by its name."""
    if not is_zip(folder):
        return lambda name: (folder / name).read_bytes()
    places = find_places(folder)

    def read(name: str) -> bytes:
        with ZippedMembers(folder, places) as members:
            return members.read(name)

    return read


def _hash(read: Callable[[str], bytes], name: str) -> str:
    try:
        return hashlib.sha256(read(name)).hexdigest()
    except (OSError, InputError):  # refused when it is prepared
        return ""
