"""What the tests of networks feed them, and how their warnings are silenced."""

import keras
import numpy as np
import pytest

KERAS_MARKS = [
    # Keras 3.15 on TensorFlow reads its variables in a way that NumPy 2 will stop to accept.
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    ),
    pytest.mark.usefixtures("free_keras_memory"),
]


def draw_batch(*, size_px: int = 64, count: int = 4) -> np.ndarray:
    """Dark noise, as bright as galaxies are."""
    return np.random.default_rng(7).uniform(0, 0.2, (count, size_px, size_px, 3)).astype("float32")


def apply(model: keras.Model, images: np.ndarray, *, training: bool = False) -> np.ndarray:
    """Return the model's output, uncompiled: much sooner than `predict` for a single batch."""
    return keras.ops.convert_to_numpy(model(images, training=training))
