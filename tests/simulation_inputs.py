"""A galaxy without flaws, for the tests of what is drawn of it."""

from dataclasses import replace

from galaxy_tasks.morphology import Morphology
from galaxy_tasks.simulation.galaxies import Galaxy


def make_galaxy(**changes: object) -> Galaxy:
    """Return a clean, isolated elliptical galaxy with the given changes."""
    galaxy = Galaxy(
        kind="smooth",
        morphology=Morphology.IN_BETWEEN_SMOOTH,
        position_angle=30.0,
        axis_ratio=0.5,
        half_light_px=20.0,
        sersic_index=1.0,
        brightness=1.0,
        redness=0.0,
        bulge_fraction=0.1,
        arms=2,
        arm_strength=0.0,
        pitch_degrees=20.0,
        winds=1,
        clumpiness=0.0,
        bar_strength=0.0,
        ring_strength=0.0,
        dust=0.0,
        radius_arcsec=10.0,
        seeing_arcsec=1.3,
        artifact="none",
    )
    return replace(galaxy, **changes)
