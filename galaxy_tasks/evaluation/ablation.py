"""What a setting is worth: its values compared on galaxies held out of training.

Every value is trained with every value of the other settings, with every architecture, on every
fold. The mean of these is the value's score on a fold, and values are compared within folds (a
randomised complete block design, Fisher 1935): whatever makes a fold hard cancels. Networks and
other settings do not count as blocks of their own, for they share a fold's galaxies and seed, and
so whatever favours a value there. What is left within folds, the luck of seeds and of galaxies, is
the error, whose variance is pooled over all values. As the folds' training galaxies overlap, it is
rather too small (Bengio & Grandvalet 2004, JMLR 5:1089), and so it is for a value that trains much
more erratically than the others: a p value just below alpha proves little.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.comparisons import POWER
from galaxy_tasks.evaluation.metrics import Estimate

SCORES = ("loss", "macro_f1", "accuracy")
"""Names of the scores; the first decides."""
TRAINING_FRACTION = "training_fraction"
"""The setting whose values make a learning curve."""


@dataclass(frozen=True)
class HeldOutScore:
    """One training of an ablation, scored on the fold that it has not learned from."""

    varied: Mapping[str, Any]
    """The value of each setting that the ablation varies."""
    architecture: str
    fold: int
    galaxies: str
    """Hash of the fold's galaxies."""
    num_training: int
    """Galaxies that it has learned from."""
    loss: float
    """Cross-entropy of the calibrated probabilities, in nats."""
    macro_f1: float
    accuracy: float


@dataclass(frozen=True)
class Level:
    """A value of a setting: its mean scores, and how they differ from the first value's."""

    value: Any
    means: Mapping[str, float]
    differences: "Mapping[str, Difference]"
    """Empty for the first value."""


@dataclass(frozen=True)
class Difference:
    """This value's score minus that of the first value."""

    estimate: Estimate
    """With the interval; those of a setting's values hold together with probability 1 - alpha."""
    p_value: float
    """Two-sided, of this value alone."""
    p_holm: float
    """Adjusted for the number of values."""
    detectable: float
    """The difference that this ablation would have shown with probability POWER."""
    is_distinguishable: bool
    """Whether the interval leaves out 0."""


@dataclass(frozen=True)
class Factor:
    """A setting that was varied, and what its values are worth."""

    setting: str
    levels: tuple[Level, ...]
    num_trainings: int
    """Of each value."""


@dataclass(frozen=True)
class Ablation:
    """What an ablation has found."""

    factors: tuple[Factor, ...]
    curves: "tuple[LearningCurve, ...]"
    """Of each score, where the training fraction was varied."""
    architectures: tuple[str, ...]
    num_folds: int
    alpha: float


def compare_all(
    scores: Sequence[HeldOutScore], settings: Sequence[str], *, alpha: float
) -> Ablation:
    """Return what the values of each varied setting are worth, in the order of the trainings.

    Raises:
        InputError: as `compare_levels`, or trainings have different galaxies in one fold.
    """
    folds = {(score.fold, score.galaxies) for score in scores}
    if len(folds) > len({score.fold for score in scores}):
        raise InputError(
            "Trainings were scored on different galaxies of one fold, so they cannot be compared: "
            "images were refused with some of the values and not with others."
        )
    factors = [
        compare_levels(
            scores,
            setting=name,
            levels=list(dict.fromkeys(score.varied[name] for score in scores)),
            alpha=alpha,
        )
        for name in settings
    ]
    has_curve = TRAINING_FRACTION in settings
    return Ablation(
        tuple(factors),
        tuple(fit_learning_curve(scores, name) for name in SCORES) if has_curve else (),
        tuple(dict.fromkeys(score.architecture for score in scores)),
        len({score.fold for score in scores}),
        alpha,
    )


def compare_levels(
    scores: Sequence[HeldOutScore], *, setting: str, levels: Sequence[Any], alpha: float
) -> Factor:
    """Return what the values of one setting are worth against the first of them.

    Raises:
        InputError: a training is missing, or there are fewer than two folds.
    """
    tables = _tabulate(scores, setting, levels)
    means = {score: table.mean(axis=0) for score, table in tables.items()}
    differences = {score: _compare(table, alpha=alpha) for score, table in tables.items()}
    return Factor(
        setting,
        tuple(
            Level(
                value,
                {score: float(mean[index]) for score, mean in means.items()},
                {score: found[index - 1] for score, found in differences.items()} if index else {},
            )
            for index, value in enumerate(levels)
        ),
        num_trainings=len(scores) // len(levels),
    )


