"""Do probabilities mean what they say, and do sets hold the true class as often as promised?

The loss and the Brier score say whether calibration has helped: both are smallest for the true
probabilities. The expected calibration error (15 bins of equal width) is shown beside what a
perfectly calibrated model would show on as many galaxies, because from few it is far from 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from galaxy_tasks.evaluation.metrics import Estimate, losses_of
from galaxy_tasks.prediction.calibration import Answers, Calibration

NUM_BINS = 15
"""Of equal width, between 0 and 1."""
_ROUNDS = 200


@dataclass(frozen=True)
class ProbabilityScores:
    """How good probabilities are."""

    loss: float
    """Cross-entropy, in nats."""
    brier: float
    """From 0 (best) to 2."""
    calibration_error: float
    perfect_error: float
    """The calibration error that perfectly calibrated probabilities would show here."""


@dataclass(frozen=True)
class SetCoverage:
    """How often sets hold the true class."""

    name: str
    """The class of the galaxies; empty for all of them."""
    num_galaxies: int
    covered: Estimate | None
    """With the exact 95 % interval (Clopper & Pearson 1934); None without galaxies."""
    mean_size: float
    """Classes in a set."""
    has_own_threshold: bool
    """Whether the calibrating galaxies of the class were enough for a threshold of its own."""


@dataclass(frozen=True)
class Reliability:
    """A model's probabilities and sets, held against the test galaxies."""

    calibration: Calibration
    before: ProbabilityScores
    """Of the probabilities as the network gives them."""
    after: ProbabilityScores
    """Of the calibrated ones."""
    bins: "tuple[ReliabilityBin, ...]"
    """Of the calibrated ones."""
    marginal: SetCoverage
    """Sets by one threshold for all classes."""
    conditional: SetCoverage
    """Sets by the thresholds of the classes, over all galaxies."""
    classes: tuple[SetCoverage, ...]
    """The same, by true class."""

    @property
    def has_helped(self) -> bool:
        """Whether calibration has lowered both the loss and the Brier score."""
        return self.after.loss < self.before.loss and self.after.brier < self.before.brier


def measure_reliability(
    answers: Answers,
    labels: NDArray[np.integer],
    *,
    calibration: Calibration,
    classes: Sequence[str],
    seed: int,
) -> Reliability:
    """Return how reliable answers are, on galaxies that took no part in their calibration."""
    before, after = (
        score_probabilities(table, labels, seed=seed)
        for table in (answers.decisive, answers.calibrated)
    )
    every = np.ones(len(labels), dtype=bool)
    has_own = [one is not None for one in calibration.class_thresholds]
    return Reliability(
        calibration,
        before,
        after,
        list_bins(answers.calibrated, labels),
        marginal=_measure_sets(answers.is_in_marginal_set, labels, every, has_own=False),
        conditional=_measure_sets(answers.is_in_set, labels, every, has_own=any(has_own)),
        classes=tuple(
            _measure_sets(answers.is_in_set, labels, labels == index, name=name, has_own=own)
            for index, (name, own) in enumerate(zip(classes, has_own, strict=True))
        ),
    )


def score_probabilities(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], *, seed: int
) -> ProbabilityScores:
    """Return the scores of (galaxies, classes) probabilities."""
    return ProbabilityScores(
        loss=float(losses_of(probabilities, labels).mean()),
        brier=measure_brier(probabilities, labels),
        calibration_error=measure_calibration_error(probabilities, labels),
        perfect_error=find_perfect_error(probabilities, seed=seed),
    )


def _measure_sets(
    is_in_set: NDArray[np.bool_],
    labels: NDArray[np.integer],
    is_counted: NDArray[np.bool_],
    *,
    name: str = "",
    has_own: bool,
) -> SetCoverage:
    count = int(is_counted.sum())
    if not count:
        return SetCoverage(name, 0, None, 0.0, has_own)
    sets = is_in_set[is_counted]
    held = int(sets[np.arange(count), labels[is_counted]].sum())
    interval = binomtest(held, count).proportion_ci(confidence_level=0.95, method="exact")
    covered = Estimate(held / count, float(interval.low), float(interval.high))
    return SetCoverage(name, count, covered, float(sets.sum(axis=1).mean()), has_own)


def measure_brier(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the Brier score: the mean squared distance to the truth, from 0 (best) to 2."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


@dataclass(frozen=True)
class ReliabilityBin:
    """Galaxies whose class is predicted with about the same confidence."""

    confidence: float
    """Mean probability of the predicted class."""
    accuracy: float
    num_galaxies: int


def list_bins(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> tuple[ReliabilityBin, ...]:
    """Return the bins that have galaxies: what a reliability diagram shows."""
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    places = _place(confidence)
    return tuple(
        ReliabilityBin(
            float(confidence[places == place].mean()),
            float(is_right[places == place].mean()),
            int(np.count_nonzero(places == place)),
        )
        for place in np.unique(places)
    )


def measure_calibration_error(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> float:
    """Return the expected calibration error: the mean distance of confidence and accuracy."""
    bins = list_bins(probabilities, labels)
    gaps = [one.num_galaxies * abs(one.confidence - one.accuracy) for one in bins]
    return sum(gaps) / len(labels)


def find_perfect_error(probabilities: NDArray[np.floating], *, seed: int) -> float:
    """Return the calibration error that perfectly calibrated probabilities would show here.

    With few galaxies it is far from 0: whether each is right is drawn by its confidence.
    """
    random = np.random.default_rng(seed)
    confidence = probabilities.max(axis=1)
    places, count = _place(confidence), len(confidence)
    errors = []
    for _ in range(_ROUNDS):
        is_right = random.random(count) < confidence
        gaps = np.bincount(places, weights=is_right - confidence, minlength=NUM_BINS)
        errors.append(np.abs(gaps).sum() / count)
    return float(np.mean(errors))


def _place(confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.minimum((confidence * NUM_BINS).astype(np.int64), NUM_BINS - 1)
