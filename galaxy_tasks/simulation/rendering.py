"""A galaxy's light before the telescope: linear g, r, i surface brightness on a square grid.

Every function takes coordinates in cutout pixels, centred on the galaxy and turned so that u runs
along the major axis; brightness is in nanomaggies per camera pixel.
"""

import math

import numpy as np

from galaxy_tasks.simulation.population import CUTOUT_SIDE_PX, Galaxy, Light

# Flux in g, r, i relative to r. From typical SDSS colours: g−r 0.75 and r−i 0.38 for old stars,
# 0.45 and 0.2 for a disc, 0.15 and 0.05 for arms, bluer still for knots of star formation.
OLD_STARS = np.array([0.50, 1.0, 1.42], np.float32)
DISC_STARS = np.array([0.70, 1.0, 1.28], np.float32)
ARM_STARS = np.array([0.93, 1.0, 1.17], np.float32)
KNOT_STARS = np.array([1.30, 1.0, 1.00], np.float32)


def render_galaxy(galaxy: Galaxy, *, random: np.random.Generator, side: int | None = None) -> Light:
    """Draw the galaxy's light, free of seeing and noise.

    Args:
        galaxy: what to draw.
        random: source of the clumps; the galaxy's parameters determine everything else.
        side: camera pixels along the side; by default the galaxy's own number.

    Returns:
        (side, side, 3) brightness in g, r, i.
    """
    side = side or galaxy.camera_side
    u, v = _turned_coordinates(galaxy, side=side)
    if galaxy.kind == "smooth":
        return _render_smooth(galaxy, u=u, v=v)
    if galaxy.kind == "edge_on":
        return _render_edge_on(galaxy, u=u, v=v, random=random)
    return _render_disc(galaxy, u=u, v=v, random=random)


def sersic(radius: Light, *, half_light: float, index: float) -> Light:
    """Return a Sérsic profile that is 1 at the half-light radius.

    Uses b = 2n − 1/3 (Ciotti & Bertin 1999, first terms).
    """
    b = 2 * index - 1 / 3
    return np.exp(-b * ((radius / half_light) ** (1 / index) - 1))


def sersic_flux(*, half_light: float, index: float) -> float:
    """Return the total flux of the round profile that `sersic` draws."""
    b = 2 * index - 1 / 3
    return (
        2 * math.pi * half_light**2 * index * math.exp(b) * b ** (-2 * index)
        * math.gamma(2 * index)
    )  # fmt: skip


def star_colour(base: Light, *, redness: float) -> Light:
    """Return the colour made redder (up to 1) or bluer (down to −1)."""
    return base * np.exp(np.float32(redness) * np.array([-0.22, 0.0, 0.13], np.float32))


def _turned_coordinates(galaxy: Galaxy, *, side: int) -> tuple[Light, Light]:
    step = CUTOUT_SIDE_PX / side
    axis = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(step)
    axis -= np.float32(CUTOUT_SIDE_PX / 2)
    angle = math.radians(galaxy.position_angle)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    x, y = axis[None, :], -axis[:, None]
    return x * cos + y * sin, y * cos - x * sin


def _soft_radius(u: Light, v: Light, *, axis_ratio: float, softening: float = 0.7) -> Light:
    """Return the elliptical radius, softened because a cusp has no finite value at its centre."""
    return np.sqrt(u * u + (v / np.float32(axis_ratio)) ** 2 + np.float32(softening**2))


def _render_smooth(galaxy: Galaxy, *, u: Light, v: Light) -> Light:
    radius = _soft_radius(u, v, axis_ratio=galaxy.axis_ratio)
    light = sersic(radius, half_light=galaxy.half_light_px, index=galaxy.sersic_index)
    light *= np.float32(galaxy.brightness)
    # Outer parts are a little bluer, and galaxies of low index are younger.
    age = galaxy.redness + 0.35 * (galaxy.sersic_index - 3.2)
    inner, outer = star_colour(OLD_STARS, redness=age), star_colour(OLD_STARS, redness=age - 0.5)
    share = 1 / (1 + (radius / np.float32(galaxy.half_light_px)) ** 2)
    return light[..., None] * (share[..., None] * (inner - outer) + outer)


def _render_edge_on(galaxy: Galaxy, *, u: Light, v: Light, random: np.random.Generator) -> Light:
    length = np.float32(galaxy.half_light_px / 1.45)
    height = np.float32(galaxy.axis_ratio * galaxy.half_light_px * 0.75)
    along = np.sqrt(u * u + (0.35 * length) ** 2) / length
    # Discs end: the light is cut off softly near four scale lengths.
    cut = 1 / (1 + np.exp(np.clip((np.abs(u) / length - 3.8) * 4, -30, 30)))
    disc = np.exp(1.45 - along) * cut / np.cosh(np.clip(v / height, -30, 30)) ** 2
    disc *= np.float32(galaxy.brightness * 1.9)
    disc *= 1 + np.float32(0.25 * galaxy.clumpiness) * _clumps(u.shape[0], random=random)
    bulge = _bulge(galaxy, u=u, v=v, axis_ratio=0.75, disc_flux=float(disc.sum()))
    light = disc[..., None] * star_colour(DISC_STARS, redness=galaxy.redness)
    light += bulge[..., None] * star_colour(OLD_STARS, redness=galaxy.redness)
    if galaxy.dust:
        offset = np.float32(random.normal(0, 0.25)) * height
        lane = np.exp(-0.5 * ((v - offset) / (0.35 * height)) ** 2)
        lane *= np.exp(-0.5 * (u / (2.2 * length)) ** 2)
        # Extinction falls from g to i (Cardelli et al. 1989, roughly 1.22 : 0.87 : 0.66).
        depth = np.array([1.22, 0.87, 0.66], np.float32) * np.float32(1.6 * galaxy.dust)
        light *= np.exp(-lane[..., None] * depth)
    return light


