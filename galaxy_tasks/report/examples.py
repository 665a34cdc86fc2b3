"""Which test galaxies a report shows: ordinary right ones and the most confident mistakes."""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ExampleGalaxy:
    """One test galaxy as a model sees and calls it."""

    galaxy_id: str
    image: NDArray[np.uint8]
    """(height, width, 3), RGB."""
    label: str
    """The true class."""
    prediction: str
    probability: float
    """Of the predicted class."""
    agreement: float | None = None
    """The smallest vote fraction that the label rests on, 0 to 1; None without votes."""

    @property
    def is_right(self) -> bool:
        """Whether the model calls the galaxy what it is."""
        return self.prediction == self.label


@dataclass(frozen=True)
class ExplainedGalaxy:
    """One test galaxy and where in its cutout a model saw the class that it calls it."""

    galaxy_id: str
    image: NDArray[np.uint8]
    """(height, width, 3), RGB."""
    heat_map: NDArray[np.uint8]
    """(height, width), 255 where the cutout speaks most for the class."""
    label: str
    """The true class."""
    prediction: str
    """Of the image as it is, not of the mean over orientations."""


@dataclass(frozen=True)
class ExampleRows:
    """Rows of the test galaxies to show."""

    right: tuple[int, ...]
    wrong: tuple[int, ...]


def choose_examples(
    probabilities: NDArray[Any], *, labels: NDArray[Any], num_each: int
) -> ExampleRows:
    """Return at most `num_each` rows called right and twice as many called wrong.

    The right ones are those of middling confidence, not the most beautiful, the classes in turn.
    The wrong ones are those the model was surest of, from which there is most to learn: the pairs
    of true and predicted class in turn, those with most mistakes first.

    Args:
        probabilities: (galaxies, classes).
        labels: (galaxies,) integers, the true classes.
        num_each: most rows called right.
    """
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    surest_first = np.argsort(-confidence, kind="stable")
    right, wrong = [], []
    for label, prediction in np.ndindex(2 * probabilities.shape[1:]):
        is_pair = (labels[surest_first] == label) & (predictions[surest_first] == prediction)
        rows = surest_first[is_pair]
        if label == prediction:
            middle = np.argsort(abs(np.arange(len(rows)) - (len(rows) - 1) / 2), kind="stable")
            right.append(rows[middle])
        else:
            wrong.append(rows)
    wrong.sort(key=len, reverse=True)
    return ExampleRows(_take_in_turn(right, num_each), _take_in_turn(wrong, 2 * num_each))


def _take_in_turn(groups: list[NDArray[np.intp]], count: int) -> tuple[int, ...]:
    turns = (row for turn in zip_longest(*groups) for row in turn if row is not None)
    return tuple(int(row) for row, _ in zip(turns, range(count), strict=False))
