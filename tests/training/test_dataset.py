"""Batches carry the right galaxies, with the right labels and weights, in a repeatable order."""

import numpy as np
import pandas as pd
import pytest

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.training.dataset import EpochBatches, class_weights, epoch_order
from galaxy_tasks.training.galaxies import (
    Fold,
    Galaxies,
    open_galaxies,
    open_splits,
    part_validation,
)


@pytest.fixture
def images_folder(tmp_path):
    """Eleven 4-pixel cutouts, each filled with its own row number; row 10 is a test galaxy."""
    images = np.arange(11, dtype=np.uint8).reshape(11, 1, 1, 1) * np.ones((1, 4, 4, 3), np.uint8)
    np.save(tmp_path / "images.npy", images)
    pd.DataFrame(
        {
            "galaxy_id": [f"g{row}" for row in range(11)],
            "label_index": [row % 2 for row in range(11)],
            "group": range(11),
            "split": ["train"] * 6 + ["validation"] * 4 + ["test"],
        }
    ).to_parquet(tmp_path / "manifest.parquet")
    return tmp_path


def test_a_split_has_its_own_galaxies(images_folder):
    validation = open_galaxies(images_folder, "validation")
    assert validation.galaxy_ids == ("g6", "g7", "g8", "g9")
    assert [batch[:, 0, 0, 0].tolist() for batch in validation.image_batches(3)] == [[6, 7, 8], [9]]


def test_an_epoch_visits_each_galaxy_once_with_its_label_and_weight(images_folder):
    training = open_galaxies(images_folder, "train")
    order = epoch_order(training.labels, seed=5, epoch=0, galaxy_weights=None)
    seen = {}
    for images, labels, weights in EpochBatches(
        training, order=order, batch_size=2, num_classes=2, loss_weights=np.array([1.0, 3.0])
    ):
        assert images.dtype == np.uint8
        for image, label, weight in zip(images, labels, weights, strict=True):
            seen[int(image[0, 0, 0])] = (label.tolist(), float(weight))
    assert seen == {row: ([1, 0], 1.0) if row % 2 == 0 else ([0, 1], 3.0) for row in range(6)}


def test_a_ragged_last_batch_is_left_out_but_a_small_set_is_not(images_folder):
    training = open_galaxies(images_folder, "train")
    order = np.arange(6)
    options = {"order": order, "num_classes": 2, "loss_weights": np.ones(2)}
    assert len(EpochBatches(training, batch_size=4, **options)) == 1
    assert len(EpochBatches(training, batch_size=100, **options)) == 1


def test_order_depends_on_seed_and_epoch_alone():
    labels = np.zeros(50, dtype=np.int64)

    def order(seed: int, epoch: int) -> list[int]:
        return epoch_order(labels, seed=seed, epoch=epoch, galaxy_weights=None).tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_class_weights_by_hand():
    labels = np.array([0] * 8 + [1] * 2)
    np.testing.assert_allclose(class_weights(labels, 2, 0.0), [1, 1])
    # Full balance: each class weighs half of all ten galaxies.
    np.testing.assert_allclose(class_weights(labels, 2, 1.0), [10 / 16, 10 / 4])
    halfway = class_weights(labels, 2, 0.5)
    assert halfway[1] / halfway[0] == pytest.approx(2.0)
    assert halfway[labels].mean() == pytest.approx(1.0)


def test_balanced_sampling_evens_the_classes():
    labels = np.array([0] * 900 + [1] * 100)
    weights = class_weights(labels, 2, 1.0)[labels]
    order = epoch_order(labels, seed=1, epoch=0, galaxy_weights=weights)
    assert 430 < labels[order].sum() < 570


def test_bad_inputs_are_named(images_folder):
    with pytest.raises(InputError, match=r"\[3, 0\]"):
        class_weights(np.zeros(3, dtype=np.int64), 2, 1.0)
    with pytest.raises(InputError, match="no galaxy in the split 'dev'"):
        open_galaxies(images_folder, "dev")
    np.save(images_folder / "images.npy", np.zeros((3, 4, 4, 3), np.uint8))
    with pytest.raises(InputError, match=r"11 rows but images\.npy 3 images"):
        open_galaxies(images_folder, "train")


