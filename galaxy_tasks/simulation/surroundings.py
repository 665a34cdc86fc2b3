"""What else is in a cutout: stars, small galaxies, and occasionally an artifact."""

import math

import numpy as np

from galaxy_tasks.simulation.population import CUTOUT_SIDE_PX, Galaxy, Light
from galaxy_tasks.simulation.rendering import sersic

NEIGHBOURS_PER_CAMERA_PIXEL = 9 / 150**2
"""Density of visible objects, counted on real cutouts."""
FAINTEST_NANOMAGGIES = 0.9
SPIKES_FROM_NANOMAGGIES = 1200.0
CLEAR_RADIUS_PX = 40.0
"""No bright neighbour is nearer: the survey would have measured it as the galaxy."""


def add_field(light: Light, *, galaxy: Galaxy, random: np.random.Generator) -> None:
    """Add stars and small galaxies to a cutout's light, in place."""
    side = light.shape[0]
    for _ in range(random.poisson(NEIGHBOURS_PER_CAMERA_PIXEL * side * side)):
        x, y = random.uniform(0, side, 2)
        flux = FAINTEST_NANOMAGGIES * random.random() ** (-1 / 0.75)
        distance_px = math.hypot(x - side / 2, y - side / 2) * CUTOUT_SIDE_PX / side
        if distance_px < CLEAR_RADIUS_PX and flux > 4:
            continue
        flux = min(flux, 8000.0)
        if random.random() < 0.55:
            add_star(light, x=x, y=y, colour=flux * _draw_star_colour(random, flux=flux))
            if flux > SPIKES_FROM_NANOMAGGIES:
                _add_spikes(light, x=x, y=y, flux=flux, angle=random.uniform(0, math.pi / 2))
        else:
            _add_small_galaxy(light, x=x, y=y, flux=min(flux * 1.5, 250.0), random=random)
    if galaxy.artifact == "star":
        flux = 10 ** random.uniform(3.6, 4.6)
        x, y = random.uniform(0.45, 0.55, 2) * side
        add_star(light, x=x, y=y, colour=flux * _draw_star_colour(random, flux=flux))
        _add_spikes(light, x=x, y=y, flux=flux, angle=random.uniform(0, math.pi / 2))
    if galaxy.artifact == "trail":
        _add_trail(light, random=random)


def add_star(light: Light, *, x: float, y: float, colour: Light) -> None:
    """Add a point of light of the given flux in g, r, i between four camera pixels."""
    side = light.shape[0]
    left, top = math.floor(x - 0.5), math.floor(y - 0.5)
    right_share, lower_share = x - 0.5 - left, y - 0.5 - top
    for column, column_share in ((left, 1 - right_share), (left + 1, right_share)):
        for row, row_share in ((top, 1 - lower_share), (top + 1, lower_share)):
            if 0 <= column < side and 0 <= row < side:
                light[row, column] += np.float32(column_share * row_share) * colour


def _draw_star_colour(random: np.random.Generator, *, flux: float) -> Light:
    """Return a star's flux in g, r, i relative to r, from blue (−0.2) to M dwarfs (g−r 1.5)."""
    dwarfs = 0.5 / (1 + flux / 40)  # M dwarfs are faint
    is_dwarf = random.random() < dwarfs
    g_minus_r = random.normal(1.4, 0.12) if is_dwarf else random.normal(0.45, 0.2)
    r_minus_i = 0.35 * g_minus_r if g_minus_r < 1.1 else random.uniform(0.5, 1.4)
    return np.array([10 ** (-0.4 * g_minus_r), 1.0, 10 ** (0.4 * r_minus_i)], np.float32)


def _add_small_galaxy(
    light: Light, *, x: float, y: float, flux: float, random: np.random.Generator
) -> None:
    side = light.shape[0]
    half_light = random.uniform(1.2, 2.6) * (1 + 0.25 * math.log(flux))
    reach = math.ceil(5 * half_light)
    axis_ratio, angle = random.uniform(0.3, 1.0), random.uniform(0, math.pi)
    left, right = max(0, int(x) - reach), min(side, int(x) + reach + 1)
    top, bottom = max(0, int(y) - reach), min(side, int(y) + reach + 1)
    dx = np.arange(left, right, dtype=np.float32)[None, :] + np.float32(0.5 - x)
    dy = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - y)
    u = dx * math.cos(angle) + dy * math.sin(angle)
    v = (dy * math.cos(angle) - dx * math.sin(angle)) / axis_ratio
    profile = sersic(
        np.sqrt(u * u + v * v + 0.1).astype(np.float32), half_light=half_light, index=1.5
    )
    g_minus_r = random.normal(0.8, 0.35)
    colour = np.array([10 ** (-0.4 * g_minus_r), 1.0, 10 ** (0.2 * g_minus_r)], np.float32)
    amount = np.float32(flux / (13.0 * axis_ratio * half_light**2))
    light[top:bottom, left:right] += amount * profile[..., None] * colour


def _add_spikes(light: Light, *, x: float, y: float, flux: float, angle: float) -> None:
    """Add the four diffraction spikes of a bright star."""
    side = light.shape[0]
    axis = np.arange(side, dtype=np.float32) + np.float32(0.5)
    dx, dy = axis[None, :] - np.float32(x), axis[:, None] - np.float32(y)
    u, v = dx * math.cos(angle) + dy * math.sin(angle), dy * math.cos(angle) - dx * math.sin(angle)
    for along, across in ((u, v), (v, u)):
        spike = np.exp(-0.5 * across**2 - np.abs(along) / np.float32(0.10 * side))
        light += (spike * np.float32(flux * 1.2e-4))[..., None]


def _add_trail(light: Light, *, random: np.random.Generator) -> None:
    """Add a satellite's trail across the middle; it crosses one band only, so it is coloured."""
    side = light.shape[0]
    angle, offset = random.uniform(0, math.pi), random.normal(0, 0.05 * side)
    axis = np.arange(side, dtype=np.float32) + 0.5 - side / 2
    across = axis[:, None] * math.cos(angle) - axis[None, :] * math.sin(angle) - offset
    trail = np.exp(-0.5 * (across / random.uniform(1.0, 3.0)) ** 2)
    light[..., random.integers(3)] += (trail * random.uniform(2, 8)).astype(np.float32)
