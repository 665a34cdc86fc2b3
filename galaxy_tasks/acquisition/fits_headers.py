"""What a FITS file says of its table: which columns, how they are stored, and where the rows are.

Format: FITS Standard 4.0, sections 4.4 (headers) and 7.3 (binary tables).
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from galaxy_tasks.errors import InputError

FITS_SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")
UNSIGNED_ZERO = 2**63
"""What a column of unsigned integers of 64 bits is shifted by."""
_BLOCK_BYTES = 2880
_MOST_HEADER_BYTES = 1000 * _BLOCK_BYTES  # 999 columns, as many as FITS allows, need 200
_DTYPES = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_OTHER_BYTES = {"C": 8, "M": 16, "P": 8, "Q": 16}


@dataclass(frozen=True, kw_only=True)
class FitsColumn:
    """A column with one value in each cell."""

    name: str
    dtype: str
    """NumPy's name of the type as stored: big-endian; 'S1' for truth values."""
    code: str
    """Letter of the type in FITS."""
    offset: int
    """Where it begins in a row, in bytes."""
    null: int | None = None
    """The stored integer that stands for no value."""
    scale: float = 1
    zero: float = 0
    """The value is what is stored times `scale` plus `zero`."""

    @property
    def is_floating(self) -> bool:
        """Whether the values are floating-point numbers."""
        return self.code in "ED" or (self.code in "BIJK" and not self._is_whole)

    @property
    def _is_whole(self) -> bool:
        zeros = (0, UNSIGNED_ZERO)
        is_exact = self.zero in zeros if self.code == "K" else abs(self.zero) < UNSIGNED_ZERO
        return self.scale == 1 and self.zero == int(self.zero) and is_exact

    @property
    def arrow_type(self) -> pa.DataType:
        """The type that the column gets."""
        if self.is_floating:
            is_single = self.code == "E" and (self.scale, self.zero) == (1, 0)
            return pa.float32() if is_single else pa.float64()
        if self.code in "AL":
            return pa.string() if self.code == "A" else pa.bool_()
        return pa.uint64() if self.zero == UNSIGNED_ZERO else pa.int64()


@dataclass(frozen=True, kw_only=True)
class FitsTable:
    """The one table of a FITS file, as its header tells."""

    path: Path
    columns: tuple[FitsColumn, ...]
    left_out: tuple[str, ...]
    """Columns that do not have one number, truth value or text in each cell."""
    rows: int
    row_bytes: int
    first_byte: int
    """Where the rows begin in the (unpacked) file."""


def is_fits(path: Path) -> bool:
    """Return whether the file's name is that of a FITS file."""
    return path.name.lower().endswith(FITS_SUFFIXES)


def read_fits_header(path: Path) -> FitsTable:
    """Return the table that a FITS file, perhaps gzipped, holds; reads no row.

    Raises:
        InputError: the file is no FITS file, damaged, shorter than its headers say, or holds no
            binary table or several.
    """
    with open_fits(path) as file:
        found = list(_iterate_headers(path, file))
        tables = [(header, first) for header, first in found if _kind(header) == "BINTABLE"]
        if len(tables) != 1:
            raise InputError(
                f"{path} must hold one binary table. Found: "
                f"{', '.join(_describe(header) for header, _ in found)}."
            )
        return _read_table_header(path, *tables[0])


@contextmanager
def open_fits(path: Path) -> Iterator[IO[bytes]]:
    """Yield the unpacked content; turn what a damaged gzip file raises into an InputError."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield file  # pyright: ignore[reportReturnType]
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} is a damaged or truncated gzip file ({error}). Fetch it again."
        ) from error


def _iterate_headers(path: Path, file: IO[bytes]) -> Iterator[tuple[Any, int]]:
    """Yield each header and where its data begin, all of which must be there."""
    start = file.read(30)
    if not re.match(rb"SIMPLE  = {20}T", start):
        raise InputError(f"{path} is no FITS file: it begins with {start[:16]!r}.")
    position = 0
    while position == 0 or start == b"XTENSION":
        file.seek(position)
        header, data_bytes, padded_bytes = _parse_header(path, file)
        first = file.tell()
        if data_bytes:
            file.seek(first + data_bytes - 1)
            if not file.read(1):
                raise truncation_error(path, first + data_bytes)
        yield header, first
        position = first + padded_bytes
        file.seek(position)
        start = file.read(_BLOCK_BYTES)
        if start.strip(b"\0 ") and not start.startswith(b"XTENSION"):
            raise InputError(f"{path} is damaged: no FITS header at byte {position}.")
        start = start[:8]


class _Bounded:
    """A file at the beginning of a header, which must have an end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left_bytes = file, _MOST_HEADER_BYTES

    def read(self, size: int) -> bytes:
        self._left_bytes -= size
        if self._left_bytes < 0:
            raise ValueError(f"it has no end within {_MOST_HEADER_BYTES:,} bytes")
        return self._file.read(size)


