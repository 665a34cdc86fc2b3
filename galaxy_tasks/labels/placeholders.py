"""Find placeholders: positions and images shared by so many galaxies that they belong to none.

Tables have 0, 0 where a position is missing; servers send a picture that says 'no image available'.
What more than MOST_COPIES galaxies share may be a placeholder: they are not matched by it, but stay
on one side of the split. What more than LARGEST_SHARE of all share certainly is one, and as one
group they would be too much of the test. Such a position is ignored, and the galaxy kept, since its
image still shows it. A galaxy with such an image is dropped: the image does not show it, and would
let a network see in training what it is tested on.
"""

import hashlib
import logging
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
from galaxy_tasks.images.headers import read_header
from galaxy_tasks.images.rejected import RejectedImage
from galaxy_tasks.images.source import open_images
from galaxy_tasks.labels import split
from galaxy_tasks.labels.crossmatch import LARGEST_SHARE, MOST_COPIES, count_places, is_crowd

_ANY_SIDE_PX = 2**31
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageName:
    """An image: the index of its folder or zip, and its name there."""

    folder: int
    name: str


def fingerprint_images(
    images: Sequence[ImageName], *, folders: Sequence[Path], cache: Path | None = None
) -> list[str]:
    """Return each image's size and CRC-32 as text; '' for an image that cannot be read.

    Equal images have equal fingerprints, and different images hardly ever do.

    Args:
        images: the images.
        folders: the folders or zips that they refer to by index.
        cache: where checksums are kept; see `checksum_images`.
    """
    fingerprints = []
    for folder in folders:
        found = checksum_images(list_images(folder), cache=cache)
        each = zip(found.names, found.size_bytes.tolist(), found.crc32.tolist(), strict=True)
        fingerprints.append(
            {name: f"{size}:{crc:08x}" for name, size, crc in each if crc != UNREADABLE}
        )
    return [fingerprints[image.folder].get(image.name, "") for image in images]


def hash_repeated_images(
    images: Sequence[ImageName], *, folders: Sequence[Path], fingerprints: Sequence[str]
) -> list[str]:
    """Return the SHA-256 of each image that has a copy, and '' for all others.

    Only images that share a fingerprint are read, and these are nearly all copies. An image that
    cannot be read counts as having none.

    Args:
        images: the images.
        folders: the folders or zips that they refer to by index.
        fingerprints: as `fingerprint_images` returns them.
    """
    readers = [_open(folder) for folder in folders]
    count = Counter(fingerprints)
    hashes = [
        _hash(readers[image.folder], image.name) if each and count[each] > 1 else ""
        for image, each in zip(images, fingerprints, strict=True)
    ]
    copies = Counter(hashes)
    return [each if copies[each] > 1 else "" for each in hashes]


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


@dataclass(frozen=True)
class ImageCopies:
    """Which images of a table are copies of each other."""

    hashes: list[str]
    """Equal for copies of one image; '' for an image without a copy, or whose copies are many."""
    fingerprints: list[str]
    """What identifies an image in another run; '' where nothing does, or its copies are many."""
    is_placeholder: NDArray[np.bool_]

    def add_to(self, galaxies: pa.Table) -> pa.Table:
        """Return the galaxies with the columns image_hash and image_fingerprint."""
        columns = {"image_hash": self.hashes, "image_fingerprint": self.fingerprints}
        for name, values in columns.items():
            galaxies = galaxies.append_column(name, pa.array(values, pa.string()))
        return galaxies


