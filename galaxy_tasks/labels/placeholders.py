"""Places and images that so many galaxies share that they stand for none of them.

A table has 0, 0 where a position is missing, a server a picture that says 'no image available'.
A few galaxies that share one are left where they are: they do not count as one galaxy, and stay on
one side of the split, in case they are. Where a large share of all has it, it is a placeholder for
certain, and its galaxies as one group would make a test of their own. A place is then forgotten:
the galaxy is still in its image. An image is not: who sorts galaxies by eye would put such a
picture aside, since it shows none of them, and to leave it in would show a network in training
what it is tested on.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galaxy_tasks.acquisition.checksums import UNREADABLE, checksum_images
from galaxy_tasks.acquisition.image_folder import list_images
from galaxy_tasks.errors import InputError
from galaxy_tasks.images.headers import RejectedImage, read_header
from galaxy_tasks.images.source import open_images
from galaxy_tasks.labels import split
from galaxy_tasks.labels.crossmatch import LARGEST_SHARE, MOST_COPIES, count_places, is_crowd

# Which images have the same content under several names.


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
        found = checksum_images(list_images(folder), cache=cache)
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
    places = list_images(folder).images

    def read(name: str) -> bytes:
        own = {name: places[name]} if name in places else {}
        with open_images(folder, own, max_side_px=_ANY_SIDE_PX) as read_image:
            return read_image(name)

    return read


def _hash(read: Callable[[str], bytes], name: str) -> str:
    try:
        return hashlib.sha256(read(name)).hexdigest()
    except (OSError, InputError):  # refused when it is prepared
        return ""


_ANY_SIDE_PX = 2**31


@dataclass(frozen=True)
class Pictures:
    """What the images of galaxies have in common."""

    hashes: list[str]
    """Alike for images alike; '' for an image like no other, or that ties nobody."""
    prints: list[str]
    """What an image is known again by in another run; '' where it cannot be, or ties nobody."""
    is_placeholder: NDArray[np.bool_]
    """Images that so many share that they show none of their galaxies."""

    def add_to(self, galaxies: pa.Table) -> pa.Table:
        """Return the galaxies with the columns image_hash and image_print."""
        for name, values in (("image_hash", self.hashes), ("image_print", self.prints)):
            galaxies = galaxies.append_column(name, pa.array(values, pa.string()))
        return galaxies


def forget_crowded_places(galaxies: pa.Table, *, test_fraction: float) -> pa.Table:
    """Return the galaxies, without places that a large share of them has exactly.

    A galaxy without a place is a group of its own, by its id.

    Args:
        galaxies: columns galaxy_id, sky_group, ra_degrees, dec_degrees and is_test among others.
        test_fraction: share of the galaxies that is for the test.
    """
    ra, dec = (
        galaxies[name].to_numpy(zero_copy_only=False).astype(np.float64)
        for name in ("ra_degrees", "dec_degrees")
    )
    copies = count_places(ra, dec)
    is_forgotten = is_crowd(copies)
    _tell_places(copies, is_forgotten)
    if not is_forgotten.any():
        return galaxies
    groups, is_test = galaxies["sky_group"].to_pylist(), galaxies["is_test"].to_pylist()
    galaxy_ids = galaxies["galaxy_id"].to_pylist()
    for row in np.flatnonzero(is_forgotten):
        groups[row] = split.name_own_group(galaxy_ids[row])
        is_test[row] = split.is_name_in_test(groups[row], test_fraction=test_fraction)
    is_null = is_forgotten | (copies == 0)
    changed = {
        "sky_group": pa.array(groups, pa.string()),
        "ra_degrees": pa.array(ra, pa.float64(), mask=is_null),
        "dec_degrees": pa.array(dec, pa.float64(), mask=is_null),
        "is_test": pa.array(is_test, pa.bool_()),
    }
    for name, column in changed.items():
        galaxies = galaxies.set_column(galaxies.column_names.index(name), name, column)
    return galaxies


def find_pictures(
    galaxies: pa.Table, *, image_folders: Sequence[Path], checksums: Path | None = None
) -> Pictures:
    """Return which images are alike, and which are placeholders that a large share of all has.

    What is no image at all is none of these: the preparation refuses it, and counts it.

    Args:
        galaxies: columns release_index and image_name among others.
        image_folders: the folder of each release's images, by release_index.
        checksums: where checksums of images are kept; None: nowhere.
    """
    names = zip(
        galaxies["release_index"].to_pylist(), galaxies["image_name"].to_pylist(), strict=True
    )
    images = [ImageName(folder, name) for folder, name in names]
    prints = fingerprint_images(images, folders=image_folders, cache=checksums)
    hashes = hash_repeated_images(images, folders=image_folders, prints=prints)
    times = Counter(one for one in hashes if one)
    copies = np.array([times[one] for one in hashes], dtype=np.int64)
    is_crowded = is_crowd(copies)
    first_of = {one: images[row] for row, one in reversed(list(enumerate(hashes))) if one}
    is_picture = {
        one: _is_image(first_of[one], image_folders)
        for one in {hashes[row] for row in np.flatnonzero(is_crowded)}
    }
    for content, count in times.items():
        if count > MOST_COPIES:
            _tell_image(first_of[content].name, count, is_picture=is_picture.get(content))
    is_placeholder = np.array([is_picture.get(one, False) for one in hashes], dtype=bool)
    ties, known = (
        ["" if content in is_picture else one for one, content in zip(values, hashes, strict=True)]
        for values in (hashes, prints)
    )
    return Pictures(ties, known, is_placeholder)


def _is_image(image: ImageName, folders: Sequence[Path]) -> bool:
    try:
        read_header(read_image(image, folders=folders), max_side_px=_ANY_SIDE_PX)
    except (RejectedImage, InputError, OSError):
        return False
    return True


def _tell_places(copies: NDArray[np.int64], is_forgotten: NDArray[np.bool_]) -> None:
    is_shared = copies > MOST_COPIES
    much = f"their exact place with more than {MOST_COPIES} others"
    if num_kept := int(np.count_nonzero(is_shared & ~is_forgotten)):
        print(
            f"Note: {num_kept:,} galaxies share {much}: they do not count as one galaxy, and stay "
            "on one side of the split.",
            flush=True,
        )
    if num_forgotten := int(np.count_nonzero(is_forgotten)):
        print(
            f"Note: {num_forgotten:,} galaxies share {much}, and with more than "
            f"{LARGEST_SHARE:.0%} of all, as if it stood for none: they are taken as without a "
            "place, so that only id and image keep them on one side of the split.",
            flush=True,
        )


def _tell_image(name: str, count: int, *, is_picture: bool | None) -> None:
    """Say what becomes of images that many share; `is_picture` is None where they are few."""
    outcome = {
        None: "they do not count as one galaxy, and stay on one side of the split",
        True: f"more than {LARGEST_SHARE:.0%} of all, so that it shows none of its galaxies; they "
        "are dropped",
        False: "it is no image, and will be refused when they are prepared",
    }[is_picture]
    print(f"Note: {count:,} images have the content of {name}: {outcome}.", flush=True)
