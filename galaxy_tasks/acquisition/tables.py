"""Read a release's files on one machine: a table's header, a folder's images.

Nothing here reads a table's rows: that is Spark's part.
"""

import csv
import difflib
import gzip
import io
import itertools
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from galaxy_tasks.acquisition.fits_headers import (
    FITS_SUFFIXES,
    is_fits,
    open_fits,
    read_fits_header,
)
from galaxy_tasks.acquisition.zip_reader import is_zip, list_entries
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases.schema import Release

TABLE_SUFFIXES = (".csv", ".csv.gz", ".parquet", *FITS_SUFFIXES)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
DELIMITERS = (",", ";", "\t", "|")
MOST_HEADER_CHARACTERS = 1_000_000
"""The widest release, with 231 columns, has a header of 8,000."""
_SHOWN_NAMES = 12


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table on disk as its header tells."""

    path: Path
    columns: tuple[str, ...]
    delimiter: str = ","
    """What separates the cells of a CSV."""
    floating_columns: frozenset[str] = frozenset()
    """Columns stored as floating-point numbers (Parquet, FITS); a CSV's are text."""

    @property
    def is_parquet(self) -> bool:
        """Whether the table is Parquet; else it is CSV or FITS, perhaps gzipped."""
        return self.path.name.lower().endswith(".parquet")

    def find(self, names: Iterable[str]) -> str | None:
        """Return the first of these columns that the table has, in the table's own spelling.

        An exact match goes before one that differs in case.

        Raises:
            InputError: two columns differ only in case, and neither is spelt as asked.
        """
        for name in names:
            if name in self.columns:
                return name
            alike = [column for column in self.columns if column.casefold() == name.casefold()]
            if len(alike) > 1:
                raise InputError(f"{self.path} has several columns like {name!r}: {alike}")
            if alike:
                return alike[0]
        return None


def is_table(path: Path) -> bool:
    """Return whether the file's name is that of a table that can be read."""
    return path.name.lower().endswith(TABLE_SUFFIXES)


def find_table(folder: Path, names: Iterable[str]) -> Path | None:
    """Return the first of these tables that lies in the folder, under its own name or as FITS."""
    names = list(names)
    stems = dict.fromkeys(re.sub(r"(\.csv|\.csv\.gz|\.parquet)$", "", name) for name in names)
    as_fits = [stem + suffix for stem in stems for suffix in FITS_SUFFIXES]
    return next((folder / n for n in (*names, *as_fits) if (folder / n).is_file()), None)


