"""From probabilities and labels to scores with 95 % intervals; knows no model and no file.

The scores are scikit-learn's; `resampling` explains what the intervals mean, and what they do not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    recall_score,
)

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.resampling import CLASS_SCORES, draw_means, draw_scores
from galaxy_tasks.prediction.calibration import SMALLEST_PROBABILITY

SIGNIFICANCE = 0.05
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Estimate:
    """A score of the test galaxies, with its 95 % interval, which contains it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class; 0 where there is nothing to divide by."""

    morphology: str
    precision: Estimate
    recall: Estimate
    f1: Estimate
    support: int
    """Test galaxies of this class."""


@dataclass(frozen=True)
class Evaluation:
    """How well one model did on the test galaxies.

    `macro_f1` and `balanced_accuracy` are means over the classes that have test galaxies.
    """

    architecture: str
    num_galaxies: int
    classes: tuple[str, ...]
    accuracy: Estimate
    loss: Estimate
    """Cross-entropy, in nats."""
    macro_f1: Estimate
    weighted_f1: Estimate
    balanced_accuracy: Estimate
    class_scores: tuple[ClassScore, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    """Galaxies by true class (row) and predicted class (column)."""


@dataclass(frozen=True)
class Comparison:
    """Two models on the same galaxies: `difference` is macro_f1 of the first minus the second."""

    first: str
    second: str
    difference: Estimate
    p_value: float
    """Two-sided, of the paired bootstrap."""
    is_distinguishable: bool
    """Whether the interval leaves out 0."""
    only_first_right: int
    """Galaxies that the first model alone classifies correctly."""
    only_second_right: int
    """Galaxies that the second model alone classifies correctly."""
    mcnemar_p_value: float
    """Of McNemar's exact test, two-sided, that the two are right equally often."""


def evaluate_probabilities(
    probabilities: NDArray[Any],
    *,
    labels: NDArray[Any],
    architecture: str,
    classes: Sequence[str],
    bootstrap_samples: int,
    seed: int,
    calibrated: NDArray[Any] | None = None,
) -> Evaluation:
    """Return the scores of one model's probabilities, each with a 95 % interval.

    Args:
        probabilities: (galaxies, classes), each row a distribution; the largest is the class.
        calibrated: the same after calibration, for the loss. None: they are calibrated.
        labels: (galaxies,) integers, the positions of the true classes in `classes`.
        architecture, classes: the model's name, and the classes' in the order of the columns.
        bootstrap_samples, seed: samples for each interval, and what makes them repeatable.

    Raises:
        InputError: shapes, values or labels do not fit together.
    """
    width = _count_classes(classes)
    read = probabilities if calibrated is None else calibrated
    probabilities, labels = _check(probabilities, labels, width=width, owner=architecture)
    calibrated, labels = _check(read, labels, width=width, owner=architecture)
    sampling = {"samples": bootstrap_samples, "random": np.random.default_rng(seed)}
    predictions = probabilities.argmax(axis=1)
    drawn = draw_scores(predictions[np.newaxis], labels=labels, num_classes=width, **sampling)
    drawn["loss"] = draw_means(losses_of(calibrated, labels), labels=labels, **sampling)
    scores = _score(probabilities, calibrated, labels)
    return Evaluation(
        architecture=architecture,
        num_galaxies=len(labels),
        classes=tuple(classes),
        class_scores=_score_classes(predictions, labels, classes, drawn),
        confusion_matrix=_count_confusions(labels, predictions, width),
        **{name: _estimate(value, drawn[name]) for name, value in scores.items()},
    )


def _count_classes(classes: Sequence[str]) -> int:
    if len(set(classes)) != len(classes):
        raise InputError(f"A class is named twice. Received: {', '.join(classes)}")
    return len(classes)


def _count_confusions(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], num_classes: int
) -> tuple[tuple[int, ...], ...]:
    counts = confusion_matrix(labels, predictions, labels=np.arange(num_classes))
    return tuple(map(tuple, counts.tolist()))


