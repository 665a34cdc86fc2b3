"""The header of a CSV: what stands before it, what separates its cells, and its names."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from galaxy_tasks.errors import InputError

DELIMITERS = (",", ";", "\t", "|")
MOST_HEADER_CHARACTERS = 1_000_000
"""The widest release, with 231 columns, has a header of 8,000."""
_MOST_PREAMBLE_LINES = 10_000
_LINES_AFTER = 3


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
            line = self.text.readline(MOST_HEADER_CHARACTERS + 1)
            if not line:
                return None
            self.read.append(line.strip("\n"))
        return self.read[index]


def read_csv_header(path: Path, text: TextIO) -> CsvHeader:
    """Return the header of a CSV: its first line that is neither blank nor a comment.

    Read as well are: the comments of SkyServer, VizieR and ECSV; a header that is one itself
    (`#id,class`); a line `sep=;` as Excel has it; names with a line break in quotes; the units and
    dashes that VizieR puts below the names; row names without a header, as R writes them; and a
    delimiter at the end of each row.

    Raises:
        InputError: there is no header.
    """
    lines = _Lines(text, [])
    start, separator = _skip_preamble(lines)
    header, end = _join_quoted(lines, start)
    if not header.strip():
        raise InputError(f"{path} is empty: it must begin with the names of its columns.")
    if len(header) > MOST_HEADER_CHARACTERS:
        raise InputError(
            f"{path} must begin with a line of the names of its columns, of at most "
            f"{MOST_HEADER_CHARACTERS:,} characters. Its first line is longer and begins with "
            f"{header[:40]!r}. Is it a table with a row a line? See how it was published or copied."
        )
    delimiter = separator or _find_delimiter(header)
    names = _split_names(path, header, delimiter)
    end = _skip_units(lines, end, delimiter)
    rows = [line for i in range(_LINES_AFTER) if (line := lines.get(end + i))]
    return CsvHeader(_fit_rows(names, rows, delimiter), delimiter, end)


def _skip_preamble(lines: _Lines) -> tuple[int, str]:
    """Return the index of the header's first line, and the delimiter if a line before names it."""
    separator = ""
    for index in range(_MOST_PREAMBLE_LINES):
        line = lines.get(index)
        if line is None:
            break
        if named := re.fullmatch(r"(?i)\W?sep=(.)\W?", line):
            separator = named[1]
        elif line.startswith("# %ECSV"):
            separator = " "
        elif named := re.fullmatch(r"# delimiter: '(.)'", line):
            separator = named[1]
        elif line.strip() and not (line.startswith("#") and _is_comment(lines, index, separator)):
            return index, separator
    return len(lines.read), separator


def _is_comment(lines: _Lines, index: int, separator: str) -> bool:
    """Return whether a line that begins with '#' is a comment and not the names of the columns.

    It is the names if the line below has as many cells and is a row, as a number in it shows. Where
    there are no numbers at all, prose is a comment.
    """
    line, below = (lines.get(index) or "")[1:].strip(" "), lines.get(index + 1) or ""
    delimiter = separator or _find_delimiter(line)
    cells, num_below = line.split(delimiter), len(below.split(delimiter))
    difference = abs(len(cells) - num_below)
    if below.startswith("#") or len(cells) < 2 or difference > (delimiter != " "):
        return True
    if _has_number(below, delimiter):
        return False
    is_prose = delimiter == " " or any(" " in cell.strip() for cell in cells)
    return is_prose or _has_number(lines.get(index + 2) or "", delimiter)


def _has_number(line: str, delimiter: str) -> bool:
    return any(re.fullmatch(r'\s*"?[-+]?[\d.,:]+"?\s*', cell) for cell in line.split(delimiter))


def _join_quoted(lines: _Lines, start: int) -> tuple[str, int]:
    """Return the header, with further lines while a quotation mark is open, and where it ends."""
    header, end = lines.get(start) or "", start + 1
    while header.count('"') % 2 and len(header) <= MOST_HEADER_CHARACTERS:
        if (line := lines.get(end)) is None:
            break
        header, end = f"{header} {line}", end + 1
    return header, end


def _find_delimiter(header: str) -> str:
    """Return the most frequent delimiter; single blanks count where there is no other."""
    delimiter = max(DELIMITERS, key=header.count)
    is_blank = delimiter not in header and re.fullmatch(r"\S+( \S+)+", header)
    return " " if is_blank else delimiter


def _split_names(path: Path, header: str, delimiter: str) -> list[str]:
    """Return the names in a header, without the '#' that may stand before the first."""
    if found := re.match(r"\s*<[!?\w]", header):
        raise InputError(
            f"{path} holds HTML or XML ({header[found.start() :][:40]!r}), perhaps a page that a "
            "server sent in place of the file. Save it as CSV, Parquet or FITS, or fetch it again."
        )
    try:
        names = next(csv.reader([header], delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"{path} must begin with the names of its columns: {error}") from error
    return [re.sub(r"^#\s*", "", names[0].strip()), *(name.strip() for name in names[1:])]


def _skip_units(lines: _Lines, start: int, delimiter: str) -> int:
    """Return where the rows begin: below dashes under each name, and units between, as VizieR's."""
    for index in (start, start + 1):
        cells = (lines.get(index) or "").split(delimiter)
        if all(re.fullmatch(r"\s*-+\s*", cell) for cell in cells):
            return index + 1
    return start


def _fit_rows(names: list[str], rows: Sequence[str], delimiter: str) -> tuple[str, ...]:
    """Return as many names as the rows have cells: a row may end in a delimiter, or be numbered."""
    try:
        cells = [next(csv.reader([row], delimiter=delimiter)) for row in rows]
    except csv.Error:  # whoever reads the rows refuses it
        return tuple(names)
    lengths = {len(row) for row in cells}
    if lengths == {len(names) - 1} and not names[-1]:
        return tuple(names[:-1])
    if lengths != {len(names) + 1}:
        return tuple(names)
    if not any(row[-1].strip() for row in cells):
        return (*names, "")
    is_numbered = [row[0] for row in cells] == [str(n + 1) for n in range(len(cells))]
    return ("", *names) if is_numbered else tuple(names)
