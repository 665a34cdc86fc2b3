"""Keras takes smaller batches where a device's memory is too small."""

import numpy as np
import pytest
from fixtures.answer_inputs import as_it_is
from fixtures.model_inputs import KERAS_MARKS

from galaxy_tasks.errors import ResourceError
from galaxy_tasks.prediction.keras_network import open_keras
from galaxy_tasks.prediction.predictor import Predictor

pytestmark = KERAS_MARKS


def make_greedy(most: int, *, is_served: bool):
    import keras

    class Greedy(keras.layers.Layer):
        def call(self, images):
            if (images.shape[0] or 0) > most:
                raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
            return images

    inputs = keras.Input((4, 4, 3), dtype="uint8")
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(Greedy()(inputs)))
    return keras.Model(inputs, {"logits": outputs, "features": outputs} if is_served else outputs)


def list_warnings(caplog) -> list[str]:
    """Return this package's; TensorFlow has its own about programs compiled anew."""
    return [r.message for r in caplog.records if r.name.startswith("galaxy_tasks")]


def test_memory_that_runs_out_halves_the_batch_for_good(caplog):
    predictor = Predictor(make_greedy(3, is_served=False), as_it_is(2), 4, batch_size=12)
    images = np.zeros((7, 4, 4, 3), np.uint8)
    assert predictor.predict(images).decisive.shape == (7, 2)
    assert predictor.predict(images).calibrated.shape == (7, 2)
    assert list_warnings(caplog) == [
        "Out of memory with batches of 12: continuing with 6.",
        "Out of memory with batches of 6: continuing with 3.",
    ]


def test_so_it_does_for_a_served_network(caplog):
    images = np.zeros((7, 4, 4, 3), np.uint8)
    run = open_keras(make_greedy(2, is_served=True))
    logits, features = run(images)
    assert logits.shape == features.shape == (7, 2)
    assert list_warnings(caplog) == [
        "Out of memory with batches of 7: continuing with 3.",
        "Out of memory with batches of 3: continuing with 1.",
    ]
    with pytest.raises(ResourceError, match="too little memory for a batch of one"):
        open_keras(make_greedy(0, is_served=True))(images)
