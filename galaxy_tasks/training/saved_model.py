"""A trained model on disk: what `training` leaves, what `evaluation` and `predict` read.

weights.weights.h5        weights alone; the architecture is rebuilt from code, never from a file
model.json                settings, classes, input size, device, scores: see `ModelRecord`
architecture.json         the layers, as Keras describes them, for other programs
history.json              one record an epoch
test_probabilities.npy    (orientations, galaxies, classes) float32
test_galaxies.parquet     galaxy_id, label_index, row (in the images artifact), same order
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxy_tasks.config import Architecture, RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.storage.artifacts import MANIFEST, Artifact, verify
from galaxy_tasks.storage.atomic_io import read_json, write_json

if TYPE_CHECKING:
    import keras

    from galaxy_tasks.training.loop import TrainedModel

WEIGHTS = "weights.weights.h5"
MODEL = "model.json"
HISTORY = "history.json"


@dataclass(frozen=True)
class ModelRecord:
    """What there is to know of a trained model without loading it."""

    architecture: Architecture
    classes: tuple[str, ...]
    settings: dict[str, Any]
    """RunConfig as JSON: how images are prepared, too."""
    num_parameters: int
    epochs: int
    best_epoch: int
    validation_macro_f1: float
    training_s: float
    images_per_s: float
    device: str
    orientations: int
    """Orientations that test-time augmentation may average: 8, or 4 where classes are handed."""

    @property
    def config(self) -> RunConfig:
        """The settings that the model was trained with."""
        return parse_config(self.settings)


def write_model(
    folder: Path,
    trained: "TrainedModel",
    *,
    config: RunConfig,
    architecture: Architecture,
    classes: Sequence[str],
) -> dict[str, Any]:
    """Write a trained model into a folder and return its record for the artifact's summary."""
    record = ModelRecord(
        architecture=architecture,
        classes=tuple(classes),
        settings=config.model_dump(mode="json"),
        num_parameters=trained.model.count_params(),
        epochs=trained.state.epoch,
        best_epoch=trained.state.best_epoch,
        validation_macro_f1=trained.state.best_macro_f1,
        training_s=trained.state.seconds,
        images_per_s=trained.images_per_s,
        device=trained.device,
        orientations=len(trained.test_probabilities),
    )
    trained.model.save_weights(folder / WEIGHTS)
    (folder / "architecture.json").write_text(trained.model.to_json())
    write_json(folder / MODEL, asdict(record))
    history = [
        {**one, "is_kept": one["epoch"] == record.best_epoch} for one in trained.state.history
    ]
    write_json(folder / HISTORY, history)
    np.save(folder / "test_probabilities.npy", trained.test_probabilities)
    pd.DataFrame(
        {
            "galaxy_id": trained.test.galaxy_ids,
            "label_index": trained.test.labels,
            "row": trained.test.rows,
        }
    ).to_parquet(folder / "test_galaxies.parquet", index=False)
    return asdict(record)


def read_record(folder: Path) -> ModelRecord:
    """Return the record of the model in a folder; raise InputError if there is none."""
    path = folder / MODEL
    if not path.is_file():
        raise InputError(
            f"{folder} holds no trained model: {MODEL} is missing. Expected a folder below "
            "'models' in the artifacts' home, such as the winner's that the report names."
        )
    document = read_json(path)
    return ModelRecord(**{**document, "classes": tuple(document["classes"])})


def load_classifier(folder: Path) -> "keras.Model":
    """Return the model in a folder, its files checked against the manifest's SHA-256 first."""
    record = read_record(folder)
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} holds no published model: {MANIFEST} is missing.")
    verify(Artifact("models", folder.name, folder))
    from galaxy_tasks.networks.classifier import build_classifier

    model = build_classifier(
        record.architecture, config=record.config, num_classes=len(record.classes)
    )
    model.load_weights(folder / WEIGHTS)
    return model


def read_test_predictions(
    folder: Path, *, test_time_augmentation: int
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Return the test split's probabilities, (n, classes), and galaxies, in the same order."""
    return (
        average_orientations(np.load(folder / "test_probabilities.npy"), test_time_augmentation),
        pd.read_parquet(folder / "test_galaxies.parquet"),
    )


def average_orientations(probabilities: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return the mean over the first `count` orientations, or over all where there are fewer.

    Shape: (orientations, n, classes) to (n, classes).
    """
    return probabilities[:count].mean(axis=0, dtype=np.float64).astype(np.float32)
