"""Resampling of the test galaxies: how far could scores have moved with other galaxies?

Each sample draws the galaxies once, for all models at a time, so that what makes a galaxy hard for
all of them cancels in a comparison. Samples are stratified: each holds as many galaxies of each
true class as the test set. They answer for other galaxies of the same classes in the same numbers,
not for another mixture of classes and not for another training seed (`repeats` adds those).

A class of few galaxies may have no mistake among them, and its resampled galaxies none either. Each
class therefore has one more galaxy's weight, spread evenly over the predictions of each model by
itself (Perks' prior: 1/k for each of k classes), so that no interval is of zero width by
construction.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

PSEUDO_GALAXIES = 1.0
"""Weight that each class has beside its galaxies, in galaxies."""
CLASS_SCORES = ("class_precision", "class_recall", "class_f1")
"""Names of the scores that each class has by itself."""
_CHUNK_CELLS = 4_000_000
"""Most numbers held at once, which bounds the memory."""


def draw_scores(
    predictions: NDArray[np.integer],
    *,
    labels: NDArray[np.integer],
    num_classes: int,
    samples: int,
    random: np.random.Generator,
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of all models on resampled galaxies: (samples, models) by name.

    CLASS_SCORES are (samples, models, classes).

    Args:
        predictions: (models, galaxies), the index of each predicted class.
        labels: (galaxies,), the index of each true class.
        num_classes: number of classes.
        samples: number of samples.
        random: draws them.
    """
    parts = [score_confusions(c) for c in _draw(predictions, labels, num_classes, samples, random)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def score_confusions(confusions: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
    """Return accuracy, macro_f1, weighted_f1, balanced_accuracy of (…, k, k) matrices.

    Rows are true classes. The scores equal scikit-learn's over the classes that have galaxies.
    CLASS_SCORES are (…, k).
    """
    support, predicted = confusions.sum(axis=-1), confusions.sum(axis=-2)
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    present, total = support > 0, support.sum(axis=-1)
    recall = hits / np.maximum(support, 1)
    # F1 = 2 hits / (galaxies of the class + galaxies predicted so).
    f1 = np.where(present, 2.0 * hits / np.maximum(support + predicted, 1), 0.0)
    return {
        "accuracy": hits.sum(axis=-1) / total,
        "macro_f1": f1.sum(axis=-1) / present.sum(axis=-1),
        "weighted_f1": (f1 * support).sum(axis=-1) / total,
        "balanced_accuracy": recall.sum(axis=-1) / present.sum(axis=-1),
        "class_precision": hits / np.maximum(predicted, 1),
        "class_recall": recall,
        "class_f1": f1,
    }


def draw_means(
    values: NDArray[np.float64],
    *,
    labels: NDArray[np.integer],
    samples: int,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Return (samples,) means of values over resampled galaxies, by the central limit theorem."""
    groups = [values[labels == label] for label in np.unique(labels)]
    variance = sum(len(group) * group.var() for group in groups) / len(values) ** 2
    return random.normal(values.mean(), np.sqrt(variance), size=samples)


def _draw(
    predictions: NDArray[np.integer],
    labels: NDArray[np.integer],
    num_classes: int,
    samples: int,
    random: np.random.Generator,
) -> Iterator[NDArray[np.int64]]:
    """Yield parts of the (samples, models, k, k) confusion matrices."""
    classes = [
        (label, *np.unique(predictions[:, labels == label], axis=1, return_counts=True))
        for label in np.unique(labels)
    ]
    width = max(len(predictions) * num_classes**2, *(len(counts) for *_, counts in classes))
    step = max(1, _CHUNK_CELLS // width)
    for start in range(0, samples, step):
        count = min(step, samples - start)
        drawn = np.zeros((count, len(predictions), num_classes, num_classes), dtype=np.int64)
        for label, patterns, counts in classes:
            drawn[:, :, label] = _draw_class(patterns, counts, num_classes, count, random)
        yield drawn


def _draw_class(
    patterns: NDArray[np.integer],
    counts: NDArray[np.integer],
    num_classes: int,
    samples: int,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Return (samples, models, k) numbers of predictions for the galaxies of one true class.

    `patterns` are the models' predictions that occur, (models, patterns), and `counts` how often:
    galaxies that all models call alike are drawn together, which is the same and much faster.
    """
    num_models, total = len(patterns), counts.sum()
    num_pseudo = random.binomial(
        total, PSEUDO_GALAXIES / (total + PSEUDO_GALAXIES), size=(samples, 1)
    )
    weights = random.multinomial(total - num_pseudo[:, 0], counts / total)
    one_hot = patterns.T[:, :, np.newaxis] == np.arange(num_classes)
    flat = one_hot.reshape(len(counts), num_models * num_classes).astype(np.float64)
    real = (weights @ flat).reshape(samples, num_models, num_classes)
    even = np.full(num_classes, 1 / num_classes)
    pseudo = random.multinomial(np.repeat(num_pseudo, num_models, axis=1), even)
    return np.rint(real).astype(np.int64) + pseudo
