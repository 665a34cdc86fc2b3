"""The baseline measures what it should, and learns from it."""

import numpy as np
import pytest

from galaxy_tasks.training.baseline import (
    measure_brightness_and_size,
    measure_images,
    predict_baseline,
)
from galaxy_tasks.training.galaxies import Galaxies


def draw(axis_ratio, *, size=48, tint=(1, 0.9, 0.8), seed=0):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    light = np.exp(-5 * np.hypot(x, y / axis_ratio)) + random.normal(0.1, 0.01, x.shape)
    return (np.clip(light[..., None] * np.array(tint), 0, 1) * 255).astype(np.uint8)


def galaxies(ratios):
    images = np.stack([draw(ratio, seed=n) for n, ratio in enumerate(ratios)])
    labels = (np.array(ratios) < 0.5).astype(np.int64)
    ids = tuple(str(n) for n in range(len(labels)))
    return Galaxies(images, np.arange(len(labels)), labels, np.arange(len(labels)), ids)


def test_it_learns_to_tell_round_from_elongated():
    random = np.random.default_rng(1)
    training, test = (
        galaxies(np.where(np.arange(count) % 2, 0.9, 0.3) + random.uniform(-0.1, 0.1, count))
        for count in (120, 40)
    )
    probabilities = predict_baseline(training, test, num_classes=2, seed=0)
    assert (probabilities.argmax(axis=1) == test.labels).mean() > 0.9
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(40), abs=1e-5)
    again = predict_baseline(training, test, num_classes=2, seed=0)
    assert (again == probabilities).all()


def test_measurements_hardly_change_with_a_quarter_turn_and_do_with_shape_and_colour():
    base = draw(0.3)
    same, other, blue = np.rot90(base), draw(0.9), draw(0.3, tint=(0.8, 0.9, 1))
    measured = measure_images(np.stack([base, same, other, blue]))
    assert measured[1] == pytest.approx(measured[0], abs=0.02)
    assert np.abs(measured[2] - measured[0]).max() > 0.1
    assert np.abs(measured[3] - measured[0]).max() > 0.1


@pytest.mark.parametrize("value", [0, 255])
def test_an_even_image_has_finite_measurements(value):
    images = np.full((2, 32, 32, 3), value, dtype=np.uint8)
    assert np.isfinite(measure_images(images)).all()


def test_brightness_and_size_are_those_of_what_is_drawn():
    y, x = np.mgrid[-1:1:65j, -1:1:65j]
    radius = np.hypot(x, y)
    images = [np.full((65, 65, 3), 20.0) for _ in range(3)]
    for image, (light, edge) in zip(images, [(100, 0.5), (50, 0.5), (100, 0.25)], strict=True):
        image[radius < edge] += light
    numbers = np.arange(3)
    disc = Galaxies(np.array(images).astype(np.uint8), numbers, numbers, numbers, ("a", "b", "c"))
    measured = measure_brightness_and_size(disc)
    area = np.pi / 4 * 0.5**2
    assert measured["brightness"].tolist() == pytest.approx(
        [100 * area, 50 * area, 25 * area], rel=0.1
    )
    # The root mean square radius of a disc of radius r is r / sqrt(2).
    assert measured["size"].tolist() == pytest.approx(
        [0.5 / 2**0.5, 0.5 / 2**0.5, 0.25 / 2**0.5], rel=0.05
    )
