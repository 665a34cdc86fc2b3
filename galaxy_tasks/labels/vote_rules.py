"""Turn catalogue rows into labels: DataFrame in, DataFrame out.

Every row leaves with a label or with the reason why it has none; no row is filtered out here. Input
rows have the columns galaxy_id, ra and dec (the last two null where the release has no positions),
the boolean is_broken (more or fewer cells than the header), and the columns that the scheme names.
What is absent is null. Nothing here runs Python on an executor.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add, and_, or_

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from galaxy_tasks.labels.cells import CellCheck, describe_missing, describe_unreadable
from galaxy_tasks.labels.positions import check_positions, degrees, parse_positions
from galaxy_tasks.labels.quarantine import (
    ARTIFACT,
    CONTRADICTORY,
    DUPLICATE,
    FAULTS,
    IGNORED,
    MALFORMED,
    MISSING,
    NO_IMAGE,
    NO_RULE,
    SEVERAL_RULES,
    UNREADABLE,
)
from galaxy_tasks.labels.split import group_rows
from galaxy_tasks.releases.schema import (
    Criterion,
    GivenScheme,
    LabelRule,
    Scheme,
    ShorthandScheme,
    VoteScheme,
)

POSITION = ("sky_group", "ra_degrees", "dec_degrees")
"""A galaxy's group for the split, and its position."""

FLOATING_ID = r"^[+-]?((\d+\.\d*|\.\d+)([eE][+-]?\d+)?|\d+[eE][+-]\d+)$"
"""An id that went through floating point, and lost the last three of 18 digits. It has a point or a
signed exponent: digits with an e but no sign may be hexadecimal."""

ROUNDING = 1e-6
"""How far a published fraction may exceed 1, as sums of rounded products do."""
MOST_VOTES = 1e9
CONTESTED = "contested"
"""Label of what meets no rule, or several, where such galaxies are used."""


@dataclass(frozen=True, kw_only=True)
class SchemeOutcome:
    """The outcome of a scheme for each row, as columns."""

    checks: tuple[CellCheck, ...]
    """What is wrong with each column that the scheme reads."""
    labels: tuple[Column, ...]
    """One column for each rule: its label where the row meets it, else null."""
    agreements: tuple[Column, ...]
    """For each rule the smallest of the vote fractions that it rests on, where the row meets it;
    else null, as where the release has no votes."""
    is_artifact: Column


def parse_rows(rows: DataFrame, scheme: Scheme, *, minimum_votes: int) -> DataFrame:
    """Return the rows with their position and each column of votes parsed beside it.

    So each cell is parsed once, not in every condition that compares it.

    Args:
        rows: with ra, dec and the columns that the scheme names, as text or double.
        scheme: as for `apply_scheme`.
        minimum_votes: as for `apply_scheme`.
    """
    limits = _list_limits(scheme, minimum_votes) if isinstance(scheme, VoteScheme) else {}
    parsed = {_name_number(name): F.col(f"`{name}`").try_cast("double") for name in limits}
    return parse_positions(rows.withColumns(parsed))


def check_cells(scheme: Scheme, *, minimum_votes: int) -> tuple[CellCheck, ...]:
    """Return what is wrong with each cell of rows that `parse_rows` returned for a scheme."""
    outcome = apply_scheme(scheme, minimum_votes=minimum_votes)
    return (_check_id(), *check_positions(), *outcome.checks)


def apply_scheme(scheme: Scheme, *, minimum_votes: int) -> SchemeOutcome:
    """Return the outcome of a scheme for rows that `parse_rows` returned for it.

    Args:
        scheme: how a row's columns become a label.
        minimum_votes: volunteers who must have answered each question that a rule uses, where the
            scheme names vote counts; with 0 no counts are read.
    """
    if isinstance(scheme, VoteScheme):
        return _apply_votes(scheme, minimum_votes)
    if isinstance(scheme, ShorthandScheme):
        return _apply_shorthand(scheme)
    return _apply_given(scheme)


def _apply_votes(scheme: VoteScheme, minimum_votes: int) -> SchemeOutcome:
    blank = scheme.blank_columns
    is_met = [
        reduce(and_, (_meets(criterion, minimum_votes) for criterion in rule.criteria))
        for rule in scheme.rules
    ]
    rules = list(zip(is_met, scheme.rules, strict=True))
    return SchemeOutcome(
        checks=tuple(
            _check_number(name, limit, may_be_blank=name in blank)
            for name, limit in _list_limits(scheme, minimum_votes).items()
        ),
        labels=tuple(F.when(met, F.lit(rule.morphology.value)) for met, rule in rules),
        agreements=tuple(F.when(met, _find_smallest(rule)) for met, rule in rules),
        is_artifact=F.lit(False),
    )


def _find_smallest(rule: LabelRule) -> Column:
    fractions = [_number(criterion.column) for criterion in rule.criteria]
    return F.least(*fractions) if len(fractions) > 1 else fractions[0]


