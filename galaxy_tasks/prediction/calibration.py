"""Probabilities and sets of classes that mean what they say, from galaxies that chose nothing else.

Class weights push a network towards rare classes: trained with the weight w in the loss, its
probability of a class is w times too large against the others. No temperature undoes that, so the
weights are divided out first, in each orientation. What is served, the mean over orientations (and
over the trainings of an ensemble), then gets one temperature (Guo et al. 2017, arXiv:1706.04599):
its logarithms are divided by it. The class is still the network's own choice, before any of this,
for which rare classes weigh more, as they do in macro-F1.

A set holds the true class with the probability `coverage`, over calibrations and galaxies like
those that calibrate (split conformal prediction; least ambiguous sets, Sadinle et al. 2019,
doi:10.1080/01621459.2017.1395341). Sets are cut from the mean before the temperature, which the
same galaxies have fitted. Each class has a threshold of its own where it has enough galaxies, so
that the promise holds for its galaxies by themselves; else it has that of all classes, with no
promise of its own. A set always has the network's choice: that can only raise its coverage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from galaxy_tasks.training.model_record import ModelRecord, read_calibration

SMALLEST_PROBABILITY = 1e-7
"""Floor of logarithms, about float32's resolution: a mistake costs at most 16.1 nats."""
LEAST_GALAXIES = 20
"""Fewer galaxies fit no temperature."""
_HIGHEST_TEMPERATURE = 20.0


@dataclass(frozen=True)
class Answers:
    """What a model says of galaxies: four arrays of (galaxies, classes)."""

    decisive: NDArray[np.float64]
    """Means over the orientations as the network gives them: the largest is the class."""
    calibrated: NDArray[np.float64]
    """Probabilities, as people should read them."""
    is_in_set: NDArray[np.bool_]
    """Whether the class is in the galaxy's set, by the thresholds of the classes."""
    is_in_marginal_set: NDArray[np.bool_]
    """The same by the one threshold of all classes."""

    def split(self) -> "list[Answers]":
        """Return the answers for each galaxy: four arrays of (classes,)."""
        arrays = (self.decisive, self.calibrated, self.is_in_set, self.is_in_marginal_set)
        return [Answers(*own) for own in zip(*arrays, strict=True)]


@dataclass(frozen=True)
class Calibration:
    """How a model's output becomes answers."""

    class_weights: tuple[float, ...]
    """Weights that training gave the classes; all 1 where it gave none."""
    temperature: float
    """Above 1: the model was too sure. 1 where there were too few galaxies to fit it."""
    num_galaxies: int
    """Galaxies that it was fitted on."""
    coverage: float
    """How often a set is meant to hold the true class."""
    threshold: float
    """A class is in the marginal set where its probability is at least this; 0 from too few
    galaxies, so that every class is."""
    class_thresholds: tuple[float | None, ...]
    """The same for each class by itself; None, so that `threshold` holds, from too few galaxies."""

    def answer(self, probabilities: NDArray[np.floating]) -> Answers:
        """Return what the model says, from (orientations, galaxies, classes) probabilities."""
        unweighted = remove_class_weights(probabilities, self.class_weights).mean(axis=0)
        decisive = np.asarray(probabilities, dtype=np.float64).mean(axis=0)
        own = [self.threshold if one is None else one for one in self.class_thresholds]
        is_chosen = np.arange(len(own)) == decisive.argmax(axis=-1)[:, np.newaxis]
        return Answers(
            decisive=decisive,
            calibrated=softmax(_log(unweighted) / self.temperature, axis=-1),
            is_in_set=(unweighted >= np.array(own)) | is_chosen,
            is_in_marginal_set=unweighted >= self.threshold,
        )


def calibrate_model(
    folder: Path, record: ModelRecord, *, orientations: int, coverage: float
) -> Calibration:
    """Return the calibration of the model in a folder, by the galaxies that it kept for this."""
    calibrating = read_calibration(folder, orientations=orientations)
    return fit_calibration(
        calibrating.probabilities,
        labels=calibrating.labels,
        class_weights=record.class_weights,
        coverage=coverage,
    )


def fit_calibration(
    probabilities: NDArray[np.floating],
    *,
    labels: NDArray[np.integer],
    class_weights: Sequence[float],
    coverage: float,
) -> Calibration:
    """Return the calibration that gives these galaxies the smallest loss, and their thresholds.

    Args:
        probabilities: (orientations, galaxies, classes); the mean over the first is served.
        labels: (galaxies,) integers, the true classes. A class may have no galaxy.
        class_weights: weights that training gave the classes.
        coverage: how often sets are to hold the true class, between 0 and 1.
    """
    weights = tuple(float(weight) for weight in class_weights)
    table = remove_class_weights(probabilities, weights).mean(axis=0)
    own = table[np.arange(len(labels)), labels]
    by_class = [
        find_threshold(own[labels == index], coverage=coverage) for index in range(len(weights))
    ]
    return Calibration(
        weights,
        _fit_temperature(table, labels) if len(labels) >= LEAST_GALAXIES else 1.0,
        len(labels),
        coverage,
        find_threshold(own, coverage=coverage) or 0.0,
        tuple(by_class),
    )


def find_threshold(own: NDArray[np.floating], *, coverage: float) -> float | None:
    """Return the probability that a class needs to be in a set; None from too few galaxies.

    `own` are the probabilities of the calibrating galaxies' true classes, (galaxies,). At least
    1 / (1 - coverage) are needed: 20 for sets of 95 %, 10 for 90 %.
    """
    count = len(own)
    if count * (1 - coverage) < 1 - 1e-9:
        return None
    rank = ceil((count + 1) * coverage - 1e-9)
    return float(np.sort(own)[count - rank])


def _fit_temperature(table: NDArray[np.float64], labels: NDArray[np.integer]) -> float:
    # scikit-learn's CalibratedClassifierCV(method="temperature") demands galaxies of every class.
    logs, own = _log(table), (np.arange(len(labels)), labels)

    def find_loss(log_temperature: float) -> float:
        return -float(log_softmax(logs / np.exp(log_temperature), axis=-1)[own].mean())

    limit = np.log(_HIGHEST_TEMPERATURE)
    found = minimize_scalar(find_loss, bounds=(-limit, limit), method="bounded")
    return float(np.exp(found.x))


def remove_class_weights(
    probabilities: NDArray[np.floating], class_weights: Sequence[float]
) -> NDArray[np.float64]:
    """Return (…, classes) probabilities as training without class weights would have them."""
    divided = np.asarray(probabilities, dtype=np.float64) / np.asarray(class_weights)
    return divided / divided.sum(axis=-1, keepdims=True)


def _log(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
