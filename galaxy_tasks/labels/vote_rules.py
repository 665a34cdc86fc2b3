"""Turn catalogue rows into labels: DataFrame in, DataFrame out.

Every row leaves with a label or with the reason why it has none; no row is filtered out here. Input
rows have the text columns galaxy_id, ra and dec (the last two null where the release has no
positions), the boolean is_broken (more or fewer cells than the header), and the columns that the
scheme names. Nothing here runs Python on an executor.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add, and_

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from galaxy_tasks.labels.split import locate_rows
from galaxy_tasks.releases.schema import Criterion, GivenScheme, Scheme, ShorthandScheme, VoteScheme

MALFORMED = "malformed"
ARTIFACT = "artifact"
NO_RULE = "contested_no_rule"
SEVERAL_RULES = "contested_several_rules"
IGNORED = "ignored_class"
CONTRADICTORY = "contradictory"
DUPLICATE = "duplicate"
NO_IMAGE = "no_image"
PLACEHOLDER = "placeholder_image"
CROSSMATCHED = "crossmatched"
CROSSMATCHED_CONTRADICTORY = "crossmatched_contradictory"
REASONS = (
    MALFORMED,
    CONTRADICTORY,
    ARTIFACT,
    NO_RULE,
    SEVERAL_RULES,
    IGNORED,
    DUPLICATE,
    NO_IMAGE,
    PLACEHOLDER,
    CROSSMATCHED,
    CROSSMATCHED_CONTRADICTORY,
)
"""Why a row is dropped. Where several reasons hold, the first in this order counts."""

POSITION = ("sky_group", "ra_degrees", "dec_degrees")
"""A galaxy's group for the split, and its position."""

FLOATING_ID = r"^[+-]?((\d+\.\d*|\.\d+)([eE][+-]?\d+)?|\d+[eE][+-]\d+)$"
"""An id that went through floating point, and lost the last three of 18 digits. It has a point or a
signed exponent: digits with an e but no sign may be hexadecimal."""

_MISSING = r"(?i)^(nan|null|none)?$"
ROUNDING = 1e-6
"""How far a published fraction may exceed 1, as sums of rounded products do."""


@dataclass(frozen=True, kw_only=True)
class SchemeOutcome:
    """The outcome of a scheme for each row, as columns."""

    fault: Column
    """What is malformed, as text; null where nothing is."""
    labels: tuple[Column, ...]
    """One column for each rule: its label where the row meets it, else null."""
    is_artifact: Column


def parse_numbers(rows: DataFrame, scheme: Scheme, *, minimum_votes: int) -> DataFrame:
    """Return the rows with each column of votes parsed into a column of numbers beside it.

    So each cell is parsed once, not in every condition that compares it.

    Args:
        rows: with the columns that the scheme names, as text or double.
        scheme: as for `apply_scheme`.
        minimum_votes: as for `apply_scheme`.
    """
    if not isinstance(scheme, VoteScheme):
        return rows
    names = _list_limits(scheme, minimum_votes)
    parsed = {_name_number(name): F.col(f"`{name}`").try_cast("double") for name in names}
    return rows.withColumns(parsed)