def _list_limits(scheme: VoteScheme, minimum_votes: int) -> dict[str, float]:
    """Return the columns of votes that are read, each with the largest value allowed in it."""
    counts = scheme.vote_columns if minimum_votes > 0 else ()
    highest = dict.fromkeys(scheme.fraction_columns, 1 + ROUNDING)
    return highest | dict.fromkeys(counts, MOST_VOTES)


def _meets(criterion: Criterion, minimum_votes: int) -> Column:
    is_met = _number(criterion.column) >= criterion.minimum
    if minimum_votes > 0 and criterion.vote_columns:
        is_met &= reduce(add, map(_number, criterion.vote_columns)) >= minimum_votes
    return is_met


def _check_number(name: str, highest: float, *, may_be_blank: bool) -> CellCheck:
    cell, number = F.col(f"`{name}`"), _number(name)
    # Spark orders NaN above every number, so that it is in no range.
    is_good = F.coalesce(number.between(0.0, highest), F.lit(False))
    return CellCheck(
        column=name,
        is_missing=F.lit(False) if may_be_blank else cell.isNull(),
        is_unreadable=cell.isNotNull() & ~is_good,
        expected="a number of volunteers" if highest == MOST_VOTES else "a fraction from 0 to 1",
    )


def _number(name: str) -> Column:
    return F.col(f"`{_name_number(name)}`")


def _name_number(name: str) -> str:
    return f"{name} as a number"


def _apply_shorthand(scheme: ShorthandScheme) -> SchemeOutcome:
    text = _text(scheme.column)
    labels = [
        F.when(text.rlike(rule.pattern), F.lit(rule.morphology.value)) for rule in scheme.rules
    ]
    check = CellCheck(
        column=scheme.column,
        is_missing=text.isNull(),
        is_unreadable=F.coalesce(~text.rlike(scheme.grammar), F.lit(False)),
        expected="the release's shorthand, such as 'Er' or 'SBc2m'",
    )
    return SchemeOutcome(
        checks=(check,),
        labels=tuple(labels),
        agreements=(_no_votes(),),
        is_artifact=F.coalesce(text.rlike(scheme.artifact_pattern), F.lit(False)),
    )


def _apply_given(scheme: GivenScheme) -> SchemeOutcome:
    text = _text(scheme.column)
    check = CellCheck(
        column=scheme.column,
        is_missing=text.isNull(),
        is_unreadable=F.lit(False),
        expected="the name of a class",
    )
    return SchemeOutcome(
        checks=(check,), labels=(text,), agreements=(_no_votes(),), is_artifact=F.lit(False)
    )


def _no_votes() -> Column:
    return F.lit(None).cast("double")


def _text(name: str) -> Column:
    """Return a column as trimmed text, null where nothing is left."""
    text = F.trim(F.col(f"`{name}`").cast("string"))
    return F.when(text != "", text)


def _check_id() -> CellCheck:
    galaxy_id = _text("galaxy_id")
    return CellCheck(
        column="galaxy_id",
        is_missing=galaxy_id.isNull(),
        is_unreadable=F.coalesce(galaxy_id.rlike(FLOATING_ID), F.lit(False)),
        expected="ids as they were published; numbers with a point or an exponent have been "
        "through floating point, and lost all but the first 15 digits",
    )


def label_rows(
    rows: DataFrame,
    scheme: Scheme,
    *,
    minimum_votes: int,
    ignored_classes: Iterable[str],
    class_names: Mapping[str, str] | None = None,
    has_contested: bool = False,
) -> DataFrame:
    """Return one row for each input row, with its label or the reason why it has none.

    Args:
        rows: as described at the top of this module.
        scheme, minimum_votes: as for `apply_scheme`.
        ignored_classes: labels to drop.
        class_names: new names for labels that are kept.
        has_contested: whether what meets no rule, or several, has the label CONTESTED.

    Returns:
        Columns galaxy_id, POSITION, label, agreement, reason, detail. A faulty row has no label; an
        ignored one keeps it beside its reason.
    """
    labelled = _apply_to_rows(rows, scheme, minimum_votes=minimum_votes)
    fault, count = F.col("fault"), F.col("count")
    is_clear = fault.isNull() & (count == 1)
    label, own_name = F.when(is_clear, F.col("first_label")), F.col("labels")
    if has_contested:
        is_contested = fault.isNull() & ~F.col("is_artifact") & (count != 1)
        label = F.when(is_contested, F.lit(CONTESTED)).otherwise(label)
        own_name = F.when(is_contested, F.lit(CONTESTED)).otherwise(own_name)
    renamed = _rename(label, class_names or {}, ignored_classes)
    is_ignored = label.isin(*ignored_classes)
    # Grouped last, since a column of the catalogue may be named like one of POSITION.
    return group_rows(labelled).select(
        *("galaxy_id", *POSITION),
        renamed.alias("label"),
        F.when(is_clear, F.col("agreement")).alias("agreement"),
        _find_reason(is_ignored, has_contested=has_contested).alias("reason"),
        F.when(fault.isNotNull(), F.col("fault_detail")).otherwise(own_name).alias("detail"),
    )


