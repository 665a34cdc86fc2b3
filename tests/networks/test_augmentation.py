"""Known galaxies go in; they come out turned as asked."""

import math

import numpy as np
import pytest
from keras import ops

from galaxy_tasks.networks.augmentation import RandomOrientation, sample_affine


def draw_blob(size: int, x: float, y: float) -> np.ndarray:
    """Return (1, size, size, 3): a Gaussian at (x, y) in half-sides from the centre."""
    axis = (np.arange(size) + 0.5) * 2 / size - 1
    blob = np.exp(-((axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * 0.1**2))
    return np.repeat(blob[None, :, :, None], 3, axis=3).astype("float32")


def find_blob(images: np.ndarray) -> tuple[float, float]:
    size = images.shape[1]
    axis = (np.arange(size) + 0.5) * 2 / size - 1
    flux = images[0, :, :, 0]
    return float((flux * axis).sum() / flux.sum()), float((flux * axis[:, None]).sum() / flux.sum())


def make_layer(**ranges: float) -> RandomOrientation:
    none = {
        "has_flips": False,
        "max_rotation_degrees": 0.0,
        "max_shift_fraction": 0.0,
        "max_zoom_fraction": 0.0,
    }
    return RandomOrientation(**{**none, **ranges}, seed=7)


@pytest.mark.parametrize("degrees", [0, 30, 90, 200])
def test_rotation_moves_a_source_where_geometry_says(degrees):
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    rotated = sample_affine(
        ops.convert_to_tensor(draw_blob(64, 0.4, 0.1)),
        ops.convert_to_tensor([[cosine, -sine, 0.0, sine, cosine, 0.0]], dtype="float32"),
    )
    # x_in = A x_out, so the source appears at A⁻¹ x_in.
    expected = (cosine * 0.4 + sine * 0.1, -sine * 0.4 + cosine * 0.1)
    assert find_blob(ops.convert_to_numpy(rotated)) == pytest.approx(expected, abs=0.01)


def test_identity_map_returns_the_image_exactly():
    images = np.random.default_rng(1).random((2, 31, 31, 3), dtype=np.float32)
    identity = np.tile(np.float32([1, 0, 0, 0, 1, 0]), (2, 1))
    np.testing.assert_allclose(
        sample_affine(ops.convert_to_tensor(images), identity), images, atol=1e-5
    )


def test_a_quarter_turn_is_exact():
    images = np.random.default_rng(1).random((1, 32, 32, 3), dtype=np.float32)
    turned = sample_affine(ops.convert_to_tensor(images), np.float32([[0, -1, 0, 1, 0, 0]]))
    np.testing.assert_allclose(turned, np.rot90(images, 1, axes=(1, 2)), atol=1e-4)


def test_what_comes_into_view_is_the_mirror_image():
    images = np.arange(8, dtype=np.float32).reshape(1, 1, 8, 1).repeat(8, axis=1).repeat(3, axis=3)
    shifted = sample_affine(ops.convert_to_tensor(images), np.float32([[1, 0, 0.5, 0, 1, 0]]))
    # Two pixels (0.5 of half of eight) to the right: 2…7, then the mirror of 7 and 6.
    np.testing.assert_allclose(shifted[0, 0, :, 0], [2, 3, 4, 5, 6, 7, 7, 6], atol=1e-4)


def test_images_pass_unchanged_outside_training():
    images = draw_blob(32, 0.3, 0.0)
    layer = make_layer(has_flips=True, max_rotation_degrees=180.0, max_zoom_fraction=0.3)
    np.testing.assert_array_equal(layer(images, training=False), images)


def test_training_turns_each_image_differently_and_keeps_its_radius():
    images = draw_blob(64, 0.5, 0.0).repeat(16, axis=0)
    oriented = ops.convert_to_numpy(
        make_layer(has_flips=True, max_rotation_degrees=180.0)(images, training=True)
    )
    places = np.array([find_blob(image[None]) for image in oriented])
    np.testing.assert_allclose(np.hypot(*places.T), 0.5, atol=0.03)
    assert len(np.unique(np.round(np.arctan2(*places.T), 2))) > 12


def test_flips_alone_give_the_eight_orientations_and_no_other():
    image = np.random.default_rng(3).random((1, 16, 16, 3), dtype=np.float32)
    oriented = ops.convert_to_numpy(
        make_layer(has_flips=True)(image.repeat(64, axis=0), training=True)
    )
    views = [np.rot90(m, k) for m in (image[0], image[0][:, ::-1]) for k in range(4)]
    nearest = [min(range(8), key=lambda v: np.abs(views[v] - o).max()) for o in oriented]
    for view, output in zip(nearest, oriented, strict=True):
        np.testing.assert_allclose(output, views[view], atol=1e-3)
    # Quarter turns of 0, 90 (and −180, −90 through the mirror) must all appear.
    assert len(set(nearest)) >= 4
