"""Fits the calibration of a model to the galaxies that it kept for this.

Apart from `calibration`, since it loads libraries that take seconds, which processes that only
classify do not need.
"""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from galaxy_tasks.prediction.calibration import Calibration, log_floored, remove_class_weights
from galaxy_tasks.training.model_record import ModelRecord, read_calibration

LEAST_GALAXIES = 20
"""Fewer galaxies fit no temperature."""
_HIGHEST_TEMPERATURE = 20.0


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
    logs, own = log_floored(table), (np.arange(len(labels)), labels)

    def find_loss(log_temperature: float) -> float:
        return -float(log_softmax(logs / np.exp(log_temperature), axis=-1)[own].mean())

    limit = np.log(_HIGHEST_TEMPERATURE)
    found = minimize_scalar(find_loss, bounds=(-limit, limit), method="bounded")
    return float(np.exp(found.x))