def test_a_share_of_each_class_calibrates_and_the_rest_stops_a_training():
    labels = np.repeat([0, 1, 2], [20, 7, 1])
    ids = tuple(f"g{n}" for n in range(28))
    validation = Galaxies(
        np.zeros((28, 1, 1, 3), np.uint8), np.arange(28), labels, np.arange(28), ids
    )
    stopping, calibrating = part_validation(validation, fraction=0.5, seed=1)
    assert np.bincount(calibrating.labels).tolist() == [10, 3]
    assert np.bincount(stopping.labels).tolist() == [10, 4, 1]
    assert sorted([*stopping.galaxy_ids, *calibrating.galaxy_ids]) == sorted(ids)
    for part in (stopping, calibrating):
        assert part.galaxy_ids == tuple(f"g{row}" for row in part.rows)
        assert (labels[part.rows] == part.labels).all()
    again, _ = part_validation(validation, fraction=0.5, seed=1)
    assert again.galaxy_ids == stopping.galaxy_ids
    everything, nothing = part_validation(validation, fraction=0, seed=1)
    assert (len(everything), len(nothing)) == (28, 0)


def split(folder, fold=None, **settings):
    splits = open_splits(folder, RunConfig(**settings), fold=fold)
    return {
        name: set(getattr(splits, name).galaxy_ids)
        for name in ("training", "stopping", "calibration", "test")
    }


@pytest.fixture
def larger_folder(tmp_path):
    """Of two classes, 60 and 30 training galaxies, 8 for validation and 5 for the test."""
    classes = [0] * 60 + [1] * 30
    sides = ["train"] * 90 + ["validation"] * 8 + ["test"] * 5
    labels = classes + [0, 1] * 6 + [0]
    np.save(tmp_path / "images.npy", np.zeros((103, 4, 4, 3), np.uint8))
    ids = [f"g{row}" for row in range(103)]
    table = {"galaxy_id": ids, "label_index": labels, "split": sides, "group": range(103)}
    pd.DataFrame(table).to_parquet(tmp_path / "manifest.parquet")
    return tmp_path


def test_galaxies_that_stay_together_are_on_one_side_of_every_part(larger_folder):
    path = larger_folder / "manifest.parquet"
    pd.read_parquet(path).assign(group=np.arange(103) // 2).to_parquet(path)

    def find_groups(names):
        return {int(name[1:]) // 2 for name in names}

    for fold in (Fold(0, 3), Fold(1, 3), Fold(2, 3)):
        part = split(larger_folder, fold, training_fraction=0.5)
        assert not find_groups(part["training"]) & find_groups(part["test"])
        assert not find_groups(part["stopping"]) & find_groups(part["calibration"])
        assert 25 <= len(part["test"]) <= 35


def test_fewer_galaxies_than_folds_are_refused(images_folder):
    with pytest.raises(InputError, match="too few to leave one of 5 parts out"):
        open_splits(images_folder, RunConfig(), fold=Fold(4, 5))


def test_each_training_galaxy_is_held_out_once_and_never_learned_from_then(larger_folder):
    whole = split(larger_folder)
    parts = [split(larger_folder, Fold(index, 3)) for index in range(3)]
    for part in parts:
        assert part["training"] | part["test"] == whole["training"]
        assert not part["training"] & part["test"]
        assert (part["stopping"], part["calibration"]) == (whole["stopping"], whole["calibration"])
        first_class = {name for name in part["test"] if int(name[1:]) < 60}
        assert (len(first_class), len(part["test"])) == (20, 30)
    assert set.union(*(part["test"] for part in parts)) == whole["training"]
    assert not whole["test"] & set.union(*(part["test"] for part in parts))


def test_a_smaller_share_of_the_training_galaxies_is_part_of_a_larger_one(larger_folder):
    shares = [split(larger_folder, training_fraction=f)["training"] for f in (0.1, 0.5, 1.0)]
    assert [len(share) for share in shares] == [9, 45, 90]
    assert shares[0] < shares[1] < shares[2]
    assert len({name for name in shares[0] if int(name[1:]) < 60}) == 6
    held_out = split(larger_folder, Fold(0, 3), training_fraction=0.5)
    assert len(held_out["training"]) == 30
    assert len(held_out["test"]) == 30


def test_folds_differ_with_the_seed_of_the_split_and_not_of_the_training(larger_folder):
    one = split(larger_folder, Fold(0, 3))
    assert split(larger_folder, Fold(0, 3), seed=9) == one
    assert split(larger_folder, Fold(0, 3), split_seed=9)["test"] != one["test"]
