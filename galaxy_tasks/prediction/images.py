"""Classify images with a trained model: any files, folders and zips, to class probabilities."""

import csv
import io
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.acquisition.image_folder import ImageListing, list_images
from galaxy_tasks.acquisition.zip_reader import is_zip
from galaxy_tasks.errors import InputError
from galaxy_tasks.images.prepare import prepare_image
from galaxy_tasks.images.rejected import RejectedImage
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.images.source import open_images
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import write_durably
from galaxy_tasks.training.model_record import ModelRecord, read_record
from galaxy_tasks.training.saved_model import load_classifier
from galaxy_tasks.training.test_time_augmentation import average_orientations

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From images (n, size, size, 3) to probabilities (n, classes)."""

_GROUP = 256
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictionCount:
    """How many images were classified, and how many refused."""

    classified: int
    rejected: int


@dataclass(frozen=True)
class _Input:
    """An image: its path (in a zip: that of the zip, and its name), and the network's input."""

    path: Path
    prepared: np.ndarray | str
    """uint8 (size, size, 3), or why there is none."""


def predict_to_csv(paths: Sequence[Path], *, model_folder: Path, output: Path) -> PredictionCount:
    """Write a row for each image: id, path, class, probability of each class, reason if refused.

    The id is the file's name without its suffix. Images are prepared as the model's were. The file
    appears when it is complete.

    Args:
        paths: images, taken as such whatever their names; folders and zips, of which the images
            count that `list_images` finds.
        model_folder: folder of a trained model.
        output: the CSV file.

    Raises:
        InputError: a path does not exist, two images of a folder have one name, the model's folder
            holds no whole model, or no image could be read.
    """
    from galaxy_tasks.training.device import set_up_device

    listings = _list_all(paths)
    record = read_record(model_folder)
    set_up_device(record.config)
    predict = _make_predict(model_folder, record)
    counts = {"classified": 0, "rejected": 0}

    def write(file: IO[bytes]) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        columns = [f"p_{name}" for name in record.classes]
        writer.writerow(["id", "path", "class", *columns, "rejected"])
        for row in _classify(listings, predict=predict, record=record):
            counts["rejected" if row[-1] else "classified"] += 1
            writer.writerow(row)
        text.detach()
        if not counts["classified"]:
            raise InputError(
                f"None of the {counts['rejected']} images could be read. Nothing is written."
            )

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


def _list_all(paths: Sequence[Path]) -> list[ImageListing]:
    """Return the images that these paths name; raise InputError if there is none."""
    listings = []
    for path in paths:
        if path.is_file() and not is_zip(path):
            listings.append(ImageListing(root=path.parent, images={path.name: path.name}))
            continue
        listings.append(list_images(path))
        listings[-1].log()
    if not any(listing.images for listing in listings):
        found = "; ".join(listing.describe() for listing in listings)
        raise InputError(f"There is no image to classify: {found}.")
    return listings


def _classify(
    listings: Sequence[ImageListing], *, predict: Predict, record: ModelRecord
) -> Iterator[list[str]]:
    """Yield the row of each image, in order."""
    total, done = sum(len(listing.images) for listing in listings), 0
    inputs = _prepare_all(listings, ImageSettings.from_config(record.config))
    while group := list(itertools.islice(inputs, _GROUP)):
        good = [each.prepared for each in group if isinstance(each.prepared, np.ndarray)]
        found = iter(predict(np.stack(good)) if good else ())
        for each in group:
            path = each.path
            if isinstance(each.prepared, str):
                yield [path.stem, str(path), "", *([""] * len(record.classes)), each.prepared]
                continue
            probabilities = next(found)
            name = record.classes[int(probabilities.argmax())]
            yield [path.stem, str(path), name, *(f"{p:.6f}" for p in probabilities), ""]
        done += len(group)
        _logger.info("Classified %s / %s images", f"{done:,}", f"{total:,}")


def _prepare_all(listings: Iterable[ImageListing], settings: ImageSettings) -> Iterator[_Input]:
    """Yield the images of each folder or zip in the order of their paths."""
    for listing in listings:
        paths = {name: listing.root / path for name, path in listing.paths().items()}
        with open_images(
            listing.root, listing.images, max_side_px=settings.max_source_side_px
        ) as read:
            for name in sorted(paths, key=lambda name: paths[name]):
                try:
                    yield _Input(paths[name], prepare_image(read(name), settings))
                except RejectedImage as problem:
                    yield _Input(paths[name], str(problem))