def _parse_header(path: Path, file: IO[bytes]) -> tuple[Any, int, int]:
    """Return the header at the file's position, and the bytes of its data without and with fill."""
    with _name_header_damage(path) as fits:
        header = fits.Header.fromfile(_Bounded(file))
        return header, header.data_size, header.data_size_padded


@contextmanager
def _name_header_damage(path: Path) -> Iterator[Any]:
    """Yield astropy.io.fits, and turn what a damaged header makes of it into an InputError."""
    from astropy.io import fits  # half a second, which who has no FITS file need not wait

    try:
        yield fits
    except (gzip.BadGzipFile, EOFError):
        raise  # has its own message
    except (OSError, ValueError, TypeError, KeyError, fits.VerifyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the file's
        raise InputError(
            f"{path} has a damaged or truncated FITS header ({error}). Fetch it again."
        ) from error


def _read_table_header(path: Path, header: Any, first_byte: int) -> FitsTable:
    columns: list[FitsColumn] = []
    left_out: list[str] = []
    offset = 0
    with _name_header_damage(path):
        for number in range(1, int(header["TFIELDS"]) + 1):
            column, width, form = _read_column(header, number, offset)
            offset += width
            if column.dtype:
                columns.append(column)
            else:
                left_out.append(f"{column.name} ({form})")
        rows, row_bytes = int(header["NAXIS2"]), int(header["NAXIS1"])
        if offset != row_bytes or rows < 0:
            raise ValueError(f"{rows} rows of {row_bytes} bytes, of which columns take {offset}")
    names = [column.name.casefold() for column in columns]
    if not names or len(set(names)) < len(names):
        raise InputError(
            f"{path} must have columns of one value a cell, each with a name of its own. "
            f"Found: {', '.join(column.name for column in columns) or 'none'}."
        )
    kept = {"columns": tuple(columns), "left_out": tuple(left_out)}
    return FitsTable(path=path, rows=rows, row_bytes=row_bytes, first_byte=first_byte, **kept)


def _read_column(header: Any, number: int, offset: int) -> tuple[FitsColumn, int, str]:
    """Return a column, the bytes it takes of a row, and its form; without dtype: no single value.

    Raises ValueError for a form that FITS does not know.
    """
    form = str(header[f"TFORM{number}"]).strip()
    match = re.match(r"(\d*)([LXBIJKAEDCMPQ])(.*)", form)
    if match is None:
        raise ValueError(f"TFORM{number} is {form!r}")
    repeat, code = int(match[1] or 1), match[2]
    size = np.dtype(_DTYPES[code]).itemsize if code in _DTYPES else _OTHER_BYTES.get(code, 1)
    width = -(-repeat // 8) if code == "X" else repeat * size
    is_text = code == "A" and repeat > 0 and not match[3] and f"TDIM{number}" not in header
    null = header.get(f"TNULL{number}")
    column = FitsColumn(
        name=str(header.get(f"TTYPE{number}", "")).strip() or f"column_{number}",
        dtype=f"S{repeat}" if is_text else _DTYPES.get(code, "") if repeat == 1 else "",
        code=code,
        offset=offset,
        null=int(null) if null is not None and code in "BIJK" else None,
        scale=float(header.get(f"TSCAL{number}", 1)),
        zero=float(header.get(f"TZERO{number}", 0)),
    )
    return column, width, form


def _describe(header: Any) -> str:
    names = {"BINTABLE": "binary table", "TABLE": "ASCII table", "IMAGE": "image"}
    kind = names.get(_kind(header), _kind(header)) if _kind(header) else "primary header"
    return f"{kind} {header.get('EXTNAME', '')!s}".rstrip()


def _kind(header: Any) -> str:
    """Return the extension's kind; empty for the primary header."""
    kind = str(header.get("XTENSION", "")).strip()
    return "IMAGE" if kind == "BINTABLE" and header.get("ZIMAGE") else kind


def truncation_error(path: Path, expected_bytes: int) -> InputError:
    """Return the error for a file without all of the bytes that its headers ask for."""
    return InputError(
        f"{path} is truncated: its headers ask for {expected_bytes:,} bytes (unpacked) or more. "
        "Fetch it again."
    )
