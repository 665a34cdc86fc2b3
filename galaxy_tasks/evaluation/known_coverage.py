"""How often the intervals held the truth in simulated tests with a class as small as this run's.

Intervals of macro-F1 rest on few galaxies where a class has few. Below 40, the report prints what
was found for the nearest kind of test: 2,000 simulations each, `python -m benchmarks.coverage`.
"""

from dataclasses import dataclass

ENOUGH_GALAXIES = 40
"""Test galaxies of the smallest class from which on no note is needed."""


@dataclass(frozen=True)
class _Found:
    """What was found for one kind of test."""

    smallest: int
    """Test galaxies of the smallest class."""
    num_seeds: int
    scores: float
    """How often a network's interval held its true macro-F1."""
    differences: float
    """How often the intervals of all three differences held together."""


_FOUND = (
    _Found(5, 2, 0.986, 0.981),
    _Found(5, 3, 0.977, 0.982),
    _Found(5, 5, 0.961, 0.986),
    _Found(10, 2, 0.984, 0.972),
    _Found(10, 3, 0.977, 0.979),
    _Found(10, 5, 0.968, 0.979),
    _Found(20, 2, 0.987, 0.979),
    _Found(20, 3, 0.977, 0.977),
    _Found(20, 5, 0.965, 0.975),
)


def describe_coverage(*, smallest: int, num_seeds: int) -> str:
    """Return a sentence on tests of this kind; '' where it needs none.

    Args:
        smallest: test galaxies of the smallest class.
        num_seeds: trainings of each network, the smallest number; with one, intervals make no claim
            over seeds.
    """
    if smallest >= ENOUGH_GALAXIES or num_seeds < 2:
        return ""
    seeds = max(one.num_seeds for one in _FOUND if one.num_seeds <= num_seeds)
    rows = [one for one in _FOUND if one.num_seeds == seeds]
    nearest = min(rows, key=lambda one: abs(one.smallest - smallest))
    return (
        f"The smallest class has {smallest:,} test galaxies. In 2,000 simulated tests with "
        f"{nearest.smallest} in the smallest class and {seeds} seeds, intervals of macro-F1 held "
        f"the truth {nearest.scores:.0%} of the time, and those of all differences together "
        f"{nearest.differences:.0%}."
    )
