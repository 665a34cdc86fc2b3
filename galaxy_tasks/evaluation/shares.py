"""How common classes are in a catalogue, corrected for the mistakes that a test has shown.

Counting what a model says counts its mistakes: of a rare class most of what is found may be others.
The share of each true class follows from the counts and from how often the test calls each class
what (adjusted counting, Forman 2008, doi:10.1007/s10618-008-0097-y). It is the mixture of the
test's rows that fits the counts best, with shares of at least 0. That holds where galaxies of one
class look alike in test and catalogue, though classes are more or less common.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from galaxy_tasks.evaluation.metrics import Estimate

_SAMPLES = 2000
_PSEUDO_COUNT = 0.5
"""Of a prior for each row of the confusion matrix, so that no interval has zero width."""
_RULE_OF_THREE = 3.0
"""With none among n galaxies, a share may still be 3 / n (Hanley & Lippman-Hand 1983)."""
_SUM_WEIGHT = 1e3
"""How much more the shares' sum of 1 counts than each of the counted shares."""


@dataclass(frozen=True)
class ClassShare:
    """How common a class is."""

    name: str
    num_counted: int
    """Galaxies that the model calls so."""
    counted: float
    """Their share."""
    corrected: Estimate
    """With the 95 % interval for the galaxies of test and catalogue."""


def correct_shares(
    counts: Sequence[int], confusion: NDArray[np.integer], classes: Sequence[str], *, seed: int = 0
) -> list[ClassShare]:
    """Return the shares of the classes in a catalogue.

    Args:
        counts: galaxies of the catalogue that the model calls each class.
        confusion: (true, predicted) galaxies of the test.
        classes: names, in the order of both.
        seed: of the samples that the intervals are from.
    """
    random = np.random.default_rng(seed)
    observed = np.asarray(counts, dtype=np.float64)
    total = observed.sum()
    rows = np.asarray(confusion, dtype=np.float64) + _PSEUDO_COUNT / len(classes)
    estimate = _unmix(observed / total, rows / rows.sum(axis=1, keepdims=True))
    samples = np.empty((_SAMPLES, len(classes)))
    for number in range(_SAMPLES):
        drawn = np.array([random.dirichlet(row) for row in rows])
        drawn_counts = random.multinomial(int(total), observed / total)
        samples[number] = _unmix(drawn_counts / total, drawn)
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    return [
        ClassShare(
            name,
            int(observed[index]),
            float(observed[index] / total),
            Estimate(
                float(estimate[index]),
                float(min(low[index], estimate[index])),
                float(max(high[index], estimate[index], _RULE_OF_THREE / total)),
            ),
        )
        for index, name in enumerate(classes)
    ]


def _unmix(shares: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mixture of rows, each a distribution over predictions, that gives these shares."""
    matrix = np.vstack([rows.T, np.full(len(rows), _SUM_WEIGHT)])
    found, _ = nnls(matrix, np.append(shares, _SUM_WEIGHT))
    return found / found.sum()
