"""The parameters of a simulated galaxy, and how they are distributed.

Lengths are in cutout pixels. Galaxy Zoo 2 scales every cutout to 0.02 × petroR90 per pixel
(Willett et al. 2013, section 2), so galaxies look equally large; what varies instead is how coarse
the telescope's own pixels and seeing are on the cutout, which `radius_arcsec` decides.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.releases.morphology import Morphology

CUTOUT_SIDE_PX = 424
PIXELS_PER_RADIUS = 50.0
"""Cutout pixels in one petroR90: 1 / 0.02 (Willett et al. 2013)."""
SKY_PIXEL_ARCSEC = 0.396
"""Pixel of the SDSS camera on the sky (Gunn et al. 1998)."""

Kind = Literal["smooth", "edge_on", "spiral", "featured", "artifact"]
Light = NDArray[np.floating]
"""Brightness in nanomaggies per camera pixel: (side, side), or (side, side, 3) for g, r, i."""

Artifact = Literal["none", "star", "trail", "blank", "edge"]


@dataclass(frozen=True)
class Difficulty:
    """Everything that makes the simulated release easy or hard."""

    round_share: float = 0.195
    in_between_share: float = 0.185
    cigar_share: float = 0.09
    edge_on_share: float = 0.15
    spiral_share: float = 0.335
    featured_share: float = 0.03
    """Discs with a ring or clumps but no arms; the rest, 1.5 %, are artifacts."""
    arm_strength: float = 0.7
    """Median contrast of the arms over the disc between them."""
    arm_strength_scatter: float = 0.40
    """Its scatter, in natural logarithm: larger makes more faint arms."""
    visible_arms: float = 0.17
    """Contrast after seeing and noise at which half of the volunteers see features."""
    feature_scatter: float = 0.7
    """How far volunteers as a group misjudge smoothness, in logits: noise in the labels."""
    axis_ratio_scatter: float = 0.045
    """How far volunteers as a group misjudge an axis ratio: noise in the labels."""
    brightness: float = 0.85
    """Median surface brightness at the half-light radius, nanomaggies per camera pixel."""
    brightness_scatter: float = 0.40
    """Its scatter, in natural logarithm."""
    radius_arcsec: float = 6.0
    """Median petroR90: smaller galaxies have coarser pixels and seeing on the cutout."""
    radius_scatter: float = 0.36
    """Its scatter, in natural logarithm."""
    sky_noise: float = 0.048
    """Standard deviation of the r-band sky, nanomaggies per camera pixel."""
    seeing_arcsec: float = 1.3
    """Median full width at half maximum of a star (SDSS r band: 1.3)."""
    volunteers: float = 44.0
    """Mean number of volunteers who look at a galaxy (Willett et al. 2013)."""


DIFFICULTY = Difficulty()
ROUND_AXIS_RATIO = 0.78
"""Smooth galaxies with at least this axis ratio are completely round."""
CIGAR_AXIS_RATIO = 0.37
"""Smooth galaxies below this axis ratio are cigar-shaped."""


@dataclass(frozen=True)
class Galaxy:
    """The true parameters of a galaxy; lengths in cutout pixels, angles in degrees.

    `position_angle` is that of the major axis, anticlockwise from the image's x axis as seen on
    the picture (y up). For discs `axis_ratio` is the cosine of the inclination, or, edge-on, the
    thickness.
    """

    kind: Kind
    morphology: Morphology | Literal["artifact"]
    position_angle: float
    axis_ratio: float
    half_light_px: float
    sersic_index: float
    brightness: float
    redness: float
    """From −1, the bluest galaxy of its kind, to 1, the reddest."""
    bulge_fraction: float
    arms: int
    arm_strength: float
    pitch_degrees: float
    winds: int
    """Sense in which the arms trail: 1 or −1."""
    clumpiness: float
    bar_strength: float
    ring_strength: float
    dust: float
    radius_arcsec: float
    seeing_arcsec: float
    artifact: Artifact

    @property
    def camera_side(self) -> int:
        """Camera pixels along the cutout's side."""
        field_arcsec = CUTOUT_SIDE_PX * self.radius_arcsec / PIXELS_PER_RADIUS
        return min(CUTOUT_SIDE_PX, round(field_arcsec / SKY_PIXEL_ARCSEC))

    @property
    def seeing_sigma_px(self) -> float:
        """Standard deviation of the seeing, in cutout pixels."""
        return self.seeing_arcsec / 2.355 * PIXELS_PER_RADIUS / self.radius_arcsec

    @property
    def apparent_axis_ratio(self) -> float:
        """Axis ratio after the seeing has rounded it."""
        length_px = 0.8 * self.half_light_px
        return math.sqrt(
            ((self.axis_ratio * length_px) ** 2 + self.seeing_sigma_px**2)
            / (length_px**2 + self.seeing_sigma_px**2)
        )


