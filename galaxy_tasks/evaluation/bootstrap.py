"""Bootstrap over the test galaxies: how far could a score have moved with other galaxies?

Samples are stratified: each holds as many galaxies of each true class as the test set, so that a
class with few galaxies is never lost from a sample. An interval from them answers for other
galaxies of the same classes in the same numbers. It does not answer for another mixture of classes
or another training seed, and a class without any error adds no width, however few its galaxies.

A sample enters the scores only through its confusion matrix, so confusion matrices are drawn (each
row a multinomial): the same distribution, thousands of times faster.
"""

import numpy as np
from numpy.typing import NDArray

_CHUNK_CELLS = 4_000_000
"""Most numbers held at once, which bounds the memory."""


def resample_counts(
    counts: NDArray[np.int64], *, samples: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Return (samples, *counts.shape): each counts[i] resampled with the same total."""
    drawn = np.zeros((samples, *counts.shape), dtype=np.int64)
    for index, cells in enumerate(counts):
        total = cells.sum()
        if total:
            flat = random.multinomial(total, cells.ravel() / total, size=samples)
            drawn[:, index] = flat.reshape(samples, *cells.shape)
    return drawn


def resample_mean(
    values: NDArray[np.float64],
    *,
    labels: NDArray[np.int64],
    samples: int,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Return (samples,) means of values resampled within each label."""
    totals = np.zeros(samples)
    for label in np.unique(labels):
        group = values[labels == label]
        for part in _parts(samples, len(group)):
            width = part.stop - part.start
            totals[part] += random.choice(group, (width, len(group))).sum(axis=1)
    return totals / len(values)


def score_confusions(confusions: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return accuracy, macro_f1, weighted_f1, balanced_accuracy of (samples, k, k) matrices.

    Rows are true classes. The scores equal scikit-learn's over the classes that have galaxies.
    """
    support = confusions.sum(axis=2)
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    present, total = support > 0, support.sum(axis=1)
    recall = hits / np.maximum(support, 1)
    # F1 = 2 hits / (galaxies of the class + galaxies predicted so).
    f1 = np.where(present, 2.0 * hits / np.maximum(support + confusions.sum(axis=1), 1), 0.0)
    return {
        "accuracy": hits.sum(axis=1) / total,
        "macro_f1": f1.sum(axis=1) / present.sum(axis=1),
        "weighted_f1": (f1 * support).sum(axis=1) / total,
        "balanced_accuracy": recall.sum(axis=1) / present.sum(axis=1),
    }


def resample_paired_macro_f1(
    joint: NDArray[np.int64], *, samples: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return (samples,) differences in macro_f1, first model minus second, on the same galaxies.

    `joint` counts galaxies by true class, the first model's class and the second's: (k, k, k).
    """
    drawn = []
    for part in _parts(samples, joint.size):
        cells = resample_counts(joint, samples=part.stop - part.start, random=random)
        first = score_confusions(cells.sum(axis=3))
        second = score_confusions(cells.sum(axis=2))
        drawn.append(first["macro_f1"] - second["macro_f1"])
    return np.concatenate(drawn)


def _parts(samples: int, width: int) -> list[slice]:
    step = max(1, _CHUNK_CELLS // width)
    return [slice(start, min(start + step, samples)) for start in range(0, samples, step)]
