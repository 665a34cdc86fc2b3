"""The table of a FITS file: its columns, and its rows a chunk at a time, as astropy reads them.

Given a whole file, astropy would hold all rows of a gzipped one in memory. Columns of vectors,
complex numbers or bits, which no cell of a table of galaxies needs, are passed over.

Format: FITS Standard 4.0, sections 4.4 (headers) and 7.3 (binary tables).
"""

import gzip
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io import fits as astropy_fits

from galaxy_tasks.errors import InputError

_fits: Any = astropy_fits  # its types are too wide to be of use
_BLOCK_BYTES = 2880
_MOST_HEADER_BYTES = 1000 * _BLOCK_BYTES  # 999 columns, as many as FITS allows, need 200
_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True, kw_only=True)
class FitsTable:
    """The one table of a FITS file, as its header describes it."""

    header: Any
    """Its columns are named by their number, since published names may repeat."""
    first_byte: int
    """Where the rows begin in the unpacked file."""
    columns: dict[int, str]
    """The published name of each column with one value a cell, by the column's number."""
    floating_columns: frozenset[str]
    rows: int


def read_fits_header(path: Path, file: IO[bytes]) -> FitsTable:
    """Return the table that a FITS file holds; reads no row.

    Args:
        path: names the file in messages.
        file: its unpacked content, which can be sought in.

    Raises:
        InputError: the file is not FITS, is damaged, or holds no binary table or several.
    """
    headers = list(_iterate_headers(path, file))
    tables = [(header, first) for header, first in headers if _name_kind(header) == "binary table"]
    if len(tables) != 1:
        found = (f"{_name_kind(h)} {h.get('EXTNAME', '')!s}".rstrip() for h, _ in headers)
        raise InputError(f"{path} must hold one binary table. Found: {', '.join(found)}.")
    with _report_damage(path):
        return _describe_table(*tables[0])


def iterate_fits(path: Path, file: IO[bytes], names: Sequence[str]) -> Iterator[list[pa.Array]]:
    """Yield the values of these columns, some rows at a time: numbers, truth values, or bytes.

    What has no value is null: NaN, and an integer that the header names as such.

    Args:
        path: names the file in messages.
        file: its unpacked content, which can be sought in.
        names: published names of columns with one value a cell.

    Raises:
        InputError: as `read_fits_header`; or the file ends early, or a row is longer than 16 MiB.
    """
    table = read_fits_header(path, file)
    numbers = {name: number for number, name in reversed(table.columns.items())}
    row_bytes = int(table.header["NAXIS1"])
    if not 0 < row_bytes <= _CHUNK_BYTES:
        raise InputError(
            f"{path} must have rows of at most {_CHUNK_BYTES:,} bytes, one for each galaxy. Its "
            f"header asks for {row_bytes:,}."
        )
    rows_of_chunk = _CHUNK_BYTES // row_bytes
    file.seek(table.first_byte)
    for first in range(0, table.rows, rows_of_chunk):
        rows = min(rows_of_chunk, table.rows - first)
        content = file.read(rows * row_bytes)
        if len(content) != rows * row_bytes:
            raise InputError(
                f"{path} is truncated: its header promises {table.rows:,} rows. Fetch it again."
            )
        with _report_damage(path):
            chunk = _read_chunk(table.header, rows, content)
            arrays = [_convert(chunk, numbers[name]) for name in names]
        yield arrays


def _iterate_headers(path: Path, file: IO[bytes]) -> Iterator[tuple[Any, int]]:
    """Yield each header, and the first byte of what it describes."""
    start = file.read(30)
    if not re.match(rb"SIMPLE  = {20}T", start):
        raise InputError(f"{path} is not a FITS file: it begins with {start[:16]!r}.")
    position = 0
    while position == 0 or start == b"XTENSION":
        file.seek(position)
        with _report_damage(path):
            header = _fits.Header.fromfile(_Bounded(file))
            first = file.tell()
            position = first + header.data_size_padded
        yield header, first
        file.seek(position)
        start = file.read(8)
        if start.strip(b"\0 ") and start != b"XTENSION":
            raise InputError(f"{path} is damaged: no FITS header at byte {position}.")


class _Bounded:
    """A file at the beginning of a header, which must have an end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left_bytes = file, _MOST_HEADER_BYTES

    def read(self, size: int) -> bytes:
        self._left_bytes -= size
        if self._left_bytes < 0:
            raise ValueError(f"it has no end within {_MOST_HEADER_BYTES:,} bytes")
        return self._file.read(size)


@contextmanager
def _report_damage(path: Path) -> Iterator[None]:
    """Turn what a damaged header makes astropy raise, which is of many types, into InputError."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of what astropy mends
            yield
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise  # the packed file is damaged, which whoever opened it reports
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the file's
        raise InputError(
            f"{path} cannot be read as FITS ({error}). If it is damaged, fetch it again."
        ) from error


def _name_kind(header: Any) -> str:
    kind = str(header.get("XTENSION", "")).strip()
    if kind == "BINTABLE" and header.get("ZIMAGE"):
        return "image"
    names = {"": "primary header", "BINTABLE": "binary table", "TABLE": "ASCII table"}
    return names.get(kind, kind.lower())


def _describe_table(header: Any, first_byte: int) -> FitsTable:
    names = {}
    for number in range(1, int(header["TFIELDS"]) + 1):
        names[number] = str(header.get(f"TTYPE{number}", "")).strip() or f"column_{number}"
        header[f"TTYPE{number}"] = str(number)
    rows = int(header["NAXIS2"])
    empty = _read_chunk(header, 0, b"")
    if rows < 0 or empty.dtype.itemsize != header["NAXIS1"]:
        raise ValueError(f"{rows} rows of {header['NAXIS1']} bytes, not {empty.dtype.itemsize}")
    columns = {number: name for number, name in names.items() if _is_scalar(empty, number)}
    floating = (name for number, name in columns.items() if empty[str(number)].dtype.kind == "f")
    return FitsTable(
        header=header,
        first_byte=first_byte,
        columns=columns,
        floating_columns=frozenset(floating),
        rows=rows,
    )


def _is_scalar(chunk: Any, number: int) -> bool:
    """Return whether each cell of a column holds one number, truth value or text."""
    column, dtype = chunk.columns[str(number)], np.asarray(chunk).dtype[str(number)]
    return dtype.shape == () and dtype.itemsize > 0 and not set(column.format) & set("CMPQX")


def _read_chunk(header: Any, rows: int, content: bytes) -> Any:
    """Return some rows as a table of their own."""
    own = header.copy()
    own["NAXIS2"], own["PCOUNT"] = rows, 0
    whole = own.tostring().encode() + content + bytes(-len(content) % _BLOCK_BYTES)
    return _fits.BinTableHDU.fromstring(whole, uint=True).data


def _convert(chunk: Any, number: int) -> pa.Array:
    stored: Any = np.asarray(chunk)[str(number)]
    column = chunk.columns[str(number)]
    if stored.dtype.kind == "S":
        compute: Any = pc  # its stubs lack most functions
        text = pa.array(stored, pa.binary())
        return compute.replace_substring_regex(text, r"(?s)\x00.*", "")  # it ends at a zero byte
    if "L" in column.format:
        return pa.array(stored == ord("T"), mask=~np.isin(stored, [ord("T"), ord("F")]))
    values = chunk[str(number)]
    is_null = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    if column.null is not None:
        is_null |= stored == int(column.null)
    return pa.array(values.astype(values.dtype.newbyteorder("=")), mask=is_null)