def read_table_header(path: Path) -> Table:
    """Return the columns of a CSV, gzipped CSV, Parquet or FITS file, reading no row.

    Raises:
        InputError: the file is no such table, is empty, is not UTF-8, or repeats a column.
    """
    if path.name.startswith(("_", ".")):
        raise InputError(f"Spark ignores files named like {path.name}. Rename {path}.")
    if not is_table(path):
        raise InputError(f"{path} must end in one of {', '.join(TABLE_SUFFIXES)}.")
    if is_fits(path):
        return _read_fits(path)
    table = _read_parquet_header(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    repeated = sorted({column for column in table.columns if table.columns.count(column) > 1})
    if repeated:
        places = [i for i, column in enumerate(table.columns, start=1) if column == repeated[0]]
        raise InputError(
            f"{path} has columns of the same name: {shorten(map(repr, repeated))}. {repeated[0]!r} "
            f"is that of the columns {shorten(map(str, places))}, counted from 1. Only the "
            "publisher knows which is meant: rename or remove the others."
        )
    return table


def _read_parquet_header(path: Path) -> Table:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from error
    floating = (field.name for field in schema if pa.types.is_floating(field.type))
    return Table(path=path, columns=tuple(schema.names), floating_columns=frozenset(floating))


def _read_fits(path: Path) -> Table:
    found = read_fits_header(path).columns
    floating = frozenset(column.name for column in found if column.is_floating)
    names = tuple(column.name for column in found)
    return Table(path=path, columns=names, floating_columns=floating)


def _read_csv(path: Path) -> Table:
    try:
        with open_bytes(path) as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            lines = iter(lambda: text.readline(MOST_HEADER_CHARACTERS + 1), "")
            header = next((line.rstrip("\r\n") for line in lines if line.strip()), "")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8 text. Received: {error}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is no readable gzip file: {error}") from error
    if not header:
        raise InputError(f"{path} is empty: it must begin with the names of its columns.")
    if len(header) > MOST_HEADER_CHARACTERS:
        raise InputError(
            f"{path} must begin with a line of the names of its columns, of at most "
            f"{MOST_HEADER_CHARACTERS:,} characters. Its first line is longer and begins with "
            f"{header[:40]!r}. Is it a table with a row a line? See how it was published or copied."
        )
    delimiter = max(DELIMITERS, key=header.count)
    try:
        columns = next(csv.reader([header], delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"{path} must begin with the names of its columns: {error}") from error
    return Table(
        path=path, columns=tuple(column.strip() for column in columns), delimiter=delimiter
    )


def open_bytes(path: Path) -> Any:
    """Return a CSV file opened for reading, unpacked if it is gzipped."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def match_columns(
    table: Table, wanted: Mapping[str, tuple[str, ...]], *, optional: Iterable[str] = ()
) -> dict[str, str]:
    """Return for each wanted column what the table calls it.

    Args:
        table: the table's header.
        wanted: for each column all the names it may have, the best first.
        optional: wanted columns that are left out of the result where the table has none.

    Raises:
        InputError: names the columns that are missing and those that are there.
    """
    found = {column: table.find(names) for column, names in wanted.items()}
    missing = [c for c, name in found.items() if name is None and c not in set(optional)]
    if missing:
        expected = shorten(" or ".join(wanted[column]) for column in missing)
        spare = [column for column in table.columns if column not in found.values()]
        alike = [pair for c in missing if (pair := _find_alike(wanted[c], spare))]
        raise InputError(
            f"{table.path} lacks {len(missing)} column(s). Expected: {expected}. "
            f"Found: {shorten(table.columns)}"
            + (f". Nearest to what is missing: {shorten(alike)}" if alike else "")
        )
    return {column: name for column, name in found.items() if name is not None}


def _find_alike(names: Iterable[str], columns: Iterable[str]) -> str | None:
    """Return 'column for name' of the column most like one of the names, if any is much alike."""
    by_fold = {column.casefold(): column for column in columns}
    for name in names:
        if close := difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.75):
            return f"{by_fold[close[0]]} for {name}"
    return None


def shorten(names: Iterable[str]) -> str:
    """Return the first names as one line that says how many more there are."""
    names = list(names)
    more = f", and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return (", ".join(names[:_SHOWN_NAMES]) + more) or "nothing"


def list_images(folder: Path, *, pattern: str) -> dict[str, str]:
    """Return the image names of a folder, or a zip, by the id in them.

    Args:
        folder: listed once, without its subfolders; of a zip all folders count.
        pattern: file name with '{id}' for the id; empty: the id and any image suffix, where of
            two files with the same id that with the earlier suffix in IMAGE_SUFFIXES counts.
    """
    if pattern:
        before, _, after = pattern.partition("{id}")
        expression = re.compile(re.escape(before) + "(.+)" + re.escape(after))
        matches = ((expression.fullmatch(name), name) for name in list_file_names(folder))
        return {match[1]: name for match, name in matches if match}
    by_suffix = sorted(list_file_names(folder), key=_rank_suffix, reverse=True)
    return {Path(name).stem: name for name in by_suffix if is_image(name)}


def is_image(name: str) -> bool:
    """Return whether a file name ends as those of images do."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def _rank_suffix(name: str) -> tuple[int, str]:
    suffix = Path(name).suffix.lower()
    return (IMAGE_SUFFIXES.index(suffix) if suffix in IMAGE_SUFFIXES else 9, name)


def list_file_names(folder: Path) -> list[str]:
    """Return the names of a folder's or zip's files, in no order; hidden files are left out."""
    if is_zip(folder):
        return list(list_entries(folder))
    with os.scandir(folder) as entries:
        return [e.name for e in entries if e.is_file() and not e.name.startswith(".")]


# What to say of a table that is not as its release is known, to the person it wakes.


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
