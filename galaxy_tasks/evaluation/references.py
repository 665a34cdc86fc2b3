"""What stands beside the networks in the leaderboard without taking part.

The baselines show what the images yield without a network: the most common class, and gradient
boosting on simple measurements. The ensemble shows what all trainings of the winning network reach
together, at their cost together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.candidates import Candidate
from galaxy_tasks.evaluation.metrics import Evaluation, evaluate_probabilities
from galaxy_tasks.prediction.calibration import remove_class_weights
from galaxy_tasks.prediction.calibration_fit import fit_calibration
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.model_record import (
    TEST_GALAXIES,
    TEST_PROBABILITIES,
    PredictedGalaxies,
    read_calibration,
)


@dataclass(frozen=True)
class Reference:
    """A row of the leaderboard that is not ranked; its intervals are over galaxies."""

    name: str
    meaning: str
    evaluation: Evaluation
    multiply_adds: int | None
    """Of one image; None where there is no network."""


def score_references(
    config: RunConfig,
    *,
    winners: Sequence[Candidate],
    training_counts: Mapping[str, int],
    baseline: Artifact | None,
) -> tuple[Reference, ...]:
    """Return the rows beside the ranking.

    Args:
        config: this run's settings.
        winners: all trainings of the winning network.
        training_counts: training galaxies by class.
        baseline: the probabilities of gradient boosting; None where its task failed.

    Raises:
        InputError: the baseline was tested on other galaxies.
    """
    first, rows = winners[0], []
    if len(winners) > 1:
        rows.append(_score_ensemble(config, winners))
    if baseline:
        table = _read_baseline(baseline, first)
        meaning = "on simple measurements of the images"
        rows.append(_score(config, first, table, name="gradient boosting", meaning=meaning))
    shares = _share(training_counts, first.record.classes)
    constant = np.tile(shares, (len(first.galaxies), 1))
    meaning = "the answer for every galaxy; its probabilities are the classes' shares"
    rows.append(_score(config, first, constant, name="most common class", meaning=meaning))
    return tuple(rows)


def _score_ensemble(config: RunConfig, winners: Sequence[Candidate]) -> Reference:
    """Return the scores of the mean probability, which is calibrated as one model's is."""
    first, count = winners[0], len(winners)
    orientations = config.test_time_augmentation
    calibrating = [
        read_calibration(one.artifact.path, orientations=orientations) for one in winners
    ]
    calibration = fit_calibration(
        np.concatenate([_unweight(*pair) for pair in zip(winners, calibrating, strict=True)]),
        labels=calibrating[0].labels,
        class_weights=(1.0,) * len(first.record.classes),
        coverage=config.coverage,
    )
    together = np.concatenate([_unweight(one, one.tested) for one in winners])
    return _score(
        config,
        first,
        np.mean([one.answers.decisive for one in winners], axis=0),
        calibrated=calibration.answer(together).calibrated,
        name=f"{first.architecture} × {count}",
        meaning="all trainings of the winner together: their mean probability",
        multiply_adds=count * first.record.multiply_adds,
    )


def _unweight(candidate: Candidate, predicted: PredictedGalaxies) -> NDArray[np.float64]:
    """Return (orientations, galaxies, classes) probabilities without the training's weights."""
    return remove_class_weights(predicted.probabilities, candidate.record.class_weights)


def _score(
    config: RunConfig,
    candidate: Candidate,
    table: NDArray,
    *,
    name: str,
    meaning: str,
    multiply_adds: int | None = None,
    calibrated: NDArray | None = None,
) -> Reference:
    """Return the scores of probabilities for the galaxies that a candidate was tested on."""
    evaluation = evaluate_probabilities(
        table,
        calibrated=calibrated,
        labels=candidate.tested.labels,
        architecture=name,
        classes=candidate.record.classes,
        bootstrap_samples=config.bootstrap_samples,
        seed=config.seed,
    )
    return Reference(name, meaning, evaluation, multiply_adds)


def _read_baseline(baseline: Artifact, candidate: Candidate) -> NDArray[np.float32]:
    galaxies = pd.read_parquet(baseline.path / TEST_GALAXIES)
    if not galaxies.equals(candidate.galaxies):
        raise InputError(
            f"{baseline.path} and {candidate.artifact.path} were tested on different galaxies. "
            "Remove the first folder and clear the task train_baseline."
        )
    return np.load(baseline.path / TEST_PROBABILITIES)


def _share(counts: Mapping[str, int], classes: Sequence[str]) -> NDArray[np.float64]:
    """Return each class's share of the training galaxies, none of them 0."""
    numbers = np.array([counts[name] for name in classes], dtype=np.float64) + 1
    return numbers / numbers.sum()