def _find_reason(is_ignored: Column, *, has_contested: bool) -> Column:
    """Return why a row is not used; null where it is."""
    fault, count, is_dropped = F.col("fault"), F.col("count"), F.lit(not has_contested)
    return (
        F.when(fault.isNotNull(), fault)
        .when(F.col("is_artifact"), F.lit(ARTIFACT))
        .when(is_dropped & (count == 0), F.lit(NO_RULE))
        .when(is_dropped & (count > 1), F.lit(SEVERAL_RULES))
        .when(is_ignored, F.lit(IGNORED))
    )


def _apply_to_rows(rows: DataFrame, scheme: Scheme, *, minimum_votes: int) -> DataFrame:
    """Return galaxy_id, its position in degrees, and what the scheme makes of each row."""
    outcome = apply_scheme(scheme, minimum_votes=minimum_votes)
    ra_degrees, dec_degrees = degrees()
    parsed = parse_rows(rows, scheme, minimum_votes=minimum_votes)
    return parsed.select(
        _text("galaxy_id").alias("galaxy_id"),
        ra_degrees.alias("ra_degrees"),
        dec_degrees.alias("dec_degrees"),
        *_name_faults(check_cells(scheme, minimum_votes=minimum_votes)),
        # Spark compiles sums and concat_ws; it would interpret a filtered array row by row.
        reduce(add, (name.isNotNull().cast("int") for name in outcome.labels)).alias("count"),
        F.coalesce(*outcome.labels).alias("first_label"),
        F.concat_ws(", ", *outcome.labels).alias("labels"),
        F.coalesce(*outcome.agreements).alias("agreement"),
        outcome.is_artifact.alias("is_artifact"),
    )


def _name_faults(checks: Sequence[CellCheck]) -> tuple[Column, Column]:
    """Return a row's fault, one of FAULTS, and its description; null where there is none."""
    is_unreadable, is_missing = (
        reduce(or_, conditions)
        for conditions in zip(*((c.is_unreadable, c.is_missing) for c in checks), strict=True)
    )
    fault = (
        F.when(F.col("is_broken"), F.lit(MALFORMED))
        .when(is_unreadable, F.lit(UNREADABLE))
        .when(is_missing, F.lit(MISSING))
    )
    detail = (
        F.when(F.col("is_broken"), F.lit("more or fewer cells than the header"))
        .when(is_unreadable, describe_unreadable(checks))
        .when(is_missing, describe_missing(checks))
    )
    return fault.alias("fault"), detail.alias("fault_detail")


def _rename(label: Column, names: Mapping[str, str], ignored: Iterable[str]) -> Column:
    """Return the label under its new name, if it has one and is not ignored."""
    renamed = label
    for old, new in names.items():
        if old not in ignored:
            renamed = F.when(label == old, F.lit(new)).otherwise(renamed)
    return renamed


def name_row() -> Column:
    """Return an id that is unique across releases, 'release:id'; null where the row has no id."""
    return F.concat(F.col("release"), F.lit(":"), F.col("galaxy_id"))


def flag_duplicates(labelled: DataFrame) -> DataFrame:
    """Return the same rows, where all but one row of a galaxy have a reason to be dropped.

    If rows of one id agree, all but one are `duplicate`; otherwise all are `contradictory`.
    Rows with one of FAULTS are neither. Which of agreeing rows is kept follows from their sky
    group, never from their order.
    """
    is_faulty = F.coalesce(F.col("reason").isin(*FAULTS), F.lit(False))
    outcome = F.when(~is_faulty, F.coalesce("label", "reason"))
    # One order for all three: a second window would sort again and double the time.
    ranked = Window.partitionBy("galaxy_id").orderBy(outcome.isNull(), "sky_group")
    whole = ranked.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    compared = labelled.withColumns(
        {
            "lowest": F.min(outcome).over(whole),
            "highest": F.max(outcome).over(whole),
            "rank": F.row_number().over(ranked),
        }
    )
    is_contradictory = F.col("lowest") != F.col("highest")
    reason = (
        F.when(is_faulty, F.col("reason"))
        .when(is_contradictory, F.lit(CONTRADICTORY))
        .when(F.col("reason").isNotNull(), F.col("reason"))
        .when(F.col("rank") > 1, F.lit(DUPLICATE))
    )
    labels = F.concat_ws(", ", "lowest", "highest")
    return compared.select(
        *("galaxy_id", *POSITION),
        *("label", "agreement"),
        reason.alias("reason"),
        F.when(reason == CONTRADICTORY, labels).otherwise(F.col("detail")).alias("detail"),
    )


def attach_images(labelled: DataFrame, images: DataFrame) -> DataFrame:
    """Return the same rows with the name of their image, or with a reason where there is none.

    Args:
        labelled: rows as `label_rows` returns them.
        images: columns galaxy_id and image_name, each id once.
    """
    joined = labelled.join(images, on="galaxy_id", how="left")
    is_missing = F.col("reason").isNull() & F.col("image_name").isNull()
    return joined.select(
        *("galaxy_id", "image_name", *POSITION, "label", "agreement"),
        F.when(is_missing, F.lit(NO_IMAGE)).otherwise(F.col("reason")).alias("reason"),
        "detail",
    )
