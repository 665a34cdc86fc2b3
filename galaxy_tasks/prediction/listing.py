"""The images that are to be classified, one row each, as files that any process can read.

A catalogue of millions is listed once, in parts: a shard is what is predicted, written and
repeated as a whole.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galaxy_tasks.acquisition.image_folder import ImagePlace
from galaxy_tasks.acquisition.tar_reader import TarEntry
from galaxy_tasks.acquisition.zip_reader import ZipEntry
from galaxy_tasks.storage.artifacts import sha256_of
from galaxy_tasks.storage.atomic_io import write_durably

_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "path": pa.string(),
        "ra": pa.float64(),
        "dec": pa.float64(),
        "source": pa.int32(),
        "name": pa.binary(),
        "first_byte": pa.int64(),
        "packed_bytes": pa.int64(),
        "size_bytes": pa.int64(),
        "crc32": pa.int64(),
        "is_packed": pa.bool_(),
        "refused": pa.string(),
    }
)


class Row(NamedTuple):
    """An image that is to be classified, or why it cannot be."""

    id: str
    path: str
    """As people see it."""
    ra: float | None = None
    """Degrees; None where unknown."""
    dec: float | None = None
    source: int = 0
    """Which folder or archive it is in."""
    name: str = ""
    """Where in that: the path below the folder, or in the archive."""
    entry: ZipEntry | TarEntry | None = None
    """Where in the archive's bytes."""
    refused: str = ""

    @property
    def place(self) -> ImagePlace:
        """Where in its source it is, as `open_images` takes it."""
        return self.entry or self.name


@dataclass(frozen=True)
class Shard:
    """Rows that are predicted and written as a whole."""

    number: int
    listing: Path
    num_rows: int
    digest: str
    """SHA-256 of the listing."""


def write_listing(rows: Iterable[Row], folder: Path, *, shard_images: int) -> Iterator[Shard]:
    """Write rows in parts of `shard_images`, and yield each."""
    remaining = iter(rows)
    number = 0
    while part := list(islice(remaining, shard_images)):
        path = folder / f"listing-{number:06d}.parquet"
        table = _to_table(part)
        write_durably(path, lambda file, table=table: pq.write_table(table, file))
        yield Shard(number, path, len(part), sha256_of(path))
        number += 1


def read_listing(shard: Shard) -> list[Row]:
    """Return the rows of a shard."""
    columns = pq.read_table(shard.listing).to_pydict()
    return [_to_row(*values) for values in zip(*columns.values(), strict=True)]


def find_repeated_ids(shards: Iterable[Shard], *, examples: int = 12) -> tuple[int, list[str]]:
    """Return how many ids occur more than once, and the first of them, sorted.

    Eight bytes are held for each row.
    """
    shards = list(shards)
    hashes = np.sort(np.concatenate([_hash(_read_ids(shard)) for shard in shards]))
    repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(repeated):
        return 0, []
    found: set[str] = set()
    for shard in shards:
        ids = _read_ids(shard)
        own = np.isin(_hash(ids), repeated)
        found.update(ids[place] for place in np.flatnonzero(own)[: 10 * examples])
        if len(found) >= examples:
            break
    return len(repeated), sorted(found)[:examples]


def _read_ids(shard: Shard) -> list[str]:
    return pq.read_table(shard.listing, columns=["id"])["id"].to_pylist()


def _hash(ids: list[str]) -> NDArray[np.int64]:
    """Return a number for each id, (n,); equal ids share it, in this process."""
    return np.fromiter(map(hash, ids), np.int64, count=len(ids))


def _to_table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist([_to_record(row) for row in rows], schema=_SCHEMA)


def _to_record(row: Row) -> dict[str, Any]:
    record: dict[str, Any] = {
        **{name: getattr(row, name) for name in ("id", "path", "ra", "dec", "source", "refused")},
        "name": os.fsencode(row.name),
    }
    if isinstance(row.entry, TarEntry):
        return {**record, "first_byte": row.entry.first_byte, "size_bytes": row.entry.size_bytes}
    if row.entry:
        entry = row.entry
        packing = {"packed_bytes": entry.packed_bytes, "is_packed": entry.is_packed}
        sizes = {"size_bytes": entry.size_bytes, "crc32": entry.crc32}
        return {**record, "first_byte": entry.offset, **packing, **sizes}
    return record


def _to_row(
    galaxy_id: str,
    path: str,
    ra: float | None,
    dec: float | None,
    source: int,
    name: bytes,
    first_byte: int | None,
    packed_bytes: int | None,
    size_bytes: int,
    crc32: int,
    is_packed: bool,
    refused: str,
) -> Row:
    entry = None
    if packed_bytes is not None and first_byte is not None:
        entry = ZipEntry(first_byte, packed_bytes, size_bytes, crc32, is_packed)
    elif first_byte is not None:
        entry = TarEntry(first_byte, size_bytes)
    return Row(galaxy_id, path, ra, dec, source, os.fsdecode(name), entry, refused)
