"""Gradient boosting on simple measurements of the images: what a network has to beat.

Measured are how bright and how red a galaxy is, how its light falls off from the centre, how
elongated it is, and how it differs from itself when turned: what astronomers measured before there
were networks (concentration and asymmetry as by Conselice 2003, doi:10.1086/375001, without their
corrections).
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from galaxy_tasks.training.galaxies import Galaxies

NUM_RINGS = 10
_PIXELS_AT_ONCE = 10_000_000


def predict_baseline(
    training: Galaxies, test: Galaxies, *, num_classes: int, seed: int
) -> NDArray[np.float32]:
    """Train gradient boosting and return the test's probabilities, (galaxies, classes)."""
    model = HistGradientBoostingClassifier(random_state=seed)
    model.fit(_measure_all(training), training.labels)
    probabilities = np.zeros((len(test), num_classes), dtype=np.float32)
    known = np.asarray(model.classes_, dtype=np.int64)
    probabilities[:, known] = model.predict_proba(_measure_all(test))
    return probabilities


def _measure_all(galaxies: Galaxies) -> NDArray[np.float32]:
    return np.concatenate([measure_images(batch) for batch in _list_batches(galaxies)])


def measure_images(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return measurements of cutouts (n, size, size, 3) that are centred on a galaxy: (n, m).

    They are finite even where an image is all black.
    """
    light = _find_light(images)
    columns = [
        *_measure_brightness(images.astype(np.float32)),
        *_measure_profile(light),
        *_measure_shape(light),
        *_measure_asymmetry(light),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def measure_brightness_and_size(galaxies: Galaxies) -> pd.DataFrame:
    """Return columns brightness and size of galaxies, in their order.

    `brightness` is the mean light above the sky, in grey levels of the prepared image; `size` the
    root mean square radius of the light above a quarter of its peak, in half sides of the image.
    """
    parts = []
    for images in _list_batches(galaxies):
        light = _find_light(images)
        _, mean_square, _ = _measure_shape(light)
        parts.append((light.mean(axis=(1, 2)), np.sqrt(2 * mean_square)))
    columns = (np.concatenate(own) for own in zip(*parts, strict=True))
    return pd.DataFrame(dict(zip(("brightness", "size"), columns, strict=True)))


def _list_batches(galaxies: Galaxies) -> Iterator[NDArray[np.uint8]]:
    height, width = galaxies.images.shape[1:3]
    return galaxies.image_batches(max(1, _PIXELS_AT_ONCE // (height * width)))


def _find_light(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean of the colours above the sky, (n, size, size)."""
    light = images.astype(np.float32).mean(axis=3)
    return light - np.median(_edge_of(light), axis=1)[:, np.newaxis, np.newaxis]


def _edge_of(light: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = (light[:, 0], light[:, -1], light[:, :, 0], light[:, :, -1])
    return np.concatenate(sides, axis=1)


def _measure_brightness(pixels: NDArray[np.float32]) -> Iterator[NDArray[np.floating]]:
    """Yield mean, spread, median and peak of each colour, and ratios of the colours."""
    flat = pixels.reshape(len(pixels), -1, 3)
    for colour in range(3):
        values = flat[:, :, colour]
        yield values.mean(axis=1)
        yield values.std(axis=1)
        yield from np.percentile(values, [50, 99], axis=1)
    red, green, blue = (flat[:, :, colour].sum(axis=1) + 1 for colour in range(3))
    yield np.log(red / green)
    yield np.log(green / blue)


def _measure_profile(light: NDArray[np.float32]) -> Iterator[NDArray[np.floating]]:
    """Yield the share of the light within rings, and the radii that hold 20, 50 and 80 % of it."""
    distance = _distances(light.shape[1])
    rings = np.minimum((distance * NUM_RINGS).astype(int), NUM_RINGS)  # the last: the corners
    sums = np.stack([light[:, rings == ring].sum(axis=1) for ring in range(NUM_RINGS)], axis=1)
    shares = _divide(sums, np.abs(sums).sum(axis=1, keepdims=True))
    yield from shares.T
    inside = np.cumsum(np.maximum(sums, 0), axis=1)
    inside = _divide(inside, inside[:, -1:])
    radii = [(inside < share).sum(axis=1) for share in (0.2, 0.5, 0.8)]
    yield from radii
    yield np.log((radii[2] + 1) / (radii[0] + 1))  # concentration


def _measure_shape(light: NDArray[np.float32]) -> Iterator[NDArray[np.floating]]:
    """Yield axis ratio, mean square radius and extent of the light above a quarter of its peak."""
    size = light.shape[1]
    y, x = (np.mgrid[:size, :size] - (size - 1) / 2) / (size / 2)
    bright = np.maximum(light - light.max(axis=(1, 2), keepdims=True) / 4, 0)
    total = bright.sum(axis=(1, 2))
    xx, yy, xy = (_divide((bright * m).sum(axis=(1, 2)), total) for m in (x * x, y * y, x * y))
    mean, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    yield _divide(mean - spread, mean + spread)
    yield mean
    yield _divide(total, light.max(axis=(1, 2)))


def _measure_asymmetry(light: NDArray[np.float32]) -> Iterator[NDArray[np.floating]]:
    """Yield how much light differs from itself, turned by half a turn and by a quarter."""
    total = np.abs(light).sum(axis=(1, 2))
    for turns in (2, 1):
        turned = np.rot90(light, turns, axes=(1, 2))
        yield _divide(np.abs(light - turned).sum(axis=(1, 2)), total)


def _distances(size: int) -> NDArray[np.float64]:
    """Return each pixel's distance from the centre; 1 at the middle of a side."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(x, y) / (size / 2)


def _divide(numbers: NDArray, divisors: NDArray) -> NDArray[np.float32]:
    return np.divide(numbers, divisors, out=np.zeros_like(numbers), where=divisors > 0)
