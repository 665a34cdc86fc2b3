"""Prepared images as batches that Keras takes under any backend.

Batches are gathered from the memory-mapped uint8 array and reach the device as uint8; the compiled
model does the rest. The order of an epoch depends on the seed and the epoch alone, so a training
that is resumed sees the galaxies in the order in which it would have seen them.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import keras
import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.training.galaxies import Galaxies


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
    if config.target != "classes":  # votes need no galaxy of every class
        return np.ones(num_classes)
    power = config.class_balance_power if config.class_balance != "none" else 0.0
    return class_weights(labels, num_classes, power)


def find_balance(config: RunConfig) -> Literal["none", "weights", "sampling"]:
    """Return the help for rare classes; votes need none, as every galaxy has them."""
    return config.class_balance if config.target == "classes" else "none"


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
    """One epoch of (images uint8, targets float32, loss weights float32) batches in NumPy.

    Targets are one-hot labels, or the votes where the galaxies have them.

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
        labels, rows = self.galaxies.labels[positions], self.galaxies.rows[positions]
        votes = self.galaxies.votes
        targets = self.one_hot[labels] if votes is None else votes[rows]
        return self.galaxies.images[rows], targets, self.loss_weights[labels]


def count_steps(num_galaxies: int, batch_size: int) -> int:
    """Return the batches of an epoch: the whole ones, or one where there are fewer galaxies."""
    return max(num_galaxies // batch_size, 1)
