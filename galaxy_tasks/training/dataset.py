"""Prepared images as batches that Keras takes under any backend.

Batches are gathered from the memory-mapped uint8 array and reach the device as uint8; the compiled
model does the rest. The order of an epoch depends on the seed and the epoch alone, so a training
that is resumed sees the galaxies in the order in which it would have seen them.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError


@dataclass(frozen=True)
class Galaxies:
    """One split of the prepared images.

    `images` is the memory map of all splits, (count, size, size, 3) uint8; `rows` says which of its
    rows belong to the split, (n,) int64; `labels` their label indices and `groups` the numbers of
    the galaxies that stay together, (n,) int64.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    galaxy_ids: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of galaxies in the split."""
        return len(self.rows)

    def image_batches(self, batch_size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the images in order, (batch, size, size, 3) uint8, the last batch maybe smaller."""
        for start in range(0, len(self.rows), batch_size):
            yield self.images[self.rows[start : start + batch_size]]


def open_galaxies(folder: Path, split: str) -> Galaxies:
    """Return one split ('train', 'validation' or 'test') of an images artifact's folder."""
    images = np.load(folder / "images.npy", mmap_mode="r")
    table = pd.read_parquet(folder / "manifest.parquet")
    if len(table) != len(images):
        raise InputError(
            f"{folder}: manifest.parquet has {len(table)} rows but images.npy {len(images)} images."
        )
    rows = np.flatnonzero((table["split"] == split).to_numpy())
    if not len(rows):
        raise InputError(f"{folder} has no galaxy in the split {split!r}.")
    chosen = table.iloc[rows]
    return Galaxies(
        images=images,
        rows=rows,
        labels=chosen["label_index"].to_numpy(dtype=np.int64),
        groups=chosen["group"].to_numpy(dtype=np.int64),
        galaxy_ids=tuple(chosen["galaxy_id"]),
    )


@dataclass(frozen=True)
class Fold:
    """One of `count` equal parts of the training galaxies, counted from 0."""

    index: int
    count: int


@dataclass(frozen=True)
class Splits:
    """What a training does with the galaxies."""

    training: Galaxies
    stopping: Galaxies
    """Validation galaxies that stop it early."""
    calibration: Galaxies
    """The other validation galaxies; see `part_validation`."""
    test: Galaxies


def open_splits(folder: Path, config: RunConfig, *, fold: Fold | None = None) -> Splits:
    """Return the splits of an images artifact's folder.

    With a fold its galaxies are the test, and no galaxy of the artifact's own test is used. Folds
    and the training fraction depend on `split_seed`; of each class they hold its share, as far as
    galaxies that stay together allow.

    Raises:
        InputError: a fold without galaxies.
    """
    training, validation = (open_galaxies(folder, split) for split in ("train", "validation"))
    if fold:
        ranks = _rank_within_class(training, seed=[config.split_seed, fold.count])
        is_held_out = (ranks * fold.count).astype(np.int64) == fold.index
        training, test = _choose(training, ~is_held_out), _choose(training, is_held_out)
        if not len(test):
            raise InputError(
                f"The training galaxies are too few to leave one of {fold.count} parts out. "
                "Lower 'repeats'."
            )
    else:
        test = open_galaxies(folder, "test")
    stopping, calibration = part_validation(
        validation, fraction=config.calibration_fraction, seed=config.split_seed
    )
    is_learned = _rank_within_class(training, seed=config.split_seed) < config.training_fraction
    return Splits(_choose(training, is_learned), stopping, calibration, test)


def _rank_within_class(galaxies: Galaxies, *, seed: int | list[int]) -> NDArray[np.float64]:
    """Return a random rank of each galaxy within its class, (n,), from 0 to below 1.

    Galaxies that stay together have the rank of the first of them.
    """
    random, ranks = np.random.default_rng(seed), np.zeros(len(galaxies))
    for label in np.unique(galaxies.labels):
        rows = random.permutation(np.flatnonzero(galaxies.labels == label))
        ranks[rows] = np.arange(len(rows)) / len(rows)
    _, first, of_group = np.unique(galaxies.groups, return_index=True, return_inverse=True)
    return ranks[first][of_group]


