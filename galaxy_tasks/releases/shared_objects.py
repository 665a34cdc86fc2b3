"""Releases with galaxies in common that their tables give no way to find."""

from collections.abc import Iterable, Sequence
from itertools import product

from galaxy_tasks.releases import RELEASES


def find_hidden_overlaps(first: Iterable[str], second: Iterable[str]) -> list[tuple[str, str]]:
    """Return the releases of two runs that share galaxies which cannot be crossmatched.

    Args:
        first: names of the releases of one run.
        second: names of the releases of the other.

    Returns:
        Pairs, each once: the release without positions, and the release that shares its galaxies.
    """
    pairs = [pair for one, other in product(first, second) for pair in ((one, other), (other, one))]
    return [
        (hiding, other)
        for hiding, other in dict.fromkeys(pairs)
        if other in RELEASES[hiding].same_galaxies_as
    ]


def explain_overlaps(pairs: Sequence[tuple[str, str]]) -> str:
    """Return why galaxies of these releases may be the same, as a sentence; empty without pairs."""
    return "; ".join(
        f"{hiding} has galaxies of {other} under its own ids and without positions, so only "
        "byte-identical images can show which"
        for hiding, other in pairs
    )
