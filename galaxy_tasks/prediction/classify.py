"""From images to answers: prepared, run through the network in each orientation, calibrated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.images.headers import read_header
from galaxy_tasks.images.prepare import prepare_image
from galaxy_tasks.images.rejected import RejectedImage
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.images.source import ReadImage, open_images
from galaxy_tasks.networks.orientations import turn_images
from galaxy_tasks.prediction.calibration import Calibration
from galaxy_tasks.prediction.engines import RunNetwork
from galaxy_tasks.prediction.familiarity import Familiarity
from galaxy_tasks.prediction.listing import Row
from galaxy_tasks.training.vote_head import VoteHead, find_probabilities

BATCH = 64
"""Images that go through the network together. Other numbers could change the last digits."""


@dataclass(frozen=True)
class Serving:
    """What makes answers of a network's outputs."""

    calibration: Calibration
    familiarity: Familiarity | None
    orientations: int
    """How many the probabilities are averaged over."""
    has_features: bool
    """Whether the features are part of the answers."""
    votes: VoteHead | None = None
    """What the outputs mean where the network learned votes."""
    has_bounds: bool = True
    """Whether it has learned how sure to be of an answer, too."""


@dataclass
class Prepared:
    """What became of some images on their way to the network, in order."""

    refused: list[str] = field(default_factory=list)
    """Why an image cannot be used; '' where it can."""
    colours: list[str] = field(default_factory=list)
    """Of the images that can be used, as their files have them."""
    pixels: list[NDArray[np.uint8]] = field(default_factory=list)
    """Of the same, (size, size, 3)."""


@dataclass(frozen=True)
class Found:
    """What a model says of images."""

    chosen: NDArray[np.int32]
    """(n,) the class, as its number."""
    probabilities: NDArray[np.float32]
    """(n, classes) calibrated."""
    is_in_set: NDArray[np.bool_]
    """(n, classes)."""
    distance: NDArray[np.float32]
    """(n,) see `familiarity`; NaN where it is unknown."""
    features: NDArray[np.float16] | None
    """(n, features) of the image as it is."""
    fractions: NDArray[np.float32] | None = None
    """(n, answers, 3) of networks that learned votes: the expected share of the volunteers, and
    the bounds that it lies between with the probability `coverage`; NaN where there are none."""


def prepare_rows(rows: Sequence[Row], sources: Sequence[Path], settings: ImageSettings) -> Prepared:
    """Read and prepare the images of some rows; each that cannot be used has its reason."""
    prepared = Prepared()
    for (source, is_refused), group in groupby(
        rows, key=lambda row: (row.source, bool(row.refused))
    ):
        own = list(group)
        if is_refused:
            prepared.refused += [row.refused for row in own]
            continue
        places = {row.name: row.place for row in own}
        with open_images(sources[source], places, max_side_px=settings.max_source_side_px) as read:
            for row in own:
                _prepare(row, read, settings, prepared)
    return prepared


def _prepare(row: Row, read: ReadImage, settings: ImageSettings, prepared: Prepared) -> None:
    try:
        data = read(row.name)
        pixels = prepare_image(data, settings)
        header = read_header(data, max_side_px=settings.max_source_side_px)
    except RejectedImage as problem:
        prepared.refused.append(str(problem))
        return
    prepared.refused.append("")
    prepared.colours.append(header.colours)
    prepared.pixels.append(pixels)


def classify(pixels: NDArray[np.uint8], run: RunNetwork, serving: Serving) -> Found:
    """Return what a model says of prepared images, (n, size, size, 3) with n of at least 1."""
    outputs = [
        run(np.ascontiguousarray(turn_images(pixels, orientation)))
        for orientation in range(serving.orientations)
    ]
    logits = np.stack([logits for logits, _ in outputs]).astype(np.float32)
    answers = serving.calibration.answer(find_probabilities(logits, serving.votes))
    features = outputs[0][1]
    unknown = np.full(len(pixels), np.nan, np.float32)
    return Found(
        chosen=answers.decisive.argmax(axis=-1).astype(np.int32),
        probabilities=answers.calibrated.astype(np.float32),
        is_in_set=answers.is_in_set,
        distance=serving.familiarity.measure(features) if serving.familiarity else unknown,
        features=features.astype(np.float16) if serving.has_features else None,
        fractions=_find_fractions(logits, serving),
    )


def _find_fractions(logits: NDArray[np.float32], serving: Serving) -> NDArray[np.float32] | None:
    if serving.votes is None:
        return None
    concentrations = serving.votes.find_concentrations(logits).mean(axis=0)
    expected = serving.votes.find_fractions(concentrations)
    coverage = serving.calibration.coverage if serving.has_bounds else np.nan
    bounds = serving.votes.find_intervals(concentrations, coverage=coverage)
    return np.stack([expected, *bounds], axis=-1).astype(np.float32)


def join_found(parts: Sequence[Found], num_classes: int) -> Found:
    """Return the answers of several batches as one."""
    if not parts:
        empty = np.zeros((0, num_classes))
        none = np.zeros(0)
        return Found(
            none.astype(np.int32),
            empty.astype(np.float32),
            empty.astype(bool),
            none.astype(np.float32),
            None,
        )
    names = [name for name in Found.__dataclass_fields__ if getattr(parts[0], name) is not None]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return replace(parts[0], **joined)


def cut_into_batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield the rows of a shard, so many that go through the network together."""
    for first in range(0, len(rows), BATCH):
        yield rows[first : first + BATCH]
