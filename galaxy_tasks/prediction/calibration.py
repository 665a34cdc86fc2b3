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

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

SMALLEST_PROBABILITY = 1e-7
"""Floor of logarithms, about float32's resolution: a mistake costs at most 16.1 nats."""


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
            calibrated=softmax(log_floored(unweighted) / self.temperature, axis=-1),
            is_in_set=(unweighted >= np.array(own)) | is_chosen,
            is_in_marginal_set=unweighted >= self.threshold,
        )


def remove_class_weights(
    probabilities: NDArray[np.floating], class_weights: Sequence[float]
) -> NDArray[np.float64]:
    """Return (…, classes) probabilities as training without class weights would have them."""
    divided = np.asarray(probabilities, dtype=np.float64) / np.asarray(class_weights)
    return divided / divided.sum(axis=-1, keepdims=True)


def log_floored(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logarithms of probabilities, with a floor under those of 0."""
    return np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
