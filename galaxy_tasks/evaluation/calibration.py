"""Probabilities that mean what they say: fitted on galaxies that chose nothing else.

Class weights push a network towards rare classes: trained with the weight w in the loss, its
probability of a class is w times too large against the others. No temperature undoes that, so the
weights are divided out first, in each orientation. What is served, the mean over orientations (and
over the trainings of an ensemble), then gets one temperature (Guo et al. 2017, arXiv:1706.04599):
its logarithms are divided by it. The class is still the network's own choice, before any of this.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from galaxy_tasks.evaluation.metrics import SMALLEST_PROBABILITY

NUM_BINS = 15
"""Of equal width, between 0 and 1."""
LEAST_GALAXIES = 20
"""Fewer galaxies fit no temperature."""
_HIGHEST_TEMPERATURE = 20.0
_ROUNDS = 500


@dataclass(frozen=True)
class Calibration:
    """How probabilities are made honest."""

    class_weights: tuple[float, ...]
    """Weights that training gave the classes; all 1 where it gave none."""
    temperature: float
    """Above 1: the model was too sure. 1 where there were too few galaxies to fit it."""
    num_galaxies: int
    """Galaxies that it was fitted on."""

    def apply(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return calibrated probabilities, (galaxies, classes), of (orientations, galaxies, …)."""
        mean = remove_class_weights(probabilities, self.class_weights).mean(axis=0)
        return softmax(_log(mean) / self.temperature, axis=-1)


def fit_calibration(
    probabilities: NDArray[np.floating],
    *,
    labels: NDArray[np.integer],
    class_weights: Sequence[float],
) -> Calibration:
    """Return the calibration that gives these galaxies the smallest loss.

    Args:
        probabilities: (orientations, galaxies, classes); the mean over the first is served.
        labels: (galaxies,) integers, the true classes. A class may have no galaxy.
        class_weights: weights that training gave the classes.
    """
    weights = tuple(float(weight) for weight in class_weights)
    if len(labels) < LEAST_GALAXIES:
        return Calibration(weights, 1.0, len(labels))
    logs = _log(remove_class_weights(probabilities, weights).mean(axis=0))
    own = np.arange(len(labels)), labels

    def find_loss(log_temperature: float) -> float:
        return -float(log_softmax(logs / np.exp(log_temperature), axis=-1)[own].mean())

    limit = np.log(_HIGHEST_TEMPERATURE)
    found = minimize_scalar(find_loss, bounds=(-limit, limit), method="bounded")
    return Calibration(weights, float(np.exp(found.x)), len(labels))


def remove_class_weights(
    probabilities: NDArray[np.floating], class_weights: Sequence[float]
) -> NDArray[np.float64]:
    """Return (…, classes) probabilities as training without class weights would have them."""
    divided = np.asarray(probabilities, dtype=np.float64) / np.asarray(class_weights)
    return divided / divided.sum(axis=-1, keepdims=True)


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
    is_right = random.random((_ROUNDS, count)) < confidence
    gaps = (is_right - confidence) @ np.eye(NUM_BINS)[places]
    return float(np.abs(gaps).sum(axis=1).mean() / count)


def _place(confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.minimum((confidence * NUM_BINS).astype(np.int64), NUM_BINS - 1)


def _log(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