def random_generator(*, seed: int, index: int) -> np.random.Generator:
    """Return the generator of galaxy number `index`, independent of all others."""
    return np.random.default_rng([seed, index])


def draw_galaxy(random: np.random.Generator, *, difficulty: Difficulty = DIFFICULTY) -> Galaxy:
    """Draw one galaxy from the population."""
    choice, kind = _draw_kind(random, difficulty)
    axis_ratio = _draw_axis_ratio(random, choice=choice)
    is_disc = kind in {"spiral", "featured"}
    radius_arcsec = difficulty.radius_arcsec * math.exp(random.normal(0, difficulty.radius_scatter))
    return Galaxy(
        kind=kind,
        morphology=_true_morphology(kind, axis_ratio=axis_ratio),
        position_angle=random.uniform(0, 180),
        axis_ratio=axis_ratio,
        half_light_px=26.5 * axis_ratio**-0.3 * math.exp(random.normal(0, 0.12)),
        sersic_index=_draw_sersic_index(random, axis_ratio=axis_ratio),
        brightness=difficulty.brightness
        * math.exp(random.normal(-0.25 * is_disc, difficulty.brightness_scatter)),
        redness=float(np.clip(random.normal(-0.1, 0.5), -1, 1)),
        bulge_fraction=float(np.clip(random.gamma(2.0, 0.08), 0.01, 0.6)),
        arms=int(random.choice([2, 3, 4], p=[0.72, 0.18, 0.10])),
        arm_strength=difficulty.arm_strength
        * math.exp(random.normal(0, difficulty.arm_strength_scatter))
        * (kind == "spiral"),
        pitch_degrees=float(np.clip(random.normal(20, 6), 9, 38)),
        winds=int(random.choice([-1, 1])),
        clumpiness=random.uniform(0.1, 1.0) * (1.0 if is_disc or kind == "edge_on" else 0.0),
        bar_strength=random.uniform(0.3, 1.0) * bool(random.random() < 0.35) * is_disc,
        ring_strength=random.uniform(0.3, 1.5) * (kind == "featured"),
        dust=random.uniform(0.1, 0.8) * bool(random.random() < 0.6) * (kind == "edge_on"),
        radius_arcsec=float(np.clip(radius_arcsec, 4.0, 19.5)),
        seeing_arcsec=difficulty.seeing_arcsec * math.exp(random.normal(0, 0.10)),
        artifact=random.choice(["star", "trail", "blank", "edge"], p=[0.5, 0.2, 0.1, 0.2])
        if kind == "artifact"
        else "none",
    )


def _draw_kind(random: np.random.Generator, difficulty: Difficulty) -> tuple[int, Kind]:
    """Return the index of the share that was drawn, and its kind."""
    shares = (
        difficulty.round_share,
        difficulty.in_between_share,
        difficulty.cigar_share,
        difficulty.edge_on_share,
        difficulty.spiral_share,
        difficulty.featured_share,
    )
    kinds: tuple[Kind, ...] = (
        "smooth", "smooth", "smooth", "edge_on", "spiral", "featured", "artifact",
    )  # fmt: skip
    choice = int(np.searchsorted(np.cumsum(shares), random.random()))
    return choice, kinds[choice]


def _draw_axis_ratio(random: np.random.Generator, *, choice: int) -> float:
    ranges = (
        (ROUND_AXIS_RATIO, 1.0),
        (CIGAR_AXIS_RATIO, ROUND_AXIS_RATIO),
        (0.17, CIGAR_AXIS_RATIO),
        (0.08, 0.28),
        (0.35, 1.0),
        (0.35, 1.0),
        (0.5, 1.0),
    )
    return random.uniform(*ranges[choice])


def _draw_sersic_index(random: np.random.Generator, *, axis_ratio: float) -> float:
    """Return the Sérsic index of a smooth galaxy; elongated ones are closer to discs."""
    return float(np.clip(random.normal(1.0 + 2.6 * axis_ratio, 0.8), 0.7, 5.0))


def _true_morphology(kind: Kind, *, axis_ratio: float) -> Morphology | Literal["artifact"]:
    if kind == "smooth":
        if axis_ratio >= ROUND_AXIS_RATIO:
            return Morphology.COMPLETELY_ROUND_SMOOTH
        if axis_ratio >= CIGAR_AXIS_RATIO:
            return Morphology.IN_BETWEEN_SMOOTH
        return Morphology.CIGAR_SHAPED_SMOOTH
    if kind == "edge_on":
        return Morphology.EDGE_ON
    if kind == "spiral":
        return Morphology.SPIRAL
    return "artifact" if kind == "artifact" else Morphology.FEATURED_WITHOUT_SPIRAL
