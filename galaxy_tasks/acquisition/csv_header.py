"""The header of a CSV: what stands before it, what separates its cells, and its names."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from galaxy_tasks.errors import InputError, show

_MOST_HEADER_CHARACTERS = 1_000_000
"""The widest release, with 231 columns, has a header of 8,000."""
_DELIMITERS = (",", ";", "\t", "|", " ")
_MOST_PREAMBLE_LINES = 10_000
_MOST_NAME_LINES = 20
_ROWS = 5
"""Rows that are looked at to tell names from comments, and what separates cells."""
_USUAL_NAMES = {
    *("id", "objid", "name", "class", "label", "morphology", "type", "ra", "dec", "filename"),
    *("galaxy_id", "image", "iauname", "id_str", "dr7objid", "asset_id"),
}
_OPEN_QUOTE = re.compile(r'(?:^|[,;\t|])\s*"(?:[^"]|"")*$')
_NO_CSV = {
    r"\s*<[!?\w]": "HTML or XML, perhaps a page that a server sent in place of the file",
    r"\s*[\[{]*\{": "JSON",
    r"\+-+\+": "a table as a database prints it",
}
"""How a first line begins that is none of a CSV."""
_NUMBER = re.compile(r"\s*[-+]?[\d.,:]+\s*")


@dataclass(frozen=True)
class CsvHeader:
    """What a CSV's first lines say."""

    columns: tuple[str, ...]
    delimiter: str
    num_lines: int
    """Lines before the first row."""


@dataclass
class _Lines:
    """The first lines of a file, read as far as they are asked for."""

    text: TextIO
    read: list[str]

    def get(self, index: int) -> str | None:
        """Return a line by its index, without its end; None behind the last one.

        Of one that is too long only the beginning is held.
        """
        while len(self.read) <= index:
            line = self.text.readline(_MOST_HEADER_CHARACTERS + 1)
            if not line:
                return None
            self.read.append(line.strip("\n"))
        return self.read[index]

    def list_rows(self, start: int) -> list[str]:
        """Return the first lines from there on, without blank ones."""
        lines = (self.get(start + place) for place in range(_ROWS))
        return [line for line in lines if line and line.strip()]


def read_csv_header(path: Path, text: TextIO) -> CsvHeader:
    """Return the header of a CSV: its first line that is neither blank nor a comment.

    Read as well are: the comments of SkyServer, VizieR and ECSV; a header that is one itself
    (`#id,class`); a line `sep=;` as Excel has it; names with a line break in quotes; the units and
    dashes that VizieR puts below the names; row names without a header, as R writes them; and a
    delimiter at the end of each row.

    Raises:
        InputError: there is no header, or what is there is no CSV.
    """
    lines = _Lines(text, [])
    start, separator = _skip_preamble(lines)
    header, end = _join_quoted(lines, start)
    if not header.strip():
        raise InputError(f"{path} is empty: it must begin with the names of its columns.")
    if len(header) > _MOST_HEADER_CHARACTERS:
        raise InputError(
            f"{path} must begin with a line of the names of its columns, of at most "
            f"{_MOST_HEADER_CHARACTERS:,} characters. Its first line is longer and begins with "
            f"{header[:40]!r}. Is it a table with a row a line? See how it was published or copied."
        )
    _require_csv(path, header)
    header = re.sub(r"^\s*#\s*", "", header)
    delimiter = separator or _find_delimiter(header, lines.list_rows(end))
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
    except csv.Error as error:
        raise InputError(f"{path} must begin with the names of its columns: {error}") from error
    if len(names) == 1 and re.search(r"\S\s+\S", header):
        raise InputError(
            f"{path} must have a comma, semicolon, tab or vertical bar between the names of its "
            f"columns. Received: {show(header)}"
        )
    end = _skip_units(lines, end, delimiter)
    names = _fit_rows(names, lines.list_rows(end), delimiter, is_quoted=header.startswith('"'))
    return CsvHeader(names, delimiter, end)


def _require_csv(path: Path, header: str) -> None:
    found = next((what for start, what in _NO_CSV.items() if re.match(start, header)), None)
    if found or "\0" in header:
        raise InputError(
            f"{path} is named as CSV and holds {found or 'UTF-16 text without its mark, or data'}: "
            f"it begins with {show(header[:40].strip())}. Save it as CSV in UTF-8, Parquet or FITS."
        )


