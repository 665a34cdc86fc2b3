"""Test-time augmentation: probabilities averaged over the orientations of an image."""

import numpy as np
from numpy.typing import NDArray


def average_orientations(probabilities: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return the mean over the first `count` orientations, or over all where there are fewer.

    Shape: (orientations, n, classes) to (n, classes).
    """
    return probabilities[:count].mean(axis=0, dtype=np.float64).astype(np.float32)
