"""Classify images with a trained model: any files, folders and zips, to class probabilities."""

import contextlib
import csv
import functools
import io
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from unicodedata import normalize

import numpy as np

from galaxy_tasks.acquisition.image_folder import LINK_TO_NOTHING, ImageListing, list_images
from galaxy_tasks.acquisition.prediction_table import SET_SEPARATOR, name_columns
from galaxy_tasks.acquisition.zip_reader import is_zip
from galaxy_tasks.errors import InputError, show
from galaxy_tasks.formatting import shorten
from galaxy_tasks.images.headers import read_header
from galaxy_tasks.images.prepare import prepare_image
from galaxy_tasks.images.progress import ImageProgress
from galaxy_tasks.images.rejected import RejectedImage
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.images.source import open_images
from galaxy_tasks.images.summary import count_converted, log_converted
from galaxy_tasks.prediction.calibration import Answers, calibrate_model
from galaxy_tasks.prediction.predictor import Predictor
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import write_durably
from galaxy_tasks.training.device import set_up_device
from galaxy_tasks.training.model_record import ModelRecord
from galaxy_tasks.training.saved_model import load_classifier, require_model

_GROUP = 256
_EXAMPLES = 3
_EVALUATION_SETTINGS = ("test_time_augmentation", "coverage")
_logger = logging.getLogger(__name__)


@dataclass
class PredictionCount:
    """How many images were classified, and how many refused."""

    classified: int = 0
    rejected: int = 0
    examples: list[str] = field(default_factory=list)
    """Path and reason of the first that were refused."""

    def add(self, path: str, reason: str) -> None:
        """Count an image; `reason` is why it is refused, or empty."""
        if not reason:
            self.classified += 1
            return
        self.rejected += 1
        if self.rejected <= _EXAMPLES:
            self.examples.append(f"{show(path)}: {reason}")

    def require_one(self) -> None:
        """Raise InputError if no image was classified."""
        if not self.classified:
            more = f" and {self.rejected - _EXAMPLES:,} more" * (self.rejected > _EXAMPLES)
            raise InputError(
                f"No image can be classified. {'; '.join(self.examples)}{more}. Nothing is "
                "written. docs/images.md says what is read."
            )


@dataclass(frozen=True)
class _Input:
    """An image: its path (in a zip: that of the zip, and its name), and the network's input."""

    path: Path
    prepared: np.ndarray | str
    """uint8 (size, size, 3), or why there is none."""
    colours: str | None = None

    @property
    def refusal(self) -> str:
        """Why there is no input, or an empty text."""
        return self.prepared if isinstance(self.prepared, str) else ""

    @property
    def id(self) -> str:
        """The name without its suffix, in Unicode's form NFC, as ids of tables are compared."""
        return normalize("NFC", self.path.stem)


def predict_to_csv(
    paths: Sequence[Path], *, model_folder: Path, evaluation: str = "", output: Path
) -> PredictionCount:
    """Write a row for each image; see `prediction_table` for the columns.

    The id is the file's name without its suffix. A refused image has its reason in the last column,
    and no class. Images are prepared as the model's were. The file appears when it is complete.
    TensorFlow is loaded once there is an image to classify.

    Args:
        paths: images, taken as such whatever their names; folders and zips, of which the images
            count that `list_images` finds.
        model_folder: folder of a trained model.
        evaluation: key of the evaluation by which it became champion, whose orientations and
            coverage count; else those of the model's newest evaluation do.
        output: the CSV file.

    Raises:
        InputError: a path does not exist, two images of a folder have one name, the model's folder
            holds no whole model, or no image could be read.
        ResourceError: the device's memory is too small for a single image.
    """
    record = require_model(model_folder)
    listings, count = _list_all(paths), PredictionCount()
    load = functools.partial(_load, model_folder, record, evaluation)
    answers = _classify(listings, record, load=load)

    def write(file: IO[bytes]) -> None:
        _write_rows(file, answers, record, count)
        count.require_one()

    write_durably(output, write)
    return count


def _write_rows(
    file: IO[bytes],
    answers: Iterable[tuple[_Input, Answers | None]],
    record: ModelRecord,
    count: PredictionCount,
) -> None:
    """Write the header and a row for each image; count them."""
    trained_on = _name_releases(record)
    # Names may have any bytes; the table is UTF-8.
    text = io.TextIOWrapper(
        file, encoding="utf-8", errors="backslashreplace", newline="", write_through=True
    )
    writer = csv.writer(text)
    writer.writerow(name_columns(record.classes))
    for each, found in answers:
        count.add(str(each.path), each.refusal)
        values = _describe(found, record.classes)
        writer.writerow([each.id, str(each.path), *values, trained_on, each.refusal])
    text.detach()


def _describe(answer: Answers | None, classes: Sequence[str]) -> list[str]:
    """Return the class, the probability of each class, and the set, as the table has them."""
    if answer is None:
        return [""] * (2 + len(classes))
    members = [name for name, is_in in zip(classes, answer.is_in_set, strict=True) if is_in]
    return [
        classes[int(answer.decisive.argmax())],
        *(f"{p:.6f}" for p in answer.calibrated),
        SET_SEPARATOR.join(members),
    ]