def _skip_preamble(lines: _Lines) -> tuple[int, str]:
    """Return the index of the header's first line, and the delimiter if a line before names it."""
    separator = ""
    for index in range(_MOST_PREAMBLE_LINES):
        line = lines.get(index)
        if line is None:
            break
        if named := re.fullmatch(r"(?i)\W?sep=(.)\W*", line):
            separator = named[1]
        elif line.startswith("# %ECSV"):
            separator = " "
        elif named := re.fullmatch(r"# delimiter: '(.)'", line):
            separator = named[1]
        elif line.strip(" ,;\t|") and not (line.startswith("#") and _is_comment(lines, index)):
            return index, separator
    return len(lines.read), separator


def _is_comment(lines: _Lines, index: int) -> bool:
    """Return whether a line that begins with '#' is a comment and not the names of the columns.

    It is the names if the line below has as many cells and is a row: a number in it shows that, or
    else that it has none of the usual names of columns.
    """
    line = (lines.get(index) or "")[1:].strip(" ")
    below, *rows = [*lines.list_rows(index + 1), ""]
    if below.startswith("#"):
        return True
    delimiter = _find_delimiter(line, [below])
    cells, cells_below = _split(line, delimiter), _split(below, delimiter)
    if len(cells) < 2 or abs(len(cells) - len(cells_below)) > (delimiter != " "):
        return True
    if _has_number(cells_below):
        return False
    if _has_usual_name(cells_below) or any(_has_number(_split(r, delimiter)) for r in rows):
        return True
    is_prose = delimiter == " " or any(" " in cell.strip() for cell in cells)
    return is_prose and not _has_usual_name(cells)


def _has_number(cells: Sequence[str]) -> bool:
    return any(_NUMBER.fullmatch(cell) for cell in cells)


def _has_usual_name(cells: Sequence[str]) -> bool:
    return any(cell.strip().casefold() in _USUAL_NAMES for cell in cells)


def _join_quoted(lines: _Lines, start: int) -> tuple[str, int]:
    """Return the header, with further lines while a name in quotes is open, and where it ends."""
    header, end = lines.get(start) or "", start + 1
    while len(header) <= _MOST_HEADER_CHARACTERS and _OPEN_QUOTE.search(header):
        line = lines.get(end)
        if line is None or end == start + _MOST_NAME_LINES:
            break
        header, end = f"{header} {line}", end + 1
    return header, end


def _find_delimiter(header: str, rows: Sequence[str]) -> str:
    """Return what cuts the header into most cells, and the rows into as many.

    Blanks do where nothing else does, and no two stand together.
    """

    def rank(delimiter: str) -> tuple[bool, bool, int]:
        width = len(_split(header, delimiter))
        is_alike = all(abs(len(_split(row, delimiter)) - width) <= 1 for row in rows)
        if delimiter == " ":
            return False, is_alike and "  " not in header.strip(), width
        return width > 1, is_alike, width

    return max(_DELIMITERS, key=rank)


def _split(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line; of one that csv refuses, the whole."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [""])
    except csv.Error:
        return [line]


def _skip_units(lines: _Lines, start: int, delimiter: str) -> int:
    """Return where the rows begin: below dashes under each name, and units between, as VizieR's."""
    for index in (start, start + 1):
        cells = (lines.get(index) or "").split(delimiter)
        has_dashes = all(re.fullmatch(r"\s*-+\s*", cell) for cell in cells)
        if has_dashes and max(map(len, cells)) > 1:
            return index + 1
        if _has_number(cells):
            break
    return start


def _fit_rows(
    names: list[str], rows: Sequence[str], delimiter: str, *, is_quoted: bool
) -> tuple[str, ...]:
    """Return as many names as the rows have cells: a row may end in a delimiter, or have a name.

    R writes the names of rows without a header, in quotes or where blanks separate cells. Elsewhere
    one cell more is a fault.
    """
    cells = [_split(row, delimiter) for row in rows]
    lengths = {len(row) for row in cells}
    if lengths == {len(names) - 1} and not names[-1]:
        return tuple(names[:-1])
    if lengths != {len(names) + 1}:
        return tuple(names)
    if not any(row[-1].strip() for row in cells):
        return (*names, "")
    is_named = delimiter == " " or (is_quoted and all(row.startswith('"') for row in rows))
    return ("", *names) if is_named else tuple(names)