def _render_disc(galaxy: Galaxy, *, u: Light, v: Light, random: np.random.Generator) -> Light:
    half_light = np.float32(galaxy.half_light_px)
    radius = _soft_radius(u, v, axis_ratio=galaxy.axis_ratio)
    disc = sersic(radius, half_light=galaxy.half_light_px, index=1.0)
    disc *= np.float32(galaxy.brightness)
    clumps = _clumps(u.shape[0], random=random) * np.float32(galaxy.clumpiness)
    young = disc * _arms(galaxy, u=u, v=v, radius=radius, random=random)
    if galaxy.ring_strength:
        width = np.float32(0.22) * half_light
        ring = np.exp(-0.5 * ((radius - 1.2 * half_light) / width) ** 2)
        young += np.float32(galaxy.ring_strength * galaxy.brightness) * ring
    young *= np.exp(np.float32(0.45) * clumps)
    old = disc * np.float32(1 / (1 + 0.35 * galaxy.arm_strength)) * (1 + np.float32(0.08) * clumps)
    light = old[..., None] * star_colour(DISC_STARS, redness=galaxy.redness)
    light += young[..., None] * star_colour(ARM_STARS, redness=0.7 * galaxy.redness)
    knots = young * np.maximum(clumps - np.float32(1.1), 0)
    light += knots[..., None] * KNOT_STARS
    bulge = _bulge(galaxy, u=u, v=v, axis_ratio=0.5 + galaxy.axis_ratio / 2,
                   disc_flux=float(old.sum() + young.sum()))  # fmt: skip
    if galaxy.bar_strength:
        bulge += np.float32(galaxy.brightness * galaxy.bar_strength * 2.2) * _bar(
            galaxy, u=u, v=v, angle=random.uniform(0, math.pi)
        )
    light += bulge[..., None] * star_colour(OLD_STARS, redness=galaxy.redness)
    return light


def _arms(
    galaxy: Galaxy, *, u: Light, v: Light, radius: Light, random: np.random.Generator
) -> Light:
    """Return the arms' brightness over the disc: logarithmic spirals of unequal strength."""
    start, unevenness, lopsidedness = random.uniform(0, 2 * math.pi, 3)
    if not galaxy.arm_strength:
        return np.zeros_like(radius)
    angle = np.arctan2(v / np.float32(galaxy.axis_ratio), u)
    inner = np.float32(0.45 * galaxy.half_light_px)
    turn = np.log(radius / inner) / np.float32(math.tan(math.radians(galaxy.pitch_degrees)))
    wobble = np.float32(0.35) * np.sin(angle + np.float32(unevenness) + 0.5 * turn)
    ragged = np.float32(0.5 * galaxy.clumpiness) * _clumps(u.shape[0], random=random, grains=20)
    wobble += ragged
    phase = galaxy.arms * (galaxy.winds * angle - turn + np.float32(start) + wobble)
    crest = np.exp(np.float32(2.2) * (np.cos(phase) - 1))
    crest *= 1 + np.float32(0.35) * np.cos(angle - np.float32(lopsidedness))
    rise = 1 / (1 + (inner / radius) ** 4)
    fall = 1 / (1 + np.exp(np.clip(4 * radius / np.float32(galaxy.half_light_px) - 13, -30, 30)))
    return np.float32(galaxy.arm_strength * 1.3) * crest * rise * fall


def _bar(galaxy: Galaxy, *, u: Light, v: Light, angle: float) -> Light:
    """Return a bar of unit centre, lying in the plane of the disc at an angle from its u axis."""
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    w = v / np.float32(galaxy.axis_ratio)
    length, width = 0.62 * galaxy.half_light_px, 0.17 * galaxy.half_light_px
    along, across = (
        (u * cos + w * sin) / np.float32(length),
        (w * cos - u * sin) / np.float32(width),
    )
    return np.exp(-0.5 * (along**4 + across**2)).astype(np.float32, copy=False)


def _bulge(galaxy: Galaxy, *, u: Light, v: Light, axis_ratio: float, disc_flux: float) -> Light:
    """Return a Sérsic bulge that holds `bulge_fraction` of the galaxy's light."""
    half_light = (0.12 + 0.35 * galaxy.bulge_fraction) * galaxy.half_light_px
    index = 1.5 + 4 * galaxy.bulge_fraction
    step = CUTOUT_SIDE_PX / u.shape[0]
    unit_flux = sersic_flux(half_light=half_light / step, index=index) * axis_ratio
    flux = disc_flux * galaxy.bulge_fraction / (1 - galaxy.bulge_fraction)
    radius = _soft_radius(u, v, axis_ratio=axis_ratio)
    return np.float32(flux / unit_flux) * sersic(radius, half_light=half_light, index=index)


def _clumps(side: int, *, random: np.random.Generator, grains: int = 96) -> Light:
    """Return a smooth random field of unit variance, with `grains` grains along the cutout."""
    import cv2

    field = random.standard_normal((grains, grains), np.float32)
    field = cv2.GaussianBlur(field, (0, 0), 0.8)
    field /= field.std()
    return cv2.resize(field, (side, side), interpolation=cv2.INTER_CUBIC)
