"""Releases that have galaxies in common which nothing in their tables tells."""

from collections.abc import Iterable, Sequence
from itertools import product

from galaxy_tasks.releases import RELEASES


def find_hidden_overlaps(first: Iterable[str], second: Iterable[str]) -> list[tuple[str, str]]:
    """Return which releases of two runs hide that they have galaxies of each other.

    Args:
        first: names of the releases of one run.
        second: those of the other.

    Returns:
        Pairs, each once: the release without positions, and that which has its galaxies, too.
    """
    pairs = [pair for one, other in product(first, second) for pair in ((one, other), (other, one))]
    return [
        (hiding, other)
        for hiding, other in dict.fromkeys(pairs)
        if other in RELEASES[hiding].same_galaxies_as
    ]


def explain_overlaps(pairs: Sequence[tuple[str, str]]) -> str:
    """Return why galaxies of these releases may be the same; '' without any pair."""
    return "; ".join(
        f"{hiding} has galaxies of {other} under ids of its own and without positions, so that "
        "nothing but byte-identical images could tell which"
        for hiding, other in pairs
    )
