"""The test follows from the place on the sky, and validation has every class."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from galaxy_tasks.errors import InputError
from galaxy_tasks.labels import split


def test_a_place_on_the_sky_is_one_group_and_a_galaxy_without_a_place_its_own(spark):
    table = {
        "galaxy_id": ["here", "an arcsecond away", "north", "nowhere"],
        "ra_degrees": [150.0, 150.0002, 150.0, None],
        "dec_degrees": [-0.5083, -0.5085, 0.5083, None],
    }
    rows = split.group_rows(spark.createDataFrame(pa.table(table))).collect()
    # 89.4917 degrees from the south pole are 5369 whole arcminutes; 150 degrees are 9000
    # arcminutes, times cos(-0.508 degrees) = 0.99996.
    assert {row["galaxy_id"]: row["sky_group"] for row in rows} == {
        "here": "sky:5369:8999",
        "an arcsecond away": "sky:5369:8999",
        "north": "sky:5430:8999",
        "nowhere": "id:nowhere",
    }


def test_the_test_is_a_hash_that_anybody_can_repeat_and_only_grows(spark):
    groups = [f"id:{number}" for number in range(2000)]
    frame = spark.createDataFrame(pa.table({"group": groups}))
    chosen = {
        fraction: {
            row[0]
            for row in frame.where(
                split.is_in_test(F.col("group"), test_fraction=fraction)
            ).collect()
        }
        for fraction in (0.1, 0.3)
    }
    shares = {g: int(hashlib.sha256(g.encode()).hexdigest()[:8], 16) / 2**32 for g in groups}
    for fraction, found in chosen.items():
        assert found == {group for group in groups if shares[group] < fraction}
        assert len(found) / 2000 == pytest.approx(fraction, abs=0.03)
    assert chosen[0.1] < chosen[0.3]


def test_validation_is_stratified_repeatable_and_has_every_class():
    labels = np.array([0] * 700 + [1] * 297 + [2] * 3)
    first, again, other = (
        split.choose_validation(
            labels,
            validation_fraction=0.2,
            seed=seed,
            groups=np.arange(1000),
            is_known=np.zeros(1000, bool),
        )
        for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()
    assert [int(first[labels == name].sum()) for name in (0, 1)] == [140, 59]
    assert first[labels == 2].sum() == 1


@pytest.mark.parametrize("fraction", [0.02, 0.5])
def test_the_rarest_class_has_one_for_validation_and_two_for_training(fraction):
    labels = np.array([0] * 31 + [1] * 3 + [2] * 3)
    for seed in range(20):
        chosen = split.choose_validation(
            labels,
            validation_fraction=fraction,
            seed=seed,
            groups=np.arange(37),
            is_known=np.zeros(37, bool),
        )
        assert [int(chosen[labels == name].sum()) for name in (1, 2)] == [1, 1]


def test_what_trained_an_ancestor_is_in_no_validation():
    labels = np.array([0] * 700 + [1] * 300)
    is_known = np.arange(1000) % 2 == 0
    drawn = {"validation_fraction": 0.2, "seed": 1, "groups": np.arange(1000)}
    chosen = split.choose_validation(labels, is_known=is_known, **drawn)
    assert not (chosen & is_known).any()
    assert [int(chosen[labels == name].sum()) for name in (0, 1)] == [140, 60]
    # Two of a class are left for training, whoever knows them.
    few = np.array([0, 0, 0, 1, 1, 1])
    drawn_of_few = {"validation_fraction": 0.5, "seed": 1, "groups": np.arange(6)}
    chosen = split.choose_validation(few, is_known=np.arange(6) == 0, **drawn_of_few)
    assert [int(chosen[few == name].sum()) for name in (0, 1)] == [1, 1]
    # Where an ancestor knows nearly all, what is left is all for validation.
    is_known = np.arange(1000) % 100 > 0
    chosen = split.choose_validation(labels, is_known=is_known, **drawn)
    np.testing.assert_array_equal(chosen, ~is_known)


def test_a_class_that_an_ancestor_knows_whole_is_named():
    split.check_unknown({"a": 1, "b": 2})
    with pytest.raises(InputError, match="trained on all galaxies of b, c, so that none is left"):
        split.check_unknown({"a": 1, "b": 0, "c": 0})


def test_classes_too_small_to_split_are_named_with_what_they_have():
    with pytest.raises(InputError, match=r"2 class\(es\).*: b \(0 in the test, 9 in the rest\); c"):
        split.check_class_counts({"a": 5, "c": 1}, {"a": 9, "b": 9, "c": 2})
    with pytest.raises(InputError, match="Only one class is left, a"):
        split.check_class_counts({"a": 5}, {"a": 9})


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (["Spiral", "spiral", "round"], ["'Spiral' and 'spiral' differ in case"]),
        (["edge on", "edge-on", "edge_on"], ["'edge on' and 'edge-on' and 'edge_on' differ"]),
        (["-999", "NULL", "round"], ["One of the classes is '-999'", "is 'NULL'"]),
        (["elliptical", "spiral", "spiral_barred"], []),
    ],
)
def test_classes_that_are_perhaps_one_or_none_are_warned_of(caplog, classes, told):
    split.warn_of_classes(classes)
    assert len(caplog.messages) == len(told)
    assert all(part in line for part, line in zip(told, caplog.messages, strict=True))