def drop_placeholder_positions(galaxies: pa.Table, *, test_fraction: float) -> pa.Table:
    """Return the galaxies without positions that are placeholders.

    A galaxy without a position forms a group of its own, by its id.

    Args:
        galaxies: columns galaxy_id, sky_group, ra_degrees, dec_degrees and is_test among others.
        test_fraction: share of the galaxies that are in the test.
    """
    ra, dec = (
        galaxies[name].to_numpy(zero_copy_only=False).astype(np.float64)
        for name in ("ra_degrees", "dec_degrees")
    )
    copies = count_places(ra, dec)
    is_dropped = is_crowd(copies)
    _log_positions(copies, is_dropped)
    if not is_dropped.any():
        return galaxies
    groups, is_test = galaxies["sky_group"].to_pylist(), galaxies["is_test"].to_pylist()
    galaxy_ids = galaxies["galaxy_id"].to_pylist()
    for row in np.flatnonzero(is_dropped):
        groups[row] = split.name_own_group(galaxy_ids[row])
        is_test[row] = split.is_name_in_test(groups[row], test_fraction=test_fraction)
    is_null = is_dropped | (copies == 0)
    changed = {
        "sky_group": pa.array(groups, pa.string()),
        "ra_degrees": pa.array(ra, pa.float64(), mask=is_null),
        "dec_degrees": pa.array(dec, pa.float64(), mask=is_null),
        "is_test": pa.array(is_test, pa.bool_()),
    }
    for name, column in changed.items():
        galaxies = galaxies.set_column(galaxies.column_names.index(name), name, column)
    return galaxies


def find_copies(
    galaxies: pa.Table, *, image_folders: Sequence[Path], checksums: Path | None = None
) -> ImageCopies:
    """Return which images are copies of each other, and which are placeholders.

    A file that is not an image is not a placeholder: the preparation rejects and counts it.

    Args:
        galaxies: columns release_index and image_name among others.
        image_folders: the folder of each release's images, by release_index.
        checksums: where checksums of images are kept; None: nowhere.
    """
    names = (galaxies[name].to_pylist() for name in ("release_index", "image_name"))
    images = [ImageName(folder, name) for folder, name in zip(*names, strict=True)]
    fingerprints = fingerprint_images(images, folders=image_folders, cache=checksums)
    hashes = hash_repeated_images(images, folders=image_folders, fingerprints=fingerprints)
    count = Counter(filter(None, hashes))
    is_crowded = is_crowd(np.array([count[each] for each in hashes], dtype=np.int64))
    first_of = {each: images[row] for row, each in reversed(list(enumerate(hashes))) if each}
    # Of the hashes that so many share, whether the file is an image at all.
    is_image = {
        each: _is_image(first_of[each], image_folders)
        for each in {hashes[row] for row in np.flatnonzero(is_crowded)}
    }
    for each, copies in count.items():
        if copies > MOST_COPIES:
            _log_image(first_of[each].name, copies, is_image=is_image.get(each))
    return ImageCopies(
        hashes=["" if each in is_image else each for each in hashes],
        fingerprints=[
            "" if each in is_image else fingerprint
            for each, fingerprint in zip(hashes, fingerprints, strict=True)
        ],
        is_placeholder=np.array([is_image.get(each, False) for each in hashes], dtype=bool),
    )


def _is_image(image: ImageName, folders: Sequence[Path]) -> bool:
    try:
        read_header(read_image(image, folders=folders), max_side_px=_ANY_SIDE_PX)
    except (RejectedImage, InputError, OSError):
        return False
    return True


def _log_positions(copies: NDArray[np.int64], is_dropped: NDArray[np.bool_]) -> None:
    is_shared = copies > MOST_COPIES
    if num_kept := int(np.count_nonzero(is_shared & ~is_dropped)):
        _logger.warning(
            "%s galaxies share their exact position with more than %d others: they are not matched "
            "by it, but stay on one side of the split.",
            f"{num_kept:,}",
            MOST_COPIES,
        )
    if num_dropped := int(np.count_nonzero(is_dropped)):
        _logger.warning(
            "%s galaxies share their exact position with more than %d others and with more than %s "
            "of all: it is treated as a placeholder, and their position is ignored.",
            f"{num_dropped:,}",
            MOST_COPIES,
            f"{LARGEST_SHARE:.0%}",
        )


def _log_image(name: str, count: int, *, is_image: bool | None) -> None:
    """Log what happens to images with many copies; `is_image` is None where they are kept."""
    outcome = {
        None: "they are not matched by it, but stay on one side of the split",
        True: f"more than {LARGEST_SHARE:.0%} of all, so that it is a placeholder; they are "
        "dropped",
        False: "it is not an image, and will be rejected in preparation",
    }[is_image]
    _logger.warning("%s images have the content of %s: %s.", f"{count:,}", name, outcome)
