"""Tell cells that are absent from cells that cannot be read, and refuse a column full of these.

An absent cell is null; see `table_rows.iterate_rows`. All else is present.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from galaxy_tasks.acquisition.tables import Table
from galaxy_tasks.errors import InputError

MOST_UNREADABLE = 0.05
"""Share of a column's cells: with more, the column is not what it is taken for."""
_EXAMPLES = 3
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, kw_only=True)
class CellCheck:
    """What is wrong with a column's cell in each row."""

    column: str
    is_missing: Column
    """Whether the cell is absent where it must not be; never null."""
    is_unreadable: Column
    """Whether it is present and not what is expected; never null."""
    expected: str


def describe_unreadable(checks: Sequence[CellCheck]) -> Column:
    """Return a row's cells that cannot be read, as 'column=value; …'."""
    return F.concat_ws("; ", *map(_quote, checks))


def describe_missing(checks: Sequence[CellCheck]) -> Column:
    """Return a row's cells that are absent and must not be, as text."""
    texts = (F.when(check.is_missing, F.lit(f"{check.column} is empty")) for check in checks)
    return F.concat_ws("; ", *texts)


def require_readable(
    rows: DataFrame, checks: Sequence[CellCheck], *, table: Table, names: Mapping[str, str]
) -> None:
    """Raise InputError where a column cannot be read in more than MOST_UNREADABLE of the rows.

    It names the column, three of its values, and what was expected.

    Args:
        rows: what the checks apply to; read once, and again for the examples.
        checks: of the columns that are read.
        table: where the rows come from.
        names: for each column what the table calls it.
    """
    counts = [F.count_if(check.is_unreadable).alias(str(n)) for n, check in enumerate(checks)]
    ((*unreadable, total),) = rows.agg(*counts, F.count("*")).collect()
    faults = [
        _describe_column(rows, check, name=names[check.column], count=count, total=total)
        for check, count in zip(checks, unreadable, strict=True)
        if count > MOST_UNREADABLE * total
    ]
    if faults:
        raise InputError(
            f"{table.path} has {len(faults)} column(s) that cannot be read in more than "
            f"{MOST_UNREADABLE:.0%} of the rows. {' '.join(faults[:_EXAMPLES])} Mend the table, or "
            "name the column that is meant in the settings."
        )


def _describe_column(
    rows: DataFrame, check: CellCheck, *, name: str, count: int, total: int
) -> str:
    text = F.col(f"`{check.column}`").cast("string").alias("text")
    found = rows.where(check.is_unreadable).select(text).limit(20).distinct().limit(_EXAMPLES)
    values = ", ".join(repr(row["text"][:_SHOWN_CHARACTERS]) for row in found.collect())
    return f"{name!r}: {count:,} of {total:,} rows, such as {values}. Expected: {check.expected}."


def _quote(check: CellCheck) -> Column:
    text = F.substring(F.col(f"`{check.column}`").cast("string"), 1, _SHOWN_CHARACTERS)
    return F.when(check.is_unreadable, F.concat(F.lit(f"{check.column}="), text))