def _tabulate(
    scores: Sequence[HeldOutScore], setting: str, levels: Sequence[Any]
) -> dict[str, NDArray[np.float64]]:
    """Return tables of (folds, levels) by score, each a mean over networks and other settings."""
    folds = _group(scores, setting)
    alike = [set(levels) == {one.varied[setting] for one in own} for fold in folds for own in fold]
    if len(folds) < 2 or not all(alike) or len(scores) != len(alike) * len(levels):
        raise InputError(
            f"To compare values of {setting!r}, each must be trained on two folds or more, and "
            f"alike. Received: {len(scores)} trainings of {len(levels)} values on {len(folds)} "
            "folds."
        )
    return {
        name: np.array(
            [[_average(fold, name, setting, level) for level in levels] for fold in folds]
        )
        for name in SCORES
    }


def _average(fold: list[list[HeldOutScore]], name: str, setting: str, level: Any) -> float:
    """Return the mean score of a fold's trainings with one value of a setting."""
    return fmean(getattr(one, name) for own in fold for one in own if one.varied[setting] == level)


def _group(scores: Sequence[HeldOutScore], setting: str) -> list[list[list[HeldOutScore]]]:
    """Return for each fold its groups: the trainings that differ in one setting alone."""
    folds: dict[int, dict[Any, list[HeldOutScore]]] = {}
    for score in scores:
        others = tuple(value for name, value in score.varied.items() if name != setting)
        groups = folds.setdefault(score.fold, {})
        groups.setdefault((others, score.architecture), []).append(score)
    return [list(groups.values()) for groups in folds.values()]


def _compare(table: NDArray[np.float64], *, alpha: float) -> tuple[Difference, ...]:
    """Return the differences of columns 1, 2, … of (folds, levels) from column 0."""
    num_folds, num_levels = table.shape
    differences = (table[:, 1:] - table[:, :1]).mean(axis=0)
    residuals = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    df = (num_folds - 1) * (num_levels - 1)
    error = float(np.sqrt(2 * (residuals**2).sum() / df / num_folds))
    student, comparisons = stats.t(df), num_levels - 1
    width = float(student.ppf(1 - alpha / (2 * comparisons))) * error
    with np.errstate(divide="ignore", invalid="ignore"):  # trainings that agree to the last digit
        t = np.where(differences == 0, 0.0, np.abs(differences) / error)
    p_values = 2 * student.sf(t)
    adjusted = np.asarray(multipletests(p_values, alpha=alpha, method="holm")[1])
    return tuple(
        Difference(
            Estimate(value, value - width, value + width),
            p_value=float(p),
            p_holm=float(holm),
            detectable=width + float(student.ppf(POWER)) * error,
            is_distinguishable=abs(value) > width,
        )
        for value, p, holm in zip(differences.tolist(), p_values, adjusted, strict=True)
    )


@dataclass(frozen=True)
class LearningCurve:
    """How a score's shortfall sinks with the training galaxies: a power law, n ** -exponent.

    The shortfall is the loss itself, or how far a score is below 1. The law is fitted by least
    squares between logarithms, for each network and each value of other settings on each fold;
    intervals are Student's t over the folds' means, and hold if the law does.
    """

    score: str
    exponent: Estimate
    """Intervals of all curves are 95 %."""
    num_training: int
    """The most training galaxies that a training had."""
    doubled: Estimate
    """The score that the law gives for twice as many."""


def fit_learning_curve(scores: Sequence[HeldOutScore], score: str) -> LearningCurve:
    """Return the power law of a score over the training fractions.

    Raises:
        InputError: fewer than two folds or fractions.
    """
    folds = _group(scores, TRAINING_FRACTION)
    if len(folds) < 2 or any(len(own) < 2 for fold in folds for own in fold):
        raise InputError(
            "A learning curve needs two training fractions on two folds or more. "
            f"Received: {len(scores)} trainings on {len(folds)} folds."
        )
    most = max(one.num_training for one in scores)
    laws = np.array([np.mean([_fit_law(own, score) for own in fold], axis=0) for fold in folds])
    slope, intercept = laws.T
    mean = _estimate_mean(intercept + slope * np.log(2 * most))
    bounds = [float(np.exp(value)) for value in (mean.value, mean.low, mean.high)]
    if score != "loss":
        bounds = [1 - bounds[0], 1 - bounds[2], 1 - bounds[1]]
    return LearningCurve(score, _estimate_mean(-slope), most, Estimate(*bounds))


def _fit_law(scores: Sequence[HeldOutScore], score: str) -> NDArray[np.float64]:
    """Return slope and intercept of the shortfall over the training galaxies, both logarithms."""
    logs = [np.log(max(_shortfall(one, score), 1e-6)) for one in scores]
    return np.polyfit(np.log([one.num_training for one in scores]), logs, deg=1)


def _shortfall(one: HeldOutScore, score: str) -> float:
    return one.loss if score == "loss" else 1 - getattr(one, score)


def _estimate_mean(values: NDArray[np.float64]) -> Estimate:
    """Return the mean with its 95 % interval by Student's t."""
    mean, count = float(values.mean()), len(values)
    width = float(stats.t(count - 1).ppf(0.975) * values.std(ddof=1) / np.sqrt(count))
    return Estimate(mean, mean - width, mean + width)
