"""All pairs of networks compared on macro-F1, as one family: intervals, p values, power.

The intervals hold together: with probability 1 - alpha all of them contain the true differences
(balanced simultaneous intervals, Beran 1988, doi:10.1080/01621459.1988.10478649). Two networks are
told apart where their interval leaves out 0. Holm's p values (Holm 1979) stand beside them.

A difference varies with the galaxies, which are the same for both networks, and with the seeds,
which are not. The seeds' variance is pooled over the networks, as in an analysis of variance: two
degrees of freedom from three seeds would leave intervals too wide to show anything. Where the
networks' variances differ by a factor of ten, the intervals still hold together in 94 to 98 % of
simulated tests (`benchmarks/coverage.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from statsmodels.stats.multitest import multipletests

from galaxy_tasks.evaluation.metrics import Estimate
from galaxy_tasks.evaluation.repeats import MacroF1Draws

POWER = 0.8
TARGET = 0.02
"""The difference whose detection is planned."""
_MOST_SEEDS = 50


@dataclass(frozen=True)
class Plan:
    """A test that would show a difference of TARGET with probability POWER."""

    num_galaxies: int
    num_seeds: int | None
    """Trainings of each network; None where they were not repeated, so that nothing is known."""


@dataclass(frozen=True)
class NetworkComparison:
    """Two networks: `difference` is macro_f1 of the first minus the second."""

    first: str
    second: str
    difference: Estimate
    """With the simultaneous interval."""
    p_value: float
    """Two-sided, of this pair alone."""
    p_holm: float
    """Adjusted for the number of pairs."""
    is_distinguishable: bool
    """Whether the interval leaves out 0."""
    detectable: float
    """The difference that this test would have shown with probability POWER."""
    plan: Plan | None
    """None where with up to 50 seeds no number of galaxies would do that one may have."""


@dataclass(frozen=True)
class Deficit:
    """How far a network is behind the best in macro_f1."""

    architecture: str
    value: float
    bound: float
    """All networks' deficits are smaller with probability 1 - alpha (one-sided, Bonferroni)."""


@dataclass(frozen=True)
class _Pair:
    difference: float
    galaxies: NDArray[np.float64]
    """(samples,) deviations that galaxies cause."""
    draws: NDArray[np.float64]
    """(samples,) deviations that galaxies and seeds cause."""
    num_seeds: tuple[int, int]


class Comparer:
    """Compares networks by what is known of their macro-F1."""

    def __init__(
        self,
        names: Sequence[str],
        draws: MacroF1Draws,
        *,
        num_galaxies: int,
        alpha: float,
        seed: int,
    ) -> None:
        """Draw the luck of the seeds; `names` are the networks', in the order of the draws."""
        self._names, self._draws = list(names), draws
        self._num_galaxies, self._alpha = num_galaxies, alpha
        free = draws.num_seeds - 1
        self._df = int(free.sum())
        weighted = np.where(free > 0, free * np.nan_to_num(draws.seed_variances), 0.0)
        self._seed_variance = float(weighted.sum() / self._df) if self._df else 0.0
        self._seeds = self._draw_seeds(np.random.default_rng(seed))

    def compare_all(self, ranked: Sequence[str]) -> tuple[NetworkComparison, ...]:
        """Return every pair of networks, the better one first, in the order of their ranks."""
        names = list(combinations(ranked, 2))
        if not names:
            return ()
        pairs = [self._pair(first, second) for first, second in names]
        deviations = np.abs(np.stack([pair.draws for pair in pairs], axis=1))
        level = _find_level(deviations, self._alpha)
        widths = np.quantile(deviations, level, axis=0)
        p_values = [_p_value(pair) for pair in pairs]
        adjusted = np.asarray(multipletests(p_values, alpha=self._alpha, method="holm")[1])
        return tuple(
            NetworkComparison(
                *names[index],
                difference=Estimate(
                    pair.difference, pair.difference - width, pair.difference + width
                ),
                p_value=p_values[index],
                p_holm=float(adjusted[index]),
                is_distinguishable=bool(abs(pair.difference) > width),
                detectable=float(width + np.quantile(pair.draws, POWER)),
                plan=self._plan(pair, alpha=1 - level),
            )
            for index, (pair, width) in enumerate(zip(pairs, widths.tolist(), strict=True))
        )

    def bound_deficits(self, ranked: Sequence[str]) -> tuple[Deficit, ...]:
        """Return for all but the first of the ranked networks how far it is behind the first."""
        best, *others = ranked
        level = 1 - self._alpha / max(len(others), 1)
        pairs = {other: self._pair(best, other) for other in others}
        return tuple(
            Deficit(
                other,
                pair.difference,
                pair.difference + float(np.quantile(pair.draws, level)),
            )
            for other, pair in pairs.items()
        )

    def _draw_seeds(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Return (samples, networks) deviations: Student's t with one estimate of the variance."""
        shape = self._draws.galaxies.shape
        if not self._df:
            return np.zeros(shape)
        scale = np.sqrt(self._df / random.chisquare(self._df, size=(shape[0], 1)))
        return (
            random.normal(size=shape) * scale * np.sqrt(self._seed_variance / self._draws.num_seeds)
        )

    def _pair(self, first: str, second: str) -> _Pair:
        one, two = self._names.index(first), self._names.index(second)
        galaxies = self._draws.galaxies[:, one] - self._draws.galaxies[:, two]
        counts = self._draws.num_seeds
        return _Pair(
            float(self._draws.values[one] - self._draws.values[two]),
            galaxies,
            galaxies + self._seeds[:, one] - self._seeds[:, two],
            (int(counts[one]), int(counts[two])),
        )

    def _plan(self, pair: _Pair, *, alpha: float) -> Plan | None:
        """Return the smallest test of this run's seeds; else of the fewest seeds that can do.

        With so many more seeds that theirs is at most half of the variance which is allowed, the
        galaxies are a number that one may have.
        """
        per_galaxy = float(pair.galaxies.var()) * self._num_galaxies
        if not self._df:
            allowed = _allow(alpha, None)
            return Plan(ceil(per_galaxy / allowed), None)
        own = min(pair.num_seeds)
        for num_seeds in (own, *range(max(own + 1, 2), _MOST_SEEDS + 1)):
            if num_seeds < 2:
                continue
            allowed = _allow(alpha, len(self._names) * (num_seeds - 1))
            of_seeds = 2 * self._seed_variance / num_seeds
            if of_seeds < allowed * (1.0 if num_seeds == own else 0.5):
                return Plan(ceil(per_galaxy / (allowed - of_seeds)), num_seeds)
        return None


def _allow(alpha: float, df: int | None) -> float:
    """Return the variance of a difference at which a test of TARGET has its power."""
    quantiles = (1 - alpha / 2, POWER)
    return float((TARGET / sum(stdtrit(df or np.inf, quantiles))) ** 2)


def _find_level(deviations: NDArray[np.float64], alpha: float) -> float:
    """Return the level of each interval at which all hold together with probability 1 - alpha.

    It stays below 1: few samples cannot tell how wide an interval that always holds would be.
    """
    count = len(deviations)
    ranks = deviations.argsort(axis=0).argsort(axis=0)
    level = (float(np.quantile(ranks.max(axis=1), 1 - alpha)) + 1) / count
    return min(level, 1 - 1 / count)


def _p_value(pair: _Pair) -> float:
    """Return the two-sided p value; the observed sample counts as one of the drawn, so p > 0."""
    beyond = np.count_nonzero(np.abs(pair.draws) >= abs(pair.difference))
    return float((beyond + 1) / (len(pair.draws) + 1))