def losses_of(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return (galaxies,) cross-entropies, in nats, of (galaxies, classes) probabilities."""
    own = np.asarray(probabilities, dtype=np.float64)[np.arange(len(labels)), labels]
    return -np.log(np.maximum(own, SMALLEST_PROBABILITY))


def compare_models(
    first_probabilities: NDArray[Any],
    second_probabilities: NDArray[Any],
    *,
    labels: NDArray[Any],
    first: str,
    second: str,
    bootstrap_samples: int,
    seed: int,
) -> Comparison:
    """Return whether two trained models differ, over the galaxies that they share.

    Both are scored on the same samples, so what makes a galaxy hard for both cancels. It compares
    these models as they are, and does not answer for another seed. Shapes and errors as in
    `evaluate_probabilities`.
    """
    width = np.shape(first_probabilities)[-1] if np.ndim(first_probabilities) else 0
    one, labels = _check(first_probabilities, labels, width=width, owner=first)
    two, labels = _check(second_probabilities, labels, width=width, owner=second)
    predictions = np.stack([one.argmax(axis=1), two.argmax(axis=1)])
    drawn = draw_scores(
        predictions,
        labels=labels,
        num_classes=width,
        samples=bootstrap_samples,
        random=np.random.default_rng(seed),
    )["macro_f1"]
    scores = [_score(table, table, labels)["macro_f1"] for table in (one, two)]
    difference = scores[0] - scores[1]
    deviations = drawn[:, 0] - drawn[:, 1]
    return _compare(
        first, second, difference, deviations - deviations.mean(), predictions == labels
    )


def _compare(
    first: str,
    second: str,
    difference: float,
    deviations: NDArray[np.float64],
    is_right: NDArray[np.bool_],
) -> Comparison:
    half_width = float(np.quantile(np.abs(deviations), 1 - SIGNIFICANCE))
    # The observed sample counts as one of the drawn (Davison & Hinkley 1997, ch. 4), so p > 0.
    beyond = np.count_nonzero(np.abs(deviations) >= abs(difference))
    only_first = int(np.count_nonzero(is_right[0] & ~is_right[1]))
    only_second = int(np.count_nonzero(is_right[1] & ~is_right[0]))
    differing = only_first + only_second
    return Comparison(
        first,
        second,
        Estimate(difference, difference - half_width, difference + half_width),
        float((beyond + 1) / (len(deviations) + 1)),
        abs(difference) > half_width,
        only_first_right=only_first,
        only_second_right=only_second,
        mcnemar_p_value=float(binomtest(only_first, differing).pvalue) if differing else 1.0,
    )


def _check(
    probabilities: NDArray[Any], labels: NDArray[Any], *, width: int, owner: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities as float64 rows that sum to 1, none below the smallest, and labels."""
    table, labels = np.asarray(probabilities), np.asarray(labels)
    if width < 2 or table.ndim != 2 or table.shape[1] != width or len(table) == 0:
        raise InputError(
            f"Probabilities of {owner} must be (galaxies, {max(width, 2)} classes or more), "
            f"one column for each class. Received: {table.shape} for {width} classes"
        )
    if labels.shape != table.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"Labels must be {len(table)} integers, one for each row of {owner}'s probabilities. "
            f"Received: {labels.dtype} {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= width:
        raise InputError(
            f"Labels must lie in 0 to {width - 1}. Received: {labels.min()} to {labels.max()}"
        )
    table = table.astype(np.float64)
    sums = table.sum(axis=1)
    wrong = ~(np.isfinite(sums) & (table >= 0).all(axis=1) & (abs(sums - 1) <= _SUM_TOLERANCE))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"Each row of {owner}'s probabilities must be at least 0 and sum to 1. "
            f"{np.count_nonzero(wrong)} of {len(table)} do not. "
            f"Received in row {row}: {table[row].tolist()}. "
            "Clear the task that trained it, then run again."
        )
    table = np.maximum(table / sums[:, np.newaxis], SMALLEST_PROBABILITY)
    return table / table.sum(axis=1, keepdims=True), labels.astype(np.int64)


def _score(
    probabilities: NDArray[np.float64], calibrated: NDArray[np.float64], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Return the headline scores; the means over classes leave out classes with no galaxy."""
    predictions, present = probabilities.argmax(axis=1), np.unique(labels)
    columns = np.arange(probabilities.shape[1])

    def mean(score: Callable[..., Any], average: str) -> float:
        return score(labels, predictions, labels=present, average=average, zero_division=0.0)

    return {
        "accuracy": accuracy_score(labels, predictions),
        "loss": log_loss(labels, calibrated, labels=columns),
        "macro_f1": mean(f1_score, "macro"),
        "weighted_f1": mean(f1_score, "weighted"),
        # balanced_accuracy_score is this, but warns of classes that no test galaxy has.
        "balanced_accuracy": mean(recall_score, "macro"),
    }


def _score_classes(
    predictions: NDArray[np.int64],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    drawn: Mapping[str, NDArray[np.float64]],
) -> tuple[ClassScore, ...]:
    scores = precision_recall_fscore_support(
        labels,
        predictions,
        labels=np.arange(len(classes)),
        zero_division=0.0,  # pyright: ignore[reportArgumentType]
    )
    *values, supports = (np.atleast_1d(np.asarray(score)) for score in scores)
    scored = []
    for index, (name, support) in enumerate(zip(classes, supports, strict=True)):
        precision, recall, f1 = (
            _estimate(value[index], drawn[score][..., index])
            if support
            else Estimate(0.0, 0.0, 1.0)
            for score, value in zip(CLASS_SCORES, values, strict=True)
        )
        scored.append(ClassScore(name, precision, recall, f1, int(support)))
    return tuple(scored)


def _estimate(value: float, drawn: NDArray[np.float64]) -> Estimate:
    """Return the percentile interval, widened where the bootstrap's bias leaves the value out."""
    low, high = (float(bound) for bound in np.percentile(drawn, [2.5, 97.5]))
    return Estimate(float(value), min(low, float(value)), max(high, float(value)))
