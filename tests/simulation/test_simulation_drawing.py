"""What is drawn of a galaxy can be measured again."""

import math

import numpy as np
import pytest
from fixtures.simulation_inputs import make_galaxy

from galaxy_tasks.simulation.camera import photograph, stretch
from galaxy_tasks.simulation.population import Galaxy, random_generator
from galaxy_tasks.simulation.rendering import render_galaxy


def measure_ellipse(light: np.ndarray) -> tuple[float, float]:
    """Return the position angle (degrees, y up) and axis ratio from second moments."""
    weight = light.sum(axis=2)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]].astype(float)
    y = -y
    x -= np.average(x, weights=weight)
    y -= np.average(y, weights=weight)
    xx, yy, xy = (np.average(product, weights=weight) for product in (x * x, y * y, x * y))
    values, vectors = np.linalg.eigh([[xx, xy], [xy, yy]])
    angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1])) % 180
    return angle, math.sqrt(values[0] / values[1])


@pytest.mark.parametrize("position_angle", [0.0, 35.0, 90.0, 140.0])
@pytest.mark.parametrize("axis_ratio", [0.3, 0.6, 0.85])
def test_second_moments_give_back_the_drawn_angle_and_axis_ratio(position_angle, axis_ratio):
    galaxy = make_galaxy(position_angle=position_angle, axis_ratio=axis_ratio)
    light = render_galaxy(galaxy, random=random_generator(seed=0, index=0))
    angle, ratio = measure_ellipse(light)
    assert ratio == pytest.approx(axis_ratio, abs=0.02)
    assert abs((angle - position_angle + 90) % 180 - 90) < 1.0


def test_an_edge_on_disc_lies_along_its_position_angle_and_is_thin():
    galaxy = make_galaxy(kind="edge_on", axis_ratio=0.12, bulge_fraction=0.02, position_angle=110.0)
    angle, ratio = measure_ellipse(render_galaxy(galaxy, random=random_generator(seed=0, index=0)))
    assert abs(angle - 110) < 2
    assert ratio < 0.3


def test_a_bulge_holds_its_share_of_the_light():
    disc, both = (
        render_galaxy(
            make_galaxy(kind="spiral", axis_ratio=1.0, bulge_fraction=fraction, arm_strength=0.0),
            random=random_generator(seed=0, index=0),
            side=424,
        )[..., 1].sum()
        for fraction in (1e-6, 0.3)
    )
    assert 1 - disc / both == pytest.approx(0.3, abs=0.05)


def test_spirals_have_more_azimuthal_structure_than_ellipticals_and_as_many_crests_as_arms():
    smooth = make_galaxy(axis_ratio=1.0)
    spiral = make_galaxy(kind="spiral", axis_ratio=1.0, arm_strength=1.5, arms=3)
    powers = [azimuthal_power(galaxy) for galaxy in (smooth, spiral)]
    assert powers[1].max() > 20 * powers[0].max()
    assert int(powers[1].argmax()) + 1 == 3


def azimuthal_power(galaxy: Galaxy) -> np.ndarray:
    """Return the strength of waves 1 to 6 around a ring at 1.2 half-light radii, of the mean."""
    light = render_galaxy(galaxy, random=random_generator(seed=4, index=0), side=424)[..., 1]
    angle = np.linspace(0, 2 * math.pi, 360, endpoint=False)
    radius = 1.2 * galaxy.half_light_px
    rows = np.rint(211.5 - radius * np.sin(angle)).astype(int)
    columns = np.rint(211.5 + radius * np.cos(angle)).astype(int)
    waves = np.abs(np.fft.rfft(light[rows, columns]))
    return waves[1:7] / waves[0]


def test_the_stretch_keeps_the_hue_and_is_linear_where_it_is_dark():
    faint = np.full((1, 1, 3), 0.001, np.float32)
    assert stretch(2 * faint)[0, 0, 0] == pytest.approx(2 * stretch(faint)[0, 0, 0], rel=1e-3)
    coloured = stretch(np.array([[[1.0, 2.0, 3.0]]], np.float32))[0, 0]
    assert coloured[1] / coloured[0] == pytest.approx(2.0, rel=1e-5)


def test_noise_is_as_strong_as_asked_and_independent_of_the_light_arrays_precision():
    galaxy = make_galaxy()
    dark = np.zeros((180, 180, 3), np.float32)
    cutout = photograph(dark, galaxy=galaxy, random=random_generator(seed=1, index=1))
    assert cutout.dtype == np.uint8
    assert 2 < cutout.mean() < 8
    assert render_galaxy(galaxy, random=random_generator(seed=1, index=1)).dtype == np.float32
