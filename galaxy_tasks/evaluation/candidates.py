"""Candidates, the models of a run that may win: read from their artifacts, checked and scored.

A network is a candidate once for each seed that it was trained with.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.metrics import evaluate_probabilities
from galaxy_tasks.evaluation.reliability import measure_reliability
from galaxy_tasks.evaluation.repeats import Repeats, ScoredModel
from galaxy_tasks.labels.test_set import describe_test_set
from galaxy_tasks.prediction.calibration import Answers, Calibration
from galaxy_tasks.prediction.calibration_fit import calibrate_model
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.model_record import (
    ModelRecord,
    PredictedGalaxies,
    read_record,
    read_test,
)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A trained model of this run with its predictions on the test galaxies."""

    artifact: Artifact
    record: ModelRecord
    tested: PredictedGalaxies
    calibration: Calibration
    answers: Answers
    """Of the test galaxies."""

    @property
    def architecture(self) -> str:
        """The network's name in tables."""
        return self.record.architecture

    @property
    def seed(self) -> int:
        """The seed that it was trained with."""
        return self.record.settings["seed"]

    @property
    def galaxies(self) -> pd.DataFrame:
        """The test galaxies: galaxy_id, label_index and row (in the prepared images)."""
        return self.tested.galaxies

    @property
    def title(self) -> str:
        """Network and seed, in words."""
        return f"{self.architecture} (seed {self.seed})"


def describe_tested(candidate: Candidate, labels: Artifact) -> dict[str, Any]:
    """Return how many galaxies it was tested on, and the SHA-256 over their names and labels.

    Fewer than the labels name where images were refused. `from_holdout` of those that the labels
    name are in the test only because the holdout has them.
    """
    classes = np.array(candidate.record.classes, dtype=object)
    config, ids = candidate.record.config, candidate.galaxies["galaxy_id"]
    names = ids if config.combine else config.release + ":" + ids
    held = labels.manifest["summary"]["test_set"]["from_holdout"]
    labelled = classes[candidate.galaxies["label_index"].to_numpy()]
    described = describe_test_set(dict(zip(names, labelled, strict=True)))
    return {**described, "from_holdout": held}


def read_candidate(artifact: Artifact, config: RunConfig) -> Candidate:
    """Return a model, its files checked against the manifest.

    Its probabilities are averaged over the orientations that the settings ask for.
    """
    artifacts.verify(artifact)
    record, count = read_record(artifact.path), config.test_time_augmentation
    tested = read_test(artifact.path, orientations=count)
    calibration = calibrate_model(
        artifact.path, record, orientations=count, coverage=config.coverage
    )
    return Candidate(
        artifact, record, tested, calibration, calibration.answer(tested.probabilities)
    )


def check_same_galaxies(candidates: Sequence[Candidate]) -> None:
    """Raise InputError unless all were tested on the same galaxies and classes."""
    first = candidates[0]
    for other in candidates[1:]:
        if (
            not other.galaxies.equals(first.galaxies)
            or other.record.classes != first.record.classes
        ):
            raise InputError(
                f"{first.title} and {other.title} were tested on "
                "different galaxies or classes, so they cannot be compared. Remove their folders "
                f"({first.artifact.path}, {other.artifact.path}) and clear the training tasks."
            )


def gather_repeats(candidates: Sequence[Candidate], config: RunConfig) -> tuple[Repeats, ...]:
    """Return the networks of the candidates, each with its trainings scored one by one."""
    names = dict.fromkeys(candidate.architecture for candidate in candidates)
    groups = [[one for one in candidates if one.architecture == name] for name in names]
    return tuple(
        Repeats(
            probabilities=np.stack([one.answers.decisive for one in group]),
            calibrated=np.stack([one.answers.calibrated for one in group]),
            models=tuple(_score(one, config) for one in group),
            num_parameters=group[0].record.num_parameters,
            multiply_adds=group[0].record.multiply_adds,
        )
        for group in groups
    )


def _score(candidate: Candidate, config: RunConfig) -> ScoredModel:
    """Return the candidate's own scores."""
    record = candidate.record
    answers, labels = candidate.answers, candidate.tested.labels
    predicted = np.unique(answers.decisive.argmax(axis=1))
    if len(predicted) == 1:
        name = record.classes[int(predicted[0])]
        _logger.warning("%s predicts %s for every test galaxy.", candidate.title, name)
    return ScoredModel(
        seed=candidate.seed,
        evaluation=evaluate_probabilities(
            answers.decisive,
            calibrated=answers.calibrated,
            labels=labels,
            architecture=record.architecture,
            classes=record.classes,
            bootstrap_samples=config.bootstrap_samples,
            seed=config.seed,
        ),
        reliability=measure_reliability(
            answers,
            labels,
            calibration=candidate.calibration,
            classes=record.classes,
            seed=config.seed,
        ),
        validation_macro_f1=record.validation_macro_f1,
        training_s=record.training_s,
        images_per_s=record.images_per_s,
        key=candidate.artifact.key,
        path=str(candidate.artifact.path),
    )