def apply_scheme(scheme: Scheme, *, minimum_votes: int) -> SchemeOutcome:
    """Return the outcome of a scheme for rows that `parse_numbers` returned for it.

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


def is_missing(text: Column) -> Column:
    """Return whether a trimmed text is what programs write for a missing value."""
    return text.isNull() | text.rlike(_MISSING)


def _apply_votes(scheme: VoteScheme, minimum_votes: int) -> SchemeOutcome:
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
    return SchemeOutcome(
        fault=F.when(~reduce(and_, good.values()), F.concat_ws("; ", *faults)),
        labels=tuple(labels),
        is_artifact=F.lit(False),
    )


def _list_limits(scheme: VoteScheme, minimum_votes: int) -> dict[str, float]:
    """Return the columns of votes that are read, each with the largest value allowed in it."""
    counts = scheme.vote_columns if minimum_votes > 0 else ()
    highest = dict.fromkeys(scheme.fraction_columns, 1 + ROUNDING)
    return highest | dict.fromkeys(counts, float("inf"))


def _meets(criterion: Criterion, minimum_votes: int, *, blank: Container[str]) -> Column:
    def known(name: str) -> Column:
        # Spark orders NaN above every number, so that a blank would meet every minimum.
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


def _apply_shorthand(scheme: ShorthandScheme) -> SchemeOutcome:
    text = F.trim(F.col(f"`{scheme.column}`").cast("string"))
    labels = [
        F.when(text.rlike(rule.pattern), F.lit(rule.morphology.value)) for rule in scheme.rules
    ]
    is_good = F.coalesce(text.rlike(scheme.grammar), F.lit(False))
    return SchemeOutcome(
        fault=F.when(~is_good, _quote(scheme.column)),
        labels=tuple(labels),
        is_artifact=F.coalesce(text.rlike(scheme.artifact_pattern), F.lit(False)),
    )


def _apply_given(scheme: GivenScheme) -> SchemeOutcome:
    text = F.trim(F.col(f"`{scheme.column}`").cast("string"))
    return SchemeOutcome(
        fault=F.when(is_missing(text), _quote(scheme.column)),
        labels=(text,),
        is_artifact=F.lit(False),
    )


def label_rows(
    rows: DataFrame,
    scheme: Scheme,
    *,
    minimum_votes: int,
    ignored_classes: Iterable[str],
    class_names: Mapping[str, str] | None = None,
) -> DataFrame:
    """Return one row for each input row, with its label or the reason why it has none.

    Args:
        rows: as described at the top of this module.
        scheme: as for `apply_scheme`.
        minimum_votes: as for `apply_scheme`.
        ignored_classes: labels to drop.
        class_names: new names for labels that are kept.

    Returns:
        Columns galaxy_id, POSITION, label, reason, detail. A malformed or contested row has no
        label; an ignored one keeps it beside its reason.
    """
    labelled = _apply_to_rows(rows, scheme, minimum_votes=minimum_votes)
    is_malformed = F.col("fault") != ""
    count = F.col("count")
    label = F.when(~is_malformed & (count == 1), F.col("first_label"))
    # Located last, since a column of the catalogue may be named like one of POSITION.
    return locate_rows(labelled).select(
        *("galaxy_id", *POSITION),
        _rename(label, class_names or {}, ignored_classes).alias("label"),
        F.when(is_malformed, F.lit(MALFORMED))
        .when(F.col("is_artifact"), F.lit(ARTIFACT))
        .when(count == 0, F.lit(NO_RULE))
        .when(count > 1, F.lit(SEVERAL_RULES))
        .when(label.isin(*ignored_classes), F.lit(IGNORED))
        .alias("reason"),
        F.when(is_malformed, F.col("fault")).otherwise(F.col("labels")).alias("detail"),
    )


def _apply_to_rows(rows: DataFrame, scheme: Scheme, *, minimum_votes: int) -> DataFrame:
    """Return galaxy_id, ra, dec, and what the scheme makes of each row."""
    galaxy_id = F.trim("galaxy_id")
    outcome = apply_scheme(scheme, minimum_votes=minimum_votes)
    return parse_numbers(rows, scheme, minimum_votes=minimum_votes).select(
        galaxy_id.alias("galaxy_id"),
        *("ra", "dec"),
        F.concat_ws("; ", *_list_faults(galaxy_id), outcome.fault).alias("fault"),
        # Spark compiles sums and concat_ws; it would interpret a filtered array row by row.
        reduce(add, (name.isNotNull().cast("int") for name in outcome.labels)).alias("count"),
        F.coalesce(*outcome.labels).alias("first_label"),
        F.concat_ws(", ", *outcome.labels).alias("labels"),
        outcome.is_artifact.alias("is_artifact"),
    )


def _list_faults(galaxy_id: Column) -> tuple[Column, Column]:
    """Return what is wrong with a row under any scheme; null where nothing is."""
    return (
        F.when(F.col("is_broken"), F.lit("more or fewer cells than the header")),
        F.when(is_missing(galaxy_id), F.lit("no id")).when(
            galaxy_id.rlike(FLOATING_ID), F.lit("id is a floating-point number")
        ),
    )


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
    Malformed rows are neither. Which of agreeing rows is kept follows from their sky group, never
    from their order.
    """
    outcome = F.when(
        F.col("reason").isNull() | (F.col("reason") != MALFORMED), F.coalesce("label", "reason")
    )
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
        F.when(F.col("reason") == MALFORMED, F.col("reason"))
        .when(is_contradictory, F.lit(CONTRADICTORY))
        .when(F.col("reason").isNotNull(), F.col("reason"))
        .when(F.col("rank") > 1, F.lit(DUPLICATE))
    )
    labels = F.concat_ws(", ", "lowest", "highest")
    return compared.select(
        *("galaxy_id", *POSITION),
        "label",
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
        *("galaxy_id", "image_name", *POSITION, "label"),
        F.when(is_missing, F.lit(NO_IMAGE)).otherwise(F.col("reason")).alias("reason"),
        "detail",
    )
