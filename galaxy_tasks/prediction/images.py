"""Image files through the preparation and a trained model, to class probabilities."""

import csv
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.acquisition.tables import IMAGE_SUFFIXES, is_image
from galaxy_tasks.errors import InputError
from galaxy_tasks.images.headers import RejectedImage, read_image_file
from galaxy_tasks.images.prepare import prepare_image
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import write_durably
from galaxy_tasks.training.model_record import ModelRecord, average_orientations, read_record
from galaxy_tasks.training.saved_model import load_classifier

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From images (n, size, size, 3) to probabilities (n, classes)."""

_GROUP = 256
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictionCount:
    """How many images were classified, and how many refused."""

    classified: int
    rejected: int


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Return the image files that these paths name: files as they are, folders with their images.

    Raises:
        InputError: a path does not exist, or there is no image at all.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.is_file() and is_image(p.name))
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"{path} does not exist. Expected an image or a folder of images.")
    if not found:
        names = ", ".join(str(path) for path in paths)
        raise InputError(f"No image ({', '.join(IMAGE_SUFFIXES)}) found in: {names}")
    return found


def predict_to_csv(images: Sequence[Path], *, model_folder: Path, output: Path) -> PredictionCount:
    """Write a row for each image: id, path, class, probability of each class, reason if refused.

    The id is the file's name without its ending. Images are prepared as the model's were. The file
    appears when it is complete.

    Raises:
        InputError: the folder holds no whole model, or no image could be read.
    """
    from galaxy_tasks.training.device import set_up_device

    record = read_record(model_folder)
    set_up_device(record.config)
    predict = _make_predict(model_folder, record)
    counts = {"classified": 0, "rejected": 0}

    def write(file: IO[bytes]) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        columns = [f"p_{name}" for name in record.classes]
        writer.writerow(["id", "path", "class", *columns, "rejected"])
        for row in _classify(images, predict=predict, record=record):
            counts["rejected" if row[-1] else "classified"] += 1
            writer.writerow(row)
        text.detach()
        if not counts["classified"]:
            raise InputError(f"None of the {len(images)} images could be read. Nothing is written.")

    write_durably(output, write)
    return PredictionCount(**counts)


def _make_predict(model_folder: Path, record: ModelRecord) -> Predict:
    from galaxy_tasks.networks.classifier import predict_probabilities

    model = load_classifier(model_folder)
    orientations = min(_find_augmentation(model_folder.name, record), record.orientations)

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = predict_probabilities(model, [images], orientations=orientations)
        return average_orientations(found, orientations)

    return predict


def _find_augmentation(model_key: str, record: ModelRecord) -> int:
    """Return the test-time augmentation of the model's newest evaluation, else of its own run."""
    manifests = (artifact.manifest for artifact in artifacts.list_published("evaluations"))
    found = [one for one in manifests if model_key in one["made_from"]["models"]]
    if not found:
        return record.config.test_time_augmentation
    newest = max(found, key=lambda one: one["published"])
    return newest["made_from"]["test_time_augmentation"]


def _classify(
    images: Sequence[Path], *, predict: Predict, record: ModelRecord
) -> Iterator[list[str]]:
    """Yield the row of each image, in order."""
    settings = ImageSettings.from_config(record.config)
    for start in range(0, len(images), _GROUP):
        group = images[start : start + _GROUP]
        prepared = [_prepare(path, settings) for path in group]
        good = [item for item in prepared if isinstance(item, np.ndarray)]
        found = iter(predict(np.stack(good)) if good else ())
        for path, item in zip(group, prepared, strict=True):
            if isinstance(item, str):
                yield [path.stem, str(path), "", *([""] * len(record.classes)), item]
                continue
            probabilities = next(found)
            name = record.classes[int(probabilities.argmax())]
            yield [path.stem, str(path), name, *(f"{p:.6f}" for p in probabilities), ""]
        _logger.info("Classified %s / %s images", f"{start + len(group):,}", f"{len(images):,}")


def _prepare(path: Path, settings: ImageSettings) -> np.ndarray | str:
    """Return the network input, or why there is none."""
    try:
        return prepare_image(
            read_image_file(path, max_side_px=settings.max_source_side_px), settings
        )
    except RejectedImage as problem:
        return str(problem)