def _name_releases(record: ModelRecord) -> str:
    """Return the releases that a model was trained on; warn if they are simulated."""
    releases = [part.release for part in record.config.parts()]
    if "simulated" in releases:
        _logger.warning(
            "This model was trained on SIMULATED galaxies. It shows how predictions are made; what "
            "it says of real galaxies means nothing."
        )
    return " + ".join(releases)


def _load(model_folder: Path, record: ModelRecord, evaluation: str) -> Predictor:
    _logger.info("Loading %s from %s", record.architecture, model_folder)
    device = set_up_device(record.config)
    settings = _find_settings(model_folder.name, record, evaluation)
    orientations = min(settings["test_time_augmentation"], record.orientations)
    calibration = calibrate_model(
        model_folder, record, orientations=orientations, coverage=settings["coverage"]
    )
    predictor = Predictor(load_classifier(model_folder), calibration, orientations)
    _logger.info(
        "Classifying on %s, averaged over %d orientations; calibrated on %s galaxies; sets of "
        "classes are meant to hold the true one %g %% of the time",
        *(device.name, orientations, f"{calibration.num_galaxies:,}", 100 * calibration.coverage),
    )
    return predictor


def _find_settings(model_key: str, record: ModelRecord, evaluation: str) -> dict[str, Any]:
    """Return the settings of an evaluation, of the model's newest one, or of its own run."""
    found: list[dict[str, Any]] = []
    for artifact in artifacts.list_published("evaluations"):
        with contextlib.suppress(ValueError, KeyError, TypeError):  # damaged, or of another version
            if evaluation and artifact.key != evaluation:
                continue
            manifest = artifact.manifest
            if model_key in manifest["made_from"]["models"]:
                of_run = {name: manifest["made_from"][name] for name in _EVALUATION_SETTINGS}
                found.append({"published": manifest["published"], **of_run})
    if not found:
        return {name: getattr(record.config, name) for name in _EVALUATION_SETTINGS}
    return max(found, key=lambda one: one["published"])


def _list_all(paths: Sequence[Path]) -> list[ImageListing]:
    """Return the images that these paths name; raise InputError if there is none."""
    listings = []
    for path in paths:
        if path.is_file() and not is_zip(path):
            listings.append(ImageListing(root=path.parent, images={path.name: path.name}))
        elif path.is_symlink() and not path.exists():
            refused = {path.name: LINK_TO_NOTHING}
            listings.append(ImageListing(root=path.parent, images={}, refused=refused))
        else:
            listings.append(list_images(path))
            listings[-1].log()
    if not any(listing.images for listing in listings):
        found = "; ".join(listing.describe() for listing in listings)
        raise InputError(f"There is no image to classify: {found}.")
    _warn_of_repeated_ids(listings)
    return listings


def _warn_of_repeated_ids(listings: Iterable[ImageListing]) -> None:
    counts = Counter(
        normalize("NFC", Path(name).stem) for listing in listings for name in listing.images
    )
    if repeated := [galaxy_id for galaxy_id, times in counts.items() if times > 1]:
        _logger.warning(
            "%s ids occur more than once (%s): the column 'path' tells their rows apart.",
            f"{len(repeated):,}",
            shorten(map(show, sorted(repeated))),
        )


def _classify(
    listings: Sequence[ImageListing], record: ModelRecord, *, load: Callable[[], Predictor]
) -> Iterator[tuple[_Input, Answers | None]]:
    """Yield each image with what the model says of it, None where it is refused, in order."""
    total = sum(len(listing.images) + len(listing.refused) for listing in listings)
    inputs = _prepare_all(listings, ImageSettings.from_config(record.config))
    predictor = progress = None
    converted: Counter[str] = Counter()
    done = 0
    while group := list(itertools.islice(inputs, _GROUP)):
        good = [each.prepared for each in group if isinstance(each.prepared, np.ndarray)]
        if good and predictor is None:
            predictor, progress = load(), ImageProgress(total, done_before=done)
        found = iter(predictor.predict(np.stack(good)).split() if good and predictor else ())
        for each in group:
            yield each, next(found) if isinstance(each.prepared, np.ndarray) else None
        done += len(group)
        if progress:
            progress.add(len(group))
        converted.update(count_converted(each.colours for each in group if each.colours))
    log_converted(dict(converted))


def _prepare_all(listings: Iterable[ImageListing], settings: ImageSettings) -> Iterator[_Input]:
    """Yield the images of each folder or zip in the order of their paths, then what is refused."""
    for listing in listings:
        paths = {name: listing.root / path for name, path in listing.paths().items()}
        with open_images(
            listing.root, listing.images, max_side_px=settings.max_source_side_px
        ) as read:
            for name in sorted(paths, key=lambda name: paths[name]):
                try:
                    data = read(name)
                    prepared = prepare_image(data, settings)
                    header = read_header(data, max_side_px=settings.max_source_side_px)
                    yield _Input(paths[name], prepared, header.colours)
                except RejectedImage as problem:
                    yield _Input(paths[name], str(problem))
        for path, reason in sorted(listing.refused.items()):
            yield _Input(listing.root / path, reason)