def part_validation(
    validation: Galaxies, *, fraction: float, seed: int
) -> tuple[Galaxies, Galaxies]:
    """Return the galaxies that stop a training early, and those that calibrate its probabilities.

    Of each class, `fraction` is for calibration, rounded down, so that a class of one galaxy stops.
    Galaxies that stay together are on one side.
    """
    ranks = _rank_within_class(validation, seed=seed)
    counts = np.bincount(validation.labels)[validation.labels]
    is_calibrating = ranks * counts < np.floor(fraction * counts) - 0.5
    return _choose(validation, ~is_calibrating), _choose(validation, is_calibrating)


def _choose(galaxies: Galaxies, is_chosen: NDArray[np.bool_]) -> Galaxies:
    return replace(
        galaxies,
        rows=galaxies.rows[is_chosen],
        labels=galaxies.labels[is_chosen],
        groups=galaxies.groups[is_chosen],
        galaxy_ids=tuple(np.array(galaxies.galaxy_ids, dtype=object)[is_chosen]),
    )


def class_weights(labels: NDArray[np.int64], num_classes: int, power: float) -> NDArray[np.float64]:
    """Return a weight for each class, (1 / share) ** power, scaled to a mean of 1 over galaxies.

    `power` 0 gives every galaxy the same weight, 1 every class. Shape: (num_classes,).
    """
    counts = np.bincount(labels, minlength=num_classes)
    if not counts.all():
        raise InputError(
            f"Every class needs a training galaxy. Received counts by class: {counts.tolist()}"
        )
    weights = (len(labels) / counts) ** power
    return weights * len(labels) / float(weights[labels].sum())


def balance_weights(
    labels: NDArray[np.int64], num_classes: int, config: RunConfig
) -> NDArray[np.float64]:
    """Return how much more each class counts in training than its galaxies, (num_classes,).

    By weights in the loss or by sampling, the network comes to expect the class that much more.
    """
    power = config.class_balance_power if config.class_balance != "none" else 0.0
    return class_weights(labels, num_classes, power)


def epoch_order(
    labels: NDArray[np.int64], *, seed: int, epoch: int, galaxy_weights: NDArray[np.float64] | None
) -> NDArray[np.int64]:
    """Return the order in which one epoch visits the galaxies, (n,) positions in the split.

    With `galaxy_weights`, (n,), galaxies are drawn with replacement in proportion to them; without,
    each is visited once.
    """
    random = np.random.default_rng([seed, epoch])
    if galaxy_weights is None:
        return random.permutation(len(labels))
    return random.choice(
        len(labels), size=len(labels), p=galaxy_weights / float(galaxy_weights.sum())
    )


Batch = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]
_LOADER_THREADS = 2
_BATCHES_AHEAD = 4


class EpochBatches(keras.utils.PyDataset):
    """One epoch of (images uint8, one-hot labels float32, loss weights float32) batches in NumPy.

    Threads gather the next batches while the device computes. The ragged last batch is left out,
    because its shape would compile a second program; every epoch leaves out other galaxies. With
    fewer galaxies than a batch there is one batch of them all.

    Keras' own threads (`workers`) are not used: under JAX, `fit` takes a batch to build the model,
    starts again, and then they hand out what they had gathered before it.
    """

    def __init__(
        self,
        galaxies: Galaxies,
        *,
        order: NDArray[np.int64],
        batch_size: int,
        num_classes: int,
        loss_weights: NDArray[np.float64],
    ) -> None:
        """Visit the positions in `order`; `loss_weights` has a weight for each class."""
        super().__init__()
        self.galaxies, self.order = galaxies, order
        self.batch_size = min(batch_size, len(order))
        self.one_hot = np.eye(num_classes, dtype=np.float32)
        self.loss_weights = loss_weights.astype(np.float32)
        self._threads = ThreadPoolExecutor(_LOADER_THREADS)
        self._gathered: dict[int, Future[Batch]] = {}

    def __len__(self) -> int:
        """Return the number of batches."""
        return count_steps(len(self.order), self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch, counted from 0, and have the next ones gathered."""
        for ahead in range(index, min(index + 1 + _BATCHES_AHEAD, len(self))):
            if ahead not in self._gathered:
                self._gathered[ahead] = self._threads.submit(self._gather, ahead)
        return self._gathered.pop(index).result()

    def _gather(self, index: int) -> Batch:
        positions = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        labels = self.galaxies.labels[positions]
        images = self.galaxies.images[self.galaxies.rows[positions]]
        return images, self.one_hot[labels], self.loss_weights[labels]


def count_steps(num_galaxies: int, batch_size: int) -> int:
    """Return the batches of an epoch: the whole ones, or one where there are fewer galaxies."""
    return max(num_galaxies // batch_size, 1)
