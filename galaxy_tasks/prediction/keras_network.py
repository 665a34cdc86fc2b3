"""Keras as the program that runs a network, on a GPU or where nothing else may."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.prediction.engines import Outputs, RunNetwork
from galaxy_tasks.training.device import halve_batch

if TYPE_CHECKING:
    import keras


def open_keras(served: "keras.Model") -> RunNetwork:
    """Return what runs a network of `export.build_served`.

    Where the device's memory is too small for a batch it is halved, for all that follows; the
    function raises ResourceError if one image is still too much.
    """
    size = 1 << 30

    def run(images: NDArray[np.uint8]) -> Outputs:
        nonlocal size
        size = min(size, len(images))
        while True:
            try:
                parts = [
                    served.predict_on_batch(images[first : first + size])
                    for first in range(0, len(images), size)
                ]
            except Exception as error:
                size = halve_batch(size, error)
            else:
                return _join(parts, "logits"), _join(parts, "features")

    return run


def _join(parts: list[dict[str, Any]], name: str) -> NDArray[np.float32]:
    return np.concatenate([np.asarray(part[name], dtype=np.float32) for part in parts])
