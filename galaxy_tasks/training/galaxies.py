"""The galaxies of a training: prepared images, and what each split and part of them is for.

Loads no Keras, so that it serves where no network runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError

VOTES = "votes.npy"
"""Name of the file with the votes of labelled or prepared galaxies."""


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
    votes: NDArray[np.float32] | None = None
    """Volunteers for each answer, (count, answers) of all splits; None where only labels count."""

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
    chosen, has_votes = table.iloc[rows], (folder / VOTES).is_file()
    return Galaxies(
        images=images,
        rows=rows,
        labels=chosen["label_index"].to_numpy(dtype=np.int64),
        groups=chosen["group"].to_numpy(dtype=np.int64),
        galaxy_ids=tuple(chosen["galaxy_id"]),
        votes=np.load(folder / VOTES, mmap_mode="r") if has_votes else None,
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
