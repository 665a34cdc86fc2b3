"""What to say of a table that is not as its release is known, to the person it wakes."""

import itertools
from pathlib import Path

import pyarrow.parquet as pq

from galaxy_tasks.errors import InputError
from galaxy_tasks.fits_headers import is_fits, read_fits_header
from galaxy_tasks.releases.files import Table, open_bytes
from galaxy_tasks.releases.rules import Release

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


def _has_two_lines(path: Path) -> bool:
    """Return whether a CSV has a line below the first; blank ones do not count."""
    with open_bytes(path) as file:
        lines = iter(lambda: file.readline(_MOST_LINE_BYTES + 1), b"")
        first_lines = list(itertools.islice((line for line in lines if line.strip()), 2))
    if any(len(line) > _MOST_LINE_BYTES for line in first_lines):
        raise InputError(
            f"{path} must have a line for each galaxy, of at most {_MOST_LINE_BYTES:,} bytes. Its "
            "first lines are longer. See how it was published or copied, and fetch it again."
        )
    return len(first_lines) == 2


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
