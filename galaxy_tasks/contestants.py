"""Trained models as they enter the comparison: their artifacts, test predictions and scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from galaxy_tasks import artifacts
from galaxy_tasks.artifacts import Artifact
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation import evaluate_probabilities
from galaxy_tasks.label_table import describe_test_set
from galaxy_tasks.selection import Candidate
from galaxy_tasks.trained_model import ModelRecord, read_record, read_test_predictions


@dataclass(frozen=True)
class Contestant:
    """A trained model with its test predictions, read from its artifact."""

    artifact: Artifact
    record: ModelRecord
    probabilities: np.ndarray
    galaxies: pd.DataFrame


def describe_tested(contestant: Contestant, labels: Artifact) -> dict[str, Any]:
    """Return how many galaxies it was tested on, and the SHA-256 over their names and labels.

    Fewer than the labels name where images were refused. `kept_from_earlier` of those that the
    labels name are there only since earlier runs had them in the test.
    """
    classes = np.array(contestant.record.classes, dtype=object)
    config, ids = contestant.record.config, contestant.galaxies["galaxy_id"]
    names = ids if config.combine else config.release + ":" + ids
    kept = labels.manifest["summary"].get("test_set", {}).get("kept_from_earlier", 0)
    called = classes[contestant.galaxies["label_index"].to_numpy()]
    described = describe_test_set(dict(zip(names, called, strict=True)))
    return {**described, "kept_from_earlier": kept}


def read_contestant(reference: Mapping[str, str]) -> Contestant:
    """Return the model of an artifact's reference, its files checked against the manifest."""
    artifact = Artifact.from_reference(reference)
    artifacts.verify(artifact)
    probabilities, galaxies = read_test_predictions(artifact.path)
    return Contestant(artifact, read_record(artifact.path), probabilities, galaxies)


def check_same_galaxies(contestants: Sequence[Contestant]) -> None:
    """Raise InputError unless all were tested on the same galaxies and classes."""
    first = contestants[0]
    for other in contestants[1:]:
        if (
            not other.galaxies.equals(first.galaxies)
            or other.record.classes != first.record.classes
        ):
            raise InputError(
                f"{first.record.architecture} and {other.record.architecture} were tested on "
                "different galaxies or classes, so they cannot be compared. Remove their folders "
                f"({first.artifact.path}, {other.artifact.path}) and clear the training tasks."
            )


def evaluate_contestant(contestant: Contestant, config: RunConfig) -> Candidate:
    """Return the model's scores beside what it costs."""
    record = contestant.record
    called = np.unique(contestant.probabilities.argmax(axis=1))
    if len(called) == 1:
        name = record.classes[int(called[0])]
        print(f"Note: {record.architecture} calls every test galaxy {name}.", flush=True)
    return Candidate(
        evaluation=evaluate_probabilities(
            contestant.probabilities,
            labels=contestant.galaxies["label_index"].to_numpy(),
            architecture=record.architecture,
            classes=record.classes,
            bootstrap_samples=config.bootstrap_samples,
            seed=config.seed,
        ),
        num_parameters=record.num_parameters,
        training_s=record.training_s,
        images_per_s=record.images_per_s,
        key=contestant.artifact.key,
        path=str(contestant.artifact.path),
    )
