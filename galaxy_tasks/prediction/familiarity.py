"""Does an image look unlike what a model has learned from?

The network's last features of the training galaxies are described by a normal distribution of few
directions and one variance for all others (probabilistic PCA, Tipping & Bishop 1999,
doi:10.1111/1467-9868.00196). An image's distance is Mahalanobis' to it, divided by the distance
that one in a hundred of galaxies of the release exceeds that the model has not learned from. So
above 1 an image is rarer than the release's own: another telescope, an artefact, a star. It says
nothing about whether the class is right.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXCEEDED_BY = 0.01
"""Share of unseen galaxies of the release itself whose distance is above 1."""
_MOST_DIRECTIONS = 64
LEAST_GALAXIES = 20
"""Fewer describe nothing."""


@dataclass(frozen=True)
class Familiarity:
    """What the features of galaxies that a model learned from are like."""

    mean: NDArray[np.float32]
    """(features,)."""
    directions: NDArray[np.float32]
    """(directions, features), orthonormal."""
    variances: NDArray[np.float32]
    """(directions,) along them."""
    rest: float
    """Variance along every other direction."""
    unit: float
    """Distance that is called 1."""

    def measure(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the distance of each image, (n,), from its features (n, features)."""
        centred = np.asarray(features, dtype=np.float64) - self.mean
        along = centred @ self.directions.T.astype(np.float64)
        others = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        squared = (along**2 / self.variances).sum(axis=1) + others / self.rest
        return (np.sqrt(squared) / self.unit).astype(np.float32)

    def write(self, path: Path) -> None:
        """Write it as a NumPy archive."""
        np.savez(path, **asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Familiarity":
        """Return what was written."""
        with np.load(path) as arrays:
            rest, unit = float(arrays["rest"]), float(arrays["unit"])
            return cls(arrays["mean"], arrays["directions"], arrays["variances"], rest, unit)


def describe_features(
    learned: NDArray[np.floating], unseen: NDArray[np.floating]
) -> Familiarity | None:
    """Return what features are like; None from fewer than 20 galaxies on either side.

    Args:
        learned: (galaxies, features) of galaxies that the model learned from.
        unseen: the same of others of their release, which set the unit.
    """
    from sklearn.decomposition import PCA

    if min(len(learned), len(unseen)) < LEAST_GALAXIES:
        return None
    learned = np.asarray(learned, dtype=np.float64)
    count = min(_MOST_DIRECTIONS, len(learned) // 4, learned.shape[1] - 1)
    fitted: Any = PCA(count, svd_solver="randomized", random_state=0).fit(learned)
    smallest = float(np.finfo(np.float32).tiny)
    described = Familiarity(
        mean=fitted.mean_.astype(np.float32),
        directions=fitted.components_.astype(np.float32),
        variances=np.maximum(fitted.explained_variance_, smallest).astype(np.float32),
        rest=max(float(fitted.noise_variance_), smallest),
        unit=1.0,
    )
    unit = float(np.quantile(described.measure(unseen), 1 - EXCEEDED_BY))
    return Familiarity(**{**asdict(described), "unit": max(unit, smallest)})
