"""Split galaxies into training, validation and test.

A galaxy's cell of the sky decides whether it is in the test, whatever the release and the seed.
Galaxies that must not be separated (see `neighbours`) go by the cell of one of them.
"""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from sklearn.model_selection import train_test_split

from galaxy_tasks.errors import InputError

CELLS_PER_DEGREE = 60
"""Cells of an arcminute: small enough for their number to even out the share of the test, and so
large that few galaxies have their neighbours in another."""

LEAST_PER_SPLIT = {"train": 2, "validation": 1, "test": 1}
_HASH_HEX_DIGITS = 8
_PERHAPS_MISSING = ("none", "null", "nan", "na", "n/a", "unknown", "-", "?", "-99", "-999", "-9999")
_logger = logging.getLogger(__name__)


def group_rows(rows: DataFrame) -> DataFrame:
    """Return the rows with the name of their group for the split.

    Args:
        rows: with galaxy_id, ra_degrees and dec_degrees, null where the position is unknown.

    Returns:
        The same rows; beside their columns sky_group, which names the galaxy's cell on the sky, or
        the galaxy where its position is unknown.
    """
    ra_degrees, dec_degrees = F.col("ra_degrees"), F.col("dec_degrees")
    return rows.withColumn(
        "sky_group", _name_sky_group(ra_degrees, dec_degrees, F.col("galaxy_id"))
    )


def _name_sky_group(ra_degrees: Column, dec_degrees: Column, galaxy_id: Column) -> Column:
    band = F.floor((dec_degrees + 90) * CELLS_PER_DEGREE)
    # A degree of right ascension shrinks towards the poles; taken per band, so that cells line up.
    shrinkage = F.cos(F.radians((band + 0.5) / CELLS_PER_DEGREE - 90))
    cell = F.floor(ra_degrees * CELLS_PER_DEGREE * shrinkage)
    return F.when(
        ra_degrees.isNotNull(),
        F.concat_ws(":", F.lit("sky"), band.cast("string"), cell.cast("string")),
    ).otherwise(F.concat(F.lit("id:"), galaxy_id))


def is_in_test(group: Column, *, test_fraction: float) -> Column:
    """Return whether a group is in the test: whether its hash, as a number from 0 to 1, is lower.

    A larger fraction only adds groups to the test.
    """
    head = F.substring(F.sha2(group, 256), 1, _HASH_HEX_DIGITS)
    share = F.conv(head, 16, 10).cast("double") / 16**_HASH_HEX_DIGITS
    return share < test_fraction


def name_own_group(galaxy_id: str) -> str:
    """Return the name of the group of a galaxy without a position, as `group_rows` does."""
    return f"id:{galaxy_id}"


def is_name_in_test(group: str, *, test_fraction: float) -> bool:
    """Return whether a group is in the test, as `is_in_test` does."""
    head = hashlib.sha256(group.encode()).hexdigest()[:_HASH_HEX_DIGITS]
    return int(head, 16) / 16**_HASH_HEX_DIGITS < test_fraction


def warn_of_classes(classes: Sequence[str]) -> None:
    """Log a warning for classes that look like one, and for names that may mean that there is none.

    Vote fractions give neither; tables of people's own do.
    """
    by_form: dict[str, list[str]] = {}
    for name in classes:
        by_form.setdefault(re.sub(r"[\W_]", "", name).casefold(), []).append(name)
    for alike in by_form.values():
        if len(alike) > 1:
            _logger.warning(
                "The classes %s differ in case, blanks or punctuation only. If they are one class, "
                "give them one name with 'class_names'.",
                " and ".join(map(repr, alike)),
            )
    for name in classes:
        if name.casefold() in _PERHAPS_MISSING:
            _logger.warning(
                "One of the classes is %r. If that stands for galaxies without a class, name it in "
                "'ignored_classes'.",
                name,
            )


def check_class_counts(test: Mapping[str, int], rest: Mapping[str, int]) -> None:
    """Raise InputError if classes have too few galaxies to be split; name each with its counts.

    Args:
        test: galaxies in the test by class.
        rest: galaxies for training and validation by class.
    """
    least_rest = LEAST_PER_SPLIT["train"] + LEAST_PER_SPLIT["validation"]
    classes = sorted({*test, *rest})
    poor = [
        f"{name} ({test.get(name, 0)} in the test, {rest.get(name, 0)} in the rest)"
        for name in classes
        if test.get(name, 0) < LEAST_PER_SPLIT["test"] or rest.get(name, 0) < least_rest
    ]
    if poor:
        raise InputError(
            f"Too few galaxies of {len(poor)} class(es) to split. Expected: at least "
            f"{LEAST_PER_SPLIT['test']} in the test and {least_rest} in the rest. "
            f"Found: {'; '.join(poor)}. Add galaxies, change 'test_fraction', or name the "
            "class in 'ignored_classes'. What an earlier run had in the test stays there unless "
            "'holdout' is 'ignore', and what the model in 'start_from' knows is in no test."
        )
    if len(classes) < 2:
        raise InputError(
            f"Only one class is left, {classes[0]}: there is nothing to classify. "
            "Check 'scheme', 'class_column', 'ignored_classes' and 'class_names'."
        )


