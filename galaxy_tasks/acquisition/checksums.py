"""The content of a release as one hash: its tables' bytes, its images' names and checksums.

A zip states the CRC-32 of each image. A folder is read once: what was found is kept in a table
beside the artifacts, and holds for as long as a file's size and times are the same. A CRC-32 shows
that an image was replaced; it is no defence against someone who forges one.
"""

import hashlib
import logging
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galaxy_tasks.acquisition.image_folder import ImageListing
from galaxy_tasks.acquisition.tables import list_parts, open_unpacked
from galaxy_tasks.acquisition.zip_reader import ZipEntry
from galaxy_tasks.errors import ResourceError
from galaxy_tasks.storage.atomic_io import write_durably

UNREADABLE = -1
"""In place of the CRC-32 of a file that cannot be read."""

_NEW_NS = 2 * 10**9
"""A file that changed so shortly before it was read may change again within the same tick."""
_CHUNK_BYTES = 1 << 20
_FILES_AT_A_TIME = 64
_LOG_EVERY_S = 5.0
_COLUMNS = ("name", "size_bytes", "modified_ns", "changed_ns", "crc32")

_logger = logging.getLogger(__name__)

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Checksums:
    """Size and CRC-32 of images, in the order of their names."""

    names: list[str]
    size_bytes: Numbers
    crc32: Numbers
    """0 to 2**32 - 1, or UNREADABLE."""


def hash_content(
    tables: Iterable[Path], *, images: ImageListing, checksums: Path | None = None
) -> str:
    """Return the SHA-256 over the tables' bytes and the images' names, sizes and CRC-32s, as hex.

    Args:
        tables: the release's tables.
        images: its images; other files of their folder do not count.
        checksums: folder where CRC-32s are kept; None: nowhere.

    Raises:
        InputError: a gzipped table is truncated or damaged.
        ResourceError: the disk fails.
    """
    digest = hashlib.sha256()
    for table in tables:
        digest.update(_hash_table(table))
    found = checksum_images(images, cache=checksums)
    each = zip(found.names, found.size_bytes.tolist(), found.crc32.tolist(), strict=True)
    for line in sorted(f"{name}\0{size_bytes}\0{crc32}\n" for name, size_bytes, crc32 in each):
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _hash_table(path: Path) -> bytes:
    """Hash the unpacked bytes, so that a damaged gzip file is found before Spark reads it."""
    digest = hashlib.sha256()
    for part in list_parts(path):
        with open_unpacked(part) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.digest()


def checksum_images(images: ImageListing, *, cache: Path | None = None) -> Checksums:
    """Return size and CRC-32 of each image.

    Args:
        images: which images.
        cache: folder with a table of earlier results for each image folder; None: read everything.

    Raises:
        ResourceError: the disk fails.
    """
    names = list(images.images)
    entries = [place for place in images.images.values() if isinstance(place, ZipEntry)]
    if entries:
        return Checksums(
            names,
            np.array([entry.size_bytes for entry in entries], dtype=np.int64),
            np.array([entry.crc32 for entry in entries], dtype=np.int64),
        )
    paths = [place for place in images.images.values() if isinstance(place, str)]
    size_bytes, crc32 = _checksum_files(images.root, paths, cache)
    return Checksums(names, size_bytes, crc32)


def _checksum_files(folder: Path, paths: list[str], cache: Path | None) -> tuple[Numbers, Numbers]:
    table = cache / f"{_name_table(folder)}.parquet" if cache else None
    states = np.array([_read_state(folder / path) for path in paths], dtype=np.int64).reshape(-1, 3)
    crc32, is_known = _look_up(table, paths, states)
    rows = np.flatnonzero(~is_known)
    if len(rows):
        states[rows, 0], crc32[rows], is_lasting = _read_all(folder, paths, states, rows)
        if table:
            is_known[rows[is_lasting]] = True
            _write_table(table, paths, states, crc32, is_known)
    return states[:, 0], crc32


def _name_table(folder: Path) -> str:
    return hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]


def _read_state(path: Path) -> tuple[int, int, int]:
    """Return size in bytes, and the times when content and file changed, in nanoseconds."""
    try:
        status = path.stat()
    except OSError:  # it went, or cannot be read
        return (0, 0, 0)
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _look_up(
    path: Path | None, names: list[str], states: Numbers
) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return the CRC-32 of files that are as they were when it was found, and which these are."""
    crc32 = np.full(len(names), UNREADABLE, dtype=np.int64)
    is_known = np.zeros(len(names), dtype=bool)
    try:
        table = pq.read_table(path, columns=list(_COLUMNS)) if path and path.is_file() else None
    except (OSError, pa.ArrowException):  # damaged: it is written again
        table = None
    if table is None:
        return crc32, is_known
    own = pa.array(map(os.fsencode, names), pa.binary())
    places = pc.index_in(own, table["name"].combine_chunks())  # pyright: ignore[reportAttributeAccessIssue]
    places = places.fill_null(-1).to_numpy(zero_copy_only=False)
    then = np.stack([table[name].to_numpy() for name in _COLUMNS[1:4]], axis=1)
    is_known = places >= 0
    is_known[is_known] = (then[places[is_known]] == states[is_known]).all(axis=1)
    crc32[is_known] = table["crc32"].to_numpy()[places[is_known]]
    return crc32, is_known


def _read_all(
    folder: Path, names: list[str], states: Numbers, rows: Numbers
) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    """Return bytes and CRC-32 of these files, and whether both hold until they change again."""
    newest = time.time_ns() - _NEW_NS
    found = []
    logged_s = time.monotonic()
    for one in _read_in_threads(folder, [names[row] for row in rows]):
        found.append(one)
        if time.monotonic() - logged_s >= _LOG_EVERY_S:
            logged_s = time.monotonic()
            _logger.info("Checksums of images: %s of %s read", f"{len(found):,}", f"{len(rows):,}")
    size_bytes, crc32 = np.array(found, dtype=np.int64).T
    is_settled = (states[rows, 1:] < newest).all(axis=1) & (size_bytes == states[rows, 0])
    return size_bytes, crc32, is_settled & (crc32 != UNREADABLE)


def _read_in_threads(folder: Path, names: list[str]) -> Iterator[tuple[int, int]]:
    """Yield bytes and CRC-32 of files in their order; more threads than cores, as disks wait."""
    starts = range(0, len(names), _FILES_AT_A_TIME)
    parts = (names[start : start + _FILES_AT_A_TIME] for start in starts)
    with ThreadPoolExecutor(max_workers=min(32, 4 * (os.cpu_count() or 1))) as pool:
        for some in pool.map(lambda part: [_read(folder / name) for name in part], parts):
            yield from some


def _read(path: Path) -> tuple[int, int]:
    size_bytes = crc32 = 0
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK_BYTES):
                size_bytes += len(chunk)
                crc32 = zlib.crc32(chunk, crc32)
    except (FileNotFoundError, PermissionError):
        return (size_bytes, UNREADABLE)
    except OSError as error:  # the disk or the network may be back at the next attempt
        raise ResourceError(f"{path} cannot be read: {error.strerror}") from error
    return (size_bytes, crc32)


def _write_table(
    path: Path, names: list[str], states: Numbers, crc32: Numbers, is_known: NDArray[np.bool_]
) -> None:
    rows = np.flatnonzero(is_known)
    own = pa.array((os.fsencode(names[row]) for row in rows), pa.binary())
    columns = [own, *states[rows].T, crc32[rows]]
    table = pa.table(dict(zip(_COLUMNS, columns, strict=True)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, lambda file: pq.write_table(table, file))
