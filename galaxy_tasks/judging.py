"""What a scheme says of a row: its labels and what is malformed, as columns."""

from collections.abc import Container
from dataclasses import dataclass
from functools import reduce
from operator import add, and_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from galaxy_tasks.releases.rules import (
    Criterion,
    GivenScheme,
    Scheme,
    ShorthandScheme,
    VoteScheme,
)

_MISSING = r"(?i)^(nan|null|none)?$"
ROUNDING = 1e-6
"""How far a published fraction may lie above 1: sums of rounded products do."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a scheme says of a row, as columns."""

    fault: Column
    """Text of what is malformed; null where nothing is."""
    labels: tuple[Column, ...]
    """One column a rule: its label where the row meets it, else null."""
    is_artifact: Column


def parse_numbers(rows: DataFrame, scheme: Scheme, *, minimum_votes: int) -> DataFrame:
    """Return the rows as `judge` takes them: beside each column of votes the number that it says.

    So each is parsed once a row, and not in each of the conditions that compare it.

    Args:
        rows: with the columns that the scheme names, as text or double.
        scheme: as for `judge`.
        minimum_votes: as for `judge`.
    """
    if not isinstance(scheme, VoteScheme):
        return rows
    names = _list_limits(scheme, minimum_votes)
    parsed = {_name_number(name): F.col(f"`{name}`").try_cast("double") for name in names}
    return rows.withColumns(parsed)


def judge(scheme: Scheme, *, minimum_votes: int) -> Verdict:
    """Return the verdict of a scheme on rows that `parse_numbers` has returned for it.

    Args:
        scheme: the way from the row's columns to a label.
        minimum_votes: volunteers who must have answered each question that a rule asks about,
            where the scheme names vote counts; 0 asks for none and reads none.
    """
    if isinstance(scheme, VoteScheme):
        return _judge_votes(scheme, minimum_votes)
    if isinstance(scheme, ShorthandScheme):
        return _judge_shorthand(scheme)
    return _judge_given(scheme)


def is_missing(text: Column) -> Column:
    """Return whether a trimmed text is no value but what programs write for one that is missing."""
    return text.isNull() | text.rlike(_MISSING)


def _judge_votes(scheme: VoteScheme, minimum_votes: int) -> Verdict:
    highest = _list_limits(scheme, minimum_votes)
    blank = scheme.blank_columns
    good = {name: _is_good(name, limit, blank=blank) for name, limit in highest.items()}
    faults = [F.when(~is_good, _quote(name)) for name, is_good in good.items()]
    labels = [
        F.when(
            reduce(and_, (_meets(c, minimum_votes, blank=blank) for c in rule.criteria)),
            F.lit(rule.morphology.value),
        )
        for rule in scheme.rules
    ]
    return Verdict(
        fault=F.when(~reduce(and_, good.values()), F.concat_ws("; ", *faults)),
        labels=tuple(labels),
        is_artifact=F.lit(False),
    )


def _list_limits(scheme: VoteScheme, minimum_votes: int) -> dict[str, float]:
    """Return the columns of votes that are read, each with the greatest number it may have."""
    counts = scheme.vote_columns if minimum_votes > 0 else ()
    highest = dict.fromkeys(scheme.fraction_columns, 1 + ROUNDING)
    return highest | dict.fromkeys(counts, float("inf"))


def _meets(criterion: Criterion, minimum_votes: int, *, blank: Container[str]) -> Column:
    def known(name: str) -> Column:
        # To Spark NaN is greater than every number: a blank would meet every minimum.
        nothing = F.lit(None).cast("double")
        return F.nanvl(_number(name), nothing) if name in blank else _number(name)

    is_met = known(criterion.column) >= criterion.minimum
    if minimum_votes > 0 and criterion.vote_columns:
        is_met &= reduce(add, map(known, criterion.vote_columns)) >= minimum_votes
    return is_met


def _is_good(name: str, highest: float, *, blank: Container[str]) -> Column:
    number = _number(name)
    is_good = number.isNotNull() & ~F.isnan(number) & number.between(0.0, highest)
    text = F.coalesce(F.trim(F.col(f"`{name}`").cast("string")), F.lit(""))
    return is_good | (text == "") | F.isnan(number) if name in blank else is_good


def _quote(name: str) -> Column:
    text = F.col(f"`{name}`").cast("string")
    cell = F.when(text.isNull() | (F.trim(text) == ""), F.lit("nothing")).otherwise(text)
    return F.concat(F.lit(f"{name}="), cell)


def _number(name: str) -> Column:
    return F.col(f"`{_name_number(name)}`")


def _name_number(name: str) -> str:
    return f"{name} as a number"


def _judge_shorthand(scheme: ShorthandScheme) -> Verdict:
    text = F.trim(F.col(f"`{scheme.column}`").cast("string"))
    labels = [
        F.when(text.rlike(rule.pattern), F.lit(rule.morphology.value)) for rule in scheme.rules
    ]
    is_good = F.coalesce(text.rlike(scheme.grammar), F.lit(False))
    return Verdict(
        fault=F.when(~is_good, _quote(scheme.column)),
        labels=tuple(labels),
        is_artifact=F.coalesce(text.rlike(scheme.artifact_pattern), F.lit(False)),
    )


def _judge_given(scheme: GivenScheme) -> Verdict:
    text = F.trim(F.col(f"`{scheme.column}`").cast("string"))
    return Verdict(
        fault=F.when(is_missing(text), _quote(scheme.column)),
        labels=(text,),
        is_artifact=F.lit(False),
    )
