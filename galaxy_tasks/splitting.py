"""Which galaxies are for the test, which for validation, which for training.

The test is decided by where a galaxy stands on the sky, so that a galaxy once in the test stays
there in every later release and under every seed, and so that two entries of one galaxy, or two
galaxies that show in each other's cutouts, never stand on both sides.
"""

from collections.abc import Mapping
from math import ceil

import numpy as np
from pyspark.sql import Column
from pyspark.sql import functions as F
from sklearn.model_selection import train_test_split

from galaxy_tasks.errors import InputError

CELLS_PER_DEGREE = 60
"""Cells of an arcminute, about a cutout's field of view. Positions of one galaxy in two releases
differ by up to an arcsecond: in cells as small as that most pairs would fall apart, in these one
in thirty."""

LEAST_PER_SPLIT = {"train": 2, "validation": 1, "test": 1}
_HASH_HEX_DIGITS = 8


def name_sky_group(ra: Column, dec: Column, galaxy_id: Column) -> Column:
    """Return the name of the galaxy's cell on the sky, or of the galaxy without a usable position.

    Args:
        ra: right ascension as text: degrees, or hours 'hh:mm:ss.s'.
        dec: declination as text: degrees, decimal or '±dd:mm:ss.s'.
        galaxy_id: the galaxy's id.
    """
    ra_degrees = F.when(ra.contains(":"), _parse_sexagesimal(ra) * 15).otherwise(
        ra.try_cast("double")
    )
    dec_degrees = F.when(dec.contains(":"), _parse_sexagesimal(dec)).otherwise(
        dec.try_cast("double")
    )
    band = F.floor((dec_degrees + 90) * CELLS_PER_DEGREE)
    # A degree of right ascension shrinks towards the poles; by the band, so that its cells agree.
    shrinkage = F.cos(F.radians((band + 0.5) / CELLS_PER_DEGREE - 90))
    cell = F.floor(ra_degrees * CELLS_PER_DEGREE * shrinkage)
    is_on_sky = ra_degrees.between(0, 360) & dec_degrees.between(-90, 90)
    return F.when(
        is_on_sky, F.concat_ws(":", F.lit("sky"), band.cast("string"), cell.cast("string"))
    ).otherwise(F.concat(F.lit("id:"), galaxy_id))


def is_in_test(group: Column, *, test_fraction: float) -> Column:
    """Return whether a group is for the test: its SHA-256, as a share of all, below the fraction.

    A larger fraction only adds groups to the test.
    """
    head = F.substring(F.sha2(group, 256), 1, _HASH_HEX_DIGITS)
    share = F.conv(head, 16, 10).cast("double") / 16**_HASH_HEX_DIGITS
    return share < test_fraction


def check_class_counts(test: Mapping[str, int], rest: Mapping[str, int]) -> None:
    """Raise InputError for classes with too few galaxies to be split; names each with its counts.

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
            "class in 'ignored_classes'."
        )
    if len(classes) < 2:
        raise InputError(
            f"Only one class is left, {classes[0]}: there is nothing to tell apart. "
            "Check 'scheme', 'class_column' and 'ignored_classes'."
        )


def choose_validation(
    label_indices: np.ndarray, *, validation_fraction: float, seed: int
) -> np.ndarray:
    """Return which of these galaxies are for validation, as booleans in the same order.

    Drawn by scikit-learn's train_test_split, stratified by label. Where the share of a rare class
    rounds to none for validation or to fewer than two for training, one galaxy changes sides.

    Args:
        label_indices: one integer a galaxy, in an order that does not depend on the run; each
            class at least three times.
        validation_fraction: share of the galaxies that are for validation.
        seed: the draw's seed.
    """
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


def _parse_sexagesimal(text: Column) -> Column:
    parts = F.split(F.trim(text), ":")
    units, minutes, seconds = (F.get(parts, F.lit(i)).try_cast("double") for i in range(3))
    size = F.abs(units) + minutes / 60 + F.coalesce(seconds, F.lit(0.0)) / 3600
    # By the text, since the number of '-00:30:00' has lost its sign.
    return F.when(F.trim(text).startswith("-"), -size).otherwise(size)
