"""A trained model on disk, as `model_record` describes its files: written, and loaded again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galaxy_tasks.config import Architecture, RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.storage.artifacts import MANIFEST, Artifact, verify
from galaxy_tasks.storage.atomic_io import write_json
from galaxy_tasks.training.model_record import (
    HISTORY,
    MODEL,
    TEST_CONCENTRATIONS,
    WEIGHTS,
    ModelRecord,
    read_record,
    write_calibration,
    write_heat_maps,
    write_test,
)
from galaxy_tasks.training.vote_head import read_vote_head

if TYPE_CHECKING:
    import keras

    from galaxy_tasks.training.trained_model import TrainedModel


def write_model(
    folder: Path,
    trained: "TrainedModel",
    *,
    config: RunConfig,
    architecture: Architecture,
    classes: Sequence[str],
) -> dict[str, Any]:
    """Write a trained model into a folder and return its record for the artifact's summary."""
    from galaxy_tasks.networks.cost import count_multiply_adds

    record = ModelRecord(
        architecture=architecture,
        classes=tuple(classes),
        class_weights=trained.class_weights,
        settings=config.model_dump(mode="json"),
        num_training=trained.num_training,
        num_parameters=trained.model.count_params(),
        multiply_adds=count_multiply_adds(trained.model),
        epochs=trained.state.epoch,
        best_epoch=trained.state.best_epoch,
        validation_macro_f1=trained.state.best_macro_f1,
        training_s=trained.state.seconds,
        images_per_s=trained.images_per_s,
        device=trained.device,
        orientations=len(trained.test.probabilities),
    )
    trained.model.save_weights(folder / WEIGHTS)
    (folder / "architecture.json").write_text(trained.model.to_json())
    write_json(folder / MODEL, asdict(record))
    write_json(folder / HISTORY, _mark_kept(trained.state.history, record.best_epoch))
    write_test(folder, trained.test.galaxies, trained.test.probabilities)
    write_calibration(folder, trained.calibration.galaxies, trained.calibration.probabilities)
    write_heat_maps(folder, trained.heat_maps)
    if trained.votes and trained.test.concentrations is not None:
        trained.votes.write(folder)
        np.save(folder / TEST_CONCENTRATIONS, trained.test.concentrations.astype(np.float32))
    return asdict(record)


def _mark_kept(history: Sequence[Mapping[str, Any]], best_epoch: int) -> list[dict[str, Any]]:
    return [{**one, "is_kept": one["epoch"] == best_epoch} for one in history]


def require_model(folder: Path) -> ModelRecord:
    """Return the record of a published model whose files are as its manifest's SHA-256 says.

    Raises:
        InputError: the folder holds no published model, or a file of it was changed.
    """
    record = read_record(folder)
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} holds no published model: {MANIFEST} is missing.")
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{folder} holds no weights ({WEIGHTS}): of an ablation's networks only predictions "
            "are kept. Expected a folder below 'models'."
        )
    verify(Artifact("models", folder.name, folder))
    return record


def load_classifier(folder: Path) -> "keras.Model":
    """Return the model in a folder; see `require_model`."""
    record = require_model(folder)
    from galaxy_tasks.networks.classifier import build_classifier

    votes = read_vote_head(folder)
    outputs = votes.num_outputs if votes else len(record.classes)
    model = build_classifier(record.architecture, config=record.config, num_classes=outputs)
    model.load_weights(folder / WEIGHTS)
    return model
