"""What to say of a table that is not as its release is known, to the person it wakes."""

import csv
import gzip
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from galaxy_tasks.errors import InputError
from galaxy_tasks.fits_headers import is_fits, open_fits, read_fits_header
from galaxy_tasks.releases.files import Table, open_bytes
from galaxy_tasks.releases.rules import Release

_CHUNK_BYTES = 1 << 20
_MOST_LINE_BYTES = 8_000_000


def require_rows(table: Table) -> None:
    """Raise InputError for a table that has a header and nothing below it, or an endless row.

    Spark would find out, too, after a minute and as a count of zero, or out of memory.
    """
    if table.is_parquet:
        is_empty = pq.read_metadata(table.path).num_rows == 0
    elif is_fits(table.path):
        is_empty = read_fits_header(table.path).rows == 0
    else:
        is_empty = not _has_two_lines(table.path)
    if is_empty:
        raise InputError(
            f"{table.path} has the names of {len(table.columns)} columns and no row: expected one "
            "for each galaxy. See whether it was published or copied whole, and fetch it again."
        )


def count_rows(table: Table) -> int:
    """Return the rows of a table, after reading it to its end.

    Raises:
        InputError: it has no row, is damaged, or ends before its end.
    """
    require_rows(table)
    if table.is_parquet:
        try:
            with pq.ParquetFile(table.path) as file:
                return sum(batch.num_rows for batch in file.iter_batches())
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{table.path} is damaged: {error}. Fetch it again.") from error
    if is_fits(table.path):
        with open_fits(table.path) as file:
            while file.read(_CHUNK_BYTES):  # to the end, where gzip has its checksum
                pass
        return read_fits_header(table.path).rows
    try:
        with open_bytes(table.path) as file:
            return _count_lines(table, file)
    except csv.Error as error:
        raise InputError(
            f"{table.path} cannot be read as a CSV: {error}. Fetch it again."
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{table.path} is a damaged or truncated gzip file ({error}). Fetch it again."
        ) from error


def _count_lines(table: Table, file: IO[bytes]) -> int:
    """Count the lines below the header; the last one must have as many cells as the first."""
    lines = _read_lines(table.path, file)
    next(lines)
    count, first, last = 0, b"", b""
    for last in lines:
        count += 1
        first = first or last
    expected, received = (
        len(next(csv.reader([line.decode("utf-8", "replace")], delimiter=table.delimiter)))
        for line in (first, last)
    )
    if expected != received:
        raise InputError(
            f"{table.path} ends within a row, or has line breaks inside cells, which are not read: "
            f"its last line has {received} cells, its first one {expected}. Fetch it again."
        )
    return count


def _has_two_lines(path: Path) -> bool:
    """Return whether a CSV has a line below the first; blank ones do not count."""
    with open_bytes(path) as file:
        return len(list(itertools.islice(_read_lines(path, file), 2))) == 2


def _read_lines(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines that are not blank, of which no more than one is in memory."""
    for line in iter(lambda: file.readline(_MOST_LINE_BYTES + 1), b""):
        if len(line) > _MOST_LINE_BYTES:
            raise InputError(
                f"{path} must have a line for each galaxy, of at most {_MOST_LINE_BYTES:,} bytes, "
                "and has a longer one. See how it was published or copied, and fetch it again."
            )
        if line.strip():
            yield line


def advise(release: Release, table: Table) -> str:
    """Return what may be the matter where a release's columns are not those of the table."""
    if all(_is_number(column) for column in table.columns):
        return "Its first line holds numbers only: the line with the names seems to be missing."
    if "as_given" in release.schemes:
        return "Set 'id_column' and 'class_column' to what this table calls them."
    return (
        f"Release {release.name!r} is known with the columns of {release.reference}, and this "
        "table has others. Is it another release, or a newer version? Then set 'release', fetch "
        "the version that is known, or rename its columns; 'id_column' names another id. Nothing "
        "was made from it, and earlier results are as they were."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
