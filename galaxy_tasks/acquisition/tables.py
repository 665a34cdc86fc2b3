"""Open a table, whatever its format, and match its columns to those that are asked for.

`table_rows` reads its rows by the same rules: nothing else decides a table's encoding, line ends or
names.
"""

import codecs
import difflib
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from galaxy_tasks.acquisition.csv_header import read_csv_header
from galaxy_tasks.errors import InputError, show
from galaxy_tasks.formatting import shorten
from galaxy_tasks.releases.schema import Release

FITS_SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")
VOTABLE_SUFFIXES = (".vot", ".votable")
TABLE_SUFFIXES = (
    *(".csv", ".csv.gz", ".tsv", ".tsv.gz", ".ecsv", ".parquet"),
    *FITS_SUFFIXES,
    *VOTABLE_SUFFIXES,
)
UTF_8, UTF_16 = "utf-8", "utf-16"
_OTHER_FORMATS = {
    b"PK\x03\x04": "a spreadsheet or a zip",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"PAR1": "Parquet",
    b"SIMPLE  =": "FITS",
    b"\x89HDF": "HDF5",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}
_UNREAD_SUFFIXES = (
    *(".xlsx", ".xls", ".ods", ".xml", ".html", ".txt", ".dat", ".gz"),
    *(".json", ".feather", ".arrow", ".h5", ".hdf5", ".sqlite", ".db", ".rds", ".bz2", ".xz"),
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table on disk as its header describes it."""

    path: Path
    format: Literal["csv", "parquet", "fits", "votable"]
    columns: tuple[str, ...]
    rows: int | None = None
    """None where only reading them would tell."""
    floating_columns: frozenset[str] = frozenset()
    """Columns stored as floating-point numbers; a CSV's are text."""
    delimiter: str = ","
    """What separates the cells of a CSV."""
    header_lines: int = 1
    """Lines of a CSV up to and with that of the names."""
    encoding: str = UTF_8
    """Encoding of a CSV: UTF-16 where it begins with its mark, as a spreadsheet's Unicode text."""

    def find(self, names: Iterable[str]) -> str | None:
        """Return the first of these columns that the table has, in the table's own spelling.

        An exact match goes before one that differs in case.

        Raises:
            InputError: several columns have the name, or differ from it and each other in case.
        """
        for name in names:
            alike = [column for column in self.columns if column.casefold() == name.casefold()]
            exact = [column for column in alike if column == name]
            found = exact or alike
            if len(found) > 1:
                places = [i for i, own in enumerate(self.columns, start=1) if own in found]
                raise InputError(
                    f"{self.path} has several columns like {name!r}: {shorten(map(repr, found))}, "
                    f"in the places {shorten(map(str, places))}, counted from 1. Only the "
                    "publisher knows which is meant: rename or remove the others."
                )
            if found:
                return found[0]
        return None


def is_table(path: Path) -> bool:
    """Return whether the file's name is that of a table that can be read."""
    return path.name.lower().endswith(TABLE_SUFFIXES)


def describe_unread(folder: Path) -> str:
    """Return a sentence on the files that may be tables and are of no kind that is read, or ''."""
    names = [path.name for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    unread = [name for name in names if name.lower().endswith(_UNREAD_SUFFIXES)]
    return (
        f" Not read as tables: {shorten(unread)}. Save as CSV, Parquet, FITS or VOTable, under a "
        f"name that ends in {', '.join(TABLE_SUFFIXES)}."
        if unread
        else ""
    )


def is_fits(path: Path) -> bool:
    """Return whether the file's name is that of a FITS file."""
    return path.name.lower().endswith(FITS_SUFFIXES)


def find_table(folder: Path, names: Iterable[str]) -> Path | None:
    """Return the first of these tables that lies in the folder, under its own name or as FITS."""
    names = list(names)
    stems = dict.fromkeys(re.sub(r"(\.csv|\.csv\.gz|\.parquet)$", "", name) for name in names)
    as_fits = [stem + suffix for stem in stems for suffix in FITS_SUFFIXES]
    paths = [folder / name for name in (*names, *as_fits)]
    return next((path for path in paths if path.is_file() or list_parts(path)), None)


def list_parts(path: Path) -> list[Path]:
    """Return the file, or the Parquet files of a folder in the order of their names."""
    if not path.is_dir():
        return [path] if path.exists() else []
    parts = path.glob("*.parquet") if path.name.lower().endswith(".parquet") else ()
    return sorted(part for part in parts if part.is_file() and not part.name.startswith((".", "_")))


def read_table_header(path: Path) -> Table:
    """Return the columns of a CSV, gzipped CSV, Parquet, FITS or VOTable file.

    Only of a VOTable rows are read.

    Raises:
        InputError: the file is no such table, or is empty.
    """
    if not is_table(path):
        raise InputError(f"{path} must end in one of {', '.join(TABLE_SUFFIXES)}.")
    if not path.exists():
        raise InputError(f"{path} does not exist, or is a link to nothing.")
    if path.is_dir() and not list_parts(path):
        raise InputError(
            f"{path} is a folder. A table must be one file, or a folder NAME.parquet of Parquet "
            "files, without folders below it."
        )
    if is_fits(path):
        return _read_fits_header(path)
    if path.name.lower().endswith(VOTABLE_SUFFIXES):
        return _read_votable_header(path)
    is_parquet = path.name.lower().endswith(".parquet")
    return _read_parquet_header(path) if is_parquet else _read_csv_header(path)


def _read_parquet_header(path: Path) -> Table:
    parts, rows = list_parts(path), 0
    schemas: dict[Path, pa.Schema] = {}
    for part in parts:
        try:
            with pq.ParquetFile(part) as file:
                schemas[part], rows = file.schema_arrow, rows + file.metadata.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{part} is no readable Parquet file: {error}") from error
    schema = schemas[parts[0]]
    if other := next((part for part in parts if not schemas[part].equals(schema)), None):
        raise InputError(
            f"{path}: {parts[0].name} and {other.name} have other columns, or hold other types in "
            "them. Write the parts alike, or into one file."
        )
    floating = frozenset(field.name for field in schema if pa.types.is_floating(field.type))
    columns = tuple(schema.names)
    return Table(path=path, format="parquet", columns=columns, rows=rows, floating_columns=floating)


def _read_fits_header(path: Path) -> Table:
    # Importing astropy takes half a second, which only a FITS table is worth.
    from galaxy_tasks.acquisition.fits import read_fits_header

    with open_unpacked(path) as file:
        found = read_fits_header(path, file)
    return Table(
        path=path,
        format="fits",
        columns=tuple(found.columns.values()),
        rows=found.rows,
        floating_columns=found.floating_columns,
    )


def _read_votable_header(path: Path) -> Table:
    from galaxy_tasks.acquisition.votable import read_votable

    columns = read_votable(path)
    floating = (name for name, values in columns.items() if pa.types.is_floating(values.type))
    return Table(
        path=path,
        format="votable",
        columns=tuple(columns),
        rows=max(map(len, columns.values()), default=0),
        floating_columns=frozenset(floating),
    )


def _read_csv_header(path: Path) -> Table:
    with open_unpacked(path) as file:
        _require_text(path, file.read(len(max(_OTHER_FORMATS, key=len))))
        file.seek(0)
        # What is not UTF-8 is no name that is looked for; whoever reads the rows refuses it.
        is_utf_16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        file.seek(0)
        encoding = UTF_16 if is_utf_16 else "utf-8-sig"
        text = io.TextIOWrapper(file, encoding=encoding, errors="replace")  # pyright: ignore[reportArgumentType]
        header = read_csv_header(path, text)
    return Table(
        path=path,
        format="csv",
        columns=header.columns,
        delimiter=header.delimiter,
        header_lines=header.num_lines,
        encoding=UTF_16 if is_utf_16 else UTF_8,
    )


def _require_text(path: Path, start: bytes) -> None:
    """Raise InputError for a file whose first bytes are those of another format."""
    for magic, what in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise InputError(
                f"{path} is named as CSV and holds {what}. Rename it, or save it as CSV."
            )


def is_gzipped(path: Path) -> bool:
    """Return whether a file is gzipped, whatever its name: browsers unpack, and servers pack."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file's content, unpacked where it is gzipped.

    Raises:
        InputError: it cannot be opened, or turns out to be a damaged gzip file while it is read.
    """
    try:
        opened = gzip.open(path) if is_gzipped(path) else path.open("rb")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        with opened as file:
            yield file  # pyright: ignore[reportReturnType]
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} is a damaged or truncated gzip file ({error}). Fetch it again."
        ) from error


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
            f"Found: {shorten(map(show, table.columns))}"
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
