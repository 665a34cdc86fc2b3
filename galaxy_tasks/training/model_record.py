"""What there is to know of a trained model without loading it: its record and test predictions.

weights.weights.h5        weights alone; the architecture is rebuilt from code, never from a file
model.json                settings, classes, input size, device, scores: see `ModelRecord`
architecture.json         the layers, as Keras describes them, for other programs
history.json              one record an epoch
test_probabilities.npy    (orientations, galaxies, classes) float32
test_galaxies.parquet     galaxy_id, label_index, row (in the images artifact), same order
calibration_*             the same of the galaxies that calibrate the probabilities
heat_maps.npz             see `HeatMaps`
votes.json                what the outputs mean where it learned votes, see `vote_head`
test_concentrations.npy   (orientations, galaxies, answers) float32, of the same
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxy_tasks.config import Architecture, RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.storage.atomic_io import read_json
from galaxy_tasks.training.galaxies import Galaxies

WEIGHTS, MODEL, HISTORY = "weights.weights.h5", "model.json", "history.json"
TEST_PROBABILITIES, TEST_GALAXIES = "test_probabilities.npy", "test_galaxies.parquet"
TEST_CONCENTRATIONS = "test_concentrations.npy"
MEASUREMENTS = "test_measurements.parquet"
"""Of a baseline: brightness and size of the test galaxies."""
CALIBRATION_PROBABILITIES = "calibration_probabilities.npy"
CALIBRATION_GALAXIES = "calibration_galaxies.parquet"
HEAT_MAPS = "heat_maps.npz"


@dataclass(frozen=True)
class ModelRecord:
    """How a model was trained, and how well it did on the validation split."""

    architecture: Architecture
    classes: tuple[str, ...]
    class_weights: tuple[float, ...]
    """How much more each class counted in training than its galaxies; all 1 without balance."""
    settings: dict[str, Any]
    """RunConfig as JSON: how images are prepared, too. Its seed is that of this training."""
    num_training: int
    """Galaxies that it learned from."""
    num_parameters: int
    multiply_adds: int
    """Of one image in one orientation, see `networks.cost`."""
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


def read_record(folder: Path) -> ModelRecord:
    """Return the record of the model in a folder; raise InputError if there is none."""
    path = folder / MODEL
    if not path.is_file():
        raise InputError(
            f"{folder} holds no trained model: {MODEL} is missing. Expected a folder below "
            "'models' in the artifacts' home, such as the winner's that the report names."
        )
    document = read_json(path)
    expected = {field.name for field in fields(ModelRecord)}
    if set(document) != expected:
        raise InputError(
            f"{path} was written by another version. Train the model again. It differs in "
            f"{', '.join(sorted(expected ^ set(document)))}."
        )
    lists = {name: tuple(document[name]) for name in ("classes", "class_weights")}
    return ModelRecord(**{**document, **lists})


@dataclass(frozen=True)
class PredictedGalaxies:
    """What a model's folder holds of the galaxies that it has predicted."""

    probabilities: NDArray[np.float32]
    """(orientations, galaxies, classes)."""
    galaxies: pd.DataFrame
    """galaxy_id, label_index and row (in the prepared images), in the same order."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(galaxies,) true classes."""
        return self.galaxies["label_index"].to_numpy()


@dataclass(frozen=True)
class HeatMaps:
    """Where in some test galaxies a model saw the class that it calls them; see `grad_cam`."""

    positions: NDArray[np.int64]
    """(n,) which of the test galaxies, in their order."""
    maps: NDArray[np.uint8]
    """(n, size, size), 255 where the cutout speaks most for the class."""


def write_heat_maps(folder: Path, heat_maps: HeatMaps) -> None:
    """Write them into a model's folder."""
    np.savez_compressed(folder / HEAT_MAPS, positions=heat_maps.positions, maps=heat_maps.maps)


def read_heat_maps(folder: Path) -> HeatMaps:
    """Return those of the model in a folder."""
    with np.load(folder / HEAT_MAPS) as arrays:
        return HeatMaps(arrays["positions"], arrays["maps"])


def write_test(folder: Path, galaxies: Galaxies, probabilities: NDArray[np.floating]) -> None:
    """Write the probabilities of the test split, and its galaxies in the same order."""
    _write(folder, galaxies, probabilities, names=(TEST_PROBABILITIES, TEST_GALAXIES))


def write_calibration(
    folder: Path, galaxies: Galaxies, probabilities: NDArray[np.floating]
) -> None:
    """Write the same of the galaxies that calibrate a model."""
    _write(folder, galaxies, probabilities, names=(CALIBRATION_PROBABILITIES, CALIBRATION_GALAXIES))


def _write(
    folder: Path, galaxies: Galaxies, probabilities: NDArray[np.floating], *, names: tuple[str, str]
) -> None:
    np.save(folder / names[0], probabilities)
    columns = {
        "galaxy_id": galaxies.galaxy_ids,
        "label_index": galaxies.labels,
        "row": galaxies.rows,
    }
    pd.DataFrame(columns).to_parquet(folder / names[1], index=False)


def read_test(folder: Path, *, orientations: int) -> PredictedGalaxies:
    """Return a model's predictions of the test split, in the first orientations or all it has."""
    return _read(folder, TEST_PROBABILITIES, TEST_GALAXIES, orientations)


def read_calibration(folder: Path, *, orientations: int) -> PredictedGalaxies:
    """Return the same of the galaxies that calibrate it."""
    return _read(folder, CALIBRATION_PROBABILITIES, CALIBRATION_GALAXIES, orientations)


def _read(folder: Path, probabilities: str, galaxies: str, orientations: int) -> PredictedGalaxies:
    return PredictedGalaxies(
        np.load(folder / probabilities)[:orientations], pd.read_parquet(folder / galaxies)
    )