def settle_test(is_own_test: np.ndarray, groups: np.ndarray, *, cells: np.ndarray) -> np.ndarray:
    """Return which galaxies are in the test: all of a group if its last cell is.

    One cell decides, since the more cells a group has, the more often one of them is in the test:
    groups of ten would nearly all be.

    Args:
        is_own_test: for each galaxy whether its cell is in the test, booleans.
        groups: integers from 0, one for each galaxy, equal for those that must stay together.
        cells: the rank of each galaxy's cell, integers; equal ranks are in the test alike.
    """
    # Of a group that is written several times, what is written last stays.
    order = np.argsort(cells, kind="stable")
    is_test = np.zeros(groups.max(initial=-1) + 1, dtype=bool)
    is_test[groups[order]] = is_own_test[order]
    return is_test[groups]


def spread_test(is_own_test: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return which galaxies are in the test: all of a group if one of them is.

    Args:
        is_own_test: for each galaxy whether it is in the test by itself, booleans.
        groups: integers from 0, one for each galaxy, equal for those that must stay together.
    """
    has_test = np.zeros(groups.max(initial=-1) + 1, dtype=bool)
    has_test[groups[is_own_test]] = True
    return has_test[groups]


def choose_validation(
    label_indices: np.ndarray,
    *,
    validation_fraction: float,
    seed: int,
    groups: np.ndarray,
    is_known: np.ndarray,
) -> np.ndarray:
    """Return which of these galaxies are for validation, as booleans in the same order.

    scikit-learn's train_test_split draws them, stratified by label, among the first galaxies of all
    groups; the rest of a group follows. Where the share of a rare class rounds to none for
    validation or to fewer than two for training, one group changes sides. Where ancestors were
    trained on some, the others are drawn class by class until the share is full or none is left.

    Args:
        label_indices: one integer for each galaxy, in an order that does not depend on the run;
            each class in at least three groups.
        validation_fraction: share of the galaxies that are for validation.
        seed: seed of the draw.
        groups: integers, one for each galaxy, equal for those that must stay together.
        is_known: which galaxies trained an ancestor, alike for those that must stay together.
    """
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    order = np.sort(first)
    drawn = {"validation_fraction": validation_fraction, "seed": seed}
    is_first_drawn = (
        _draw_unknown(label_indices[order], is_known=is_known[order], **drawn)
        if is_known.any()
        else _draw_validation(label_indices[order], **drawn)
    )
    is_drawn = np.zeros(len(label_indices), dtype=bool)
    is_drawn[order] = is_first_drawn
    return is_drawn[first][group_of]


def _draw_unknown(
    label_indices: np.ndarray, *, is_known: np.ndarray, validation_fraction: float, seed: int
) -> np.ndarray:
    is_validation, random = np.zeros(len(label_indices), dtype=bool), np.random.default_rng(seed)
    for label_index in np.unique(label_indices):
        is_own = label_indices == label_index
        count = int(np.count_nonzero(is_own))
        most = max(count - LEAST_PER_SPLIT["train"], 1)
        wanted = min(ceil(validation_fraction * count), most)
        is_validation[random.permutation(np.flatnonzero(is_own & ~is_known))[:wanted]] = True
    return is_validation


def check_unknown(unknown: Mapping[str, int]) -> None:
    """Raise InputError if a class has no galaxy, by class, that trained no ancestor."""
    if missing := [name for name, count in unknown.items() if not count]:
        raise InputError(
            f"The model in 'start_from' was trained on all galaxies of {', '.join(missing)}, so "
            "that none is left for validation, which stops a training and calibrates it. Add "
            "galaxies, or name the class in 'ignored_classes'."
        )


def _draw_validation(
    label_indices: np.ndarray, *, validation_fraction: float, seed: int
) -> np.ndarray:
    classes = np.unique(label_indices)
    wanted = max(ceil(validation_fraction * len(label_indices)), len(classes))
    _, drawn = train_test_split(
        np.arange(len(label_indices)),
        test_size=wanted,
        stratify=label_indices,
        random_state=seed,
    )
    is_validation = np.zeros(len(label_indices), dtype=bool)
    is_validation[drawn] = True
    for side, least in ((True, "validation"), (False, "train")):
        count = np.bincount(label_indices[is_validation == side], minlength=classes[-1] + 1)
        for label_index in classes[count[classes] < LEAST_PER_SPLIT[least]]:
            others = (label_indices == label_index) & (is_validation != side)
            is_validation[np.flatnonzero(others)[0]] = side
    return is_validation
