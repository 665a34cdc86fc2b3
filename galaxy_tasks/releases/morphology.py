"""The morphologies of all releases, in one vocabulary."""

from collections.abc import Iterable
from enum import StrEnum


class Morphology(StrEnum):
    """A morphological class; its value is used in tables, reports and file names."""

    COMPLETELY_ROUND_SMOOTH = "completely_round_smooth"
    IN_BETWEEN_SMOOTH = "in_between_smooth"
    CIGAR_SHAPED_SMOOTH = "cigar_shaped_smooth"
    EDGE_ON = "edge_on"
    SPIRAL = "spiral"
    BARRED_SPIRAL = "barred_spiral"
    FEATURED_WITHOUT_SPIRAL = "featured_without_spiral"
    ELLIPTICAL = "elliptical"
    SPIRAL_CLOCKWISE = "spiral_clockwise"
    SPIRAL_ANTICLOCKWISE = "spiral_anticlockwise"
    MERGER = "merger"


def is_handed(classes: Iterable[str]) -> bool:
    """Return whether a mirror image can change a class, as it does for the sense of spiral arms.

    Such classes have "clockwise" in their name, as in "anticlockwise".
    """
    return any("clockwise" in name.lower() for name in classes)


KINDS: dict[str, str] = {
    Morphology.COMPLETELY_ROUND_SMOOTH: "smooth",
    Morphology.IN_BETWEEN_SMOOTH: "smooth",
    Morphology.CIGAR_SHAPED_SMOOTH: "smooth",
    Morphology.ELLIPTICAL: "smooth",
    Morphology.SPIRAL: "spiral",
    Morphology.BARRED_SPIRAL: "spiral",
    Morphology.SPIRAL_CLOCKWISE: "spiral",
    Morphology.SPIRAL_ANTICLOCKWISE: "spiral",
}
"""Coarser classes: Galaxy Zoo 1 asked for ellipticals where later releases ask whether a galaxy is
smooth, and how elongated it is (Lintott et al. 2008; Willett et al. 2013)."""


def name_kind(name: str) -> str:
    """Return the kind of a class, which releases can be compared by; the class if it has none."""
    return KINDS.get(name, name)
