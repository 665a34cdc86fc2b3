"""FITS cutouts look as they should: the sky dark, the galaxy bright, its colours its own."""

import numpy as np
import pytest
from fixtures.image_inputs import settings_with
from fixtures.survey_inputs import encode_fits

from galaxy_tasks.images.headers import read_header
from galaxy_tasks.images.prepare import prepare_image

RANDOM = np.random.default_rng(3)
SIZE_PX = 64


def observe(brightness: float, *, sky: float = 100.0, noise: float = 2.0) -> np.ndarray:
    """A round galaxy right of and below the centre (FITS counts rows from below), and noise."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    light = brightness * np.exp(-((x - 40) ** 2 + (y - 24) ** 2) / (2 * 4.0**2))
    return light + RANDOM.normal(sky, noise, (SIZE_PX, SIZE_PX))


def prepare(data: bytes) -> np.ndarray:
    return prepare_image(data, settings_with(image_size_px=SIZE_PX, crop_fraction=1.0))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_the_sky_is_dark_and_the_galaxy_bright_whatever_the_units(dtype):
    prepared = prepare(encode_fits(observe(500.0).astype(dtype)))
    assert np.unravel_index(prepared[..., 0].argmax(), (SIZE_PX, SIZE_PX)) == pytest.approx(
        (SIZE_PX - 1 - 24, 40), abs=2
    )
    assert prepared.max() >= 250
    assert np.median(prepared) < 15
    assert (prepared == prepared[..., :1]).all()
    scaled = prepare(encode_fits(observe(500.0).astype(dtype) * 3))
    assert np.abs(np.median(scaled) - np.median(prepared)) <= 3


def test_bands_go_from_blue_to_red_and_keep_their_ratios():
    bands = np.stack([observe(100.0), observe(200.0), observe(400.0)])
    prepared = prepare(encode_fits(bands)).astype(float)
    red, green, blue = prepared[SIZE_PX - 1 - 24, 40]
    assert red > green > blue
    assert green / blue == pytest.approx(2, rel=0.2)
    assert read_header(encode_fits(bands), max_side_px=99).colours == "FITS of 3 bands"


def test_pixels_without_a_value_and_without_noise_are_dark():
    values = np.zeros((SIZE_PX, SIZE_PX))
    assert prepare(encode_fits(values)).max() == 0
    values[10:20, 10:20] = 5.0
    values[30:] = np.nan
    prepared = prepare(encode_fits(values))
    assert prepared[SIZE_PX - 15, 15].min() > 200
    assert prepared[:30].max() == 0
    assert prepare(encode_fits(np.full((SIZE_PX, SIZE_PX), np.nan))).max() == 0
