"""A trained network as other programs run it: from uint8 cutouts to logits and features.

Input "cutouts": (batch, size, size, 3) uint8 RGB, as `images.prepare` makes them; normalisation is
inside. Outputs: "logits" (batch, classes) and "features", what the last layer sees, (batch, number
of features), both float32. Orientations are averaged, and probabilities calibrated, outside.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galaxy_tasks.errors import InputError

if TYPE_CHECKING:
    import keras

OPSET = 18
"""Version of ONNX's operators, which every runtime of the last years knows."""


def build_served(model: "keras.Model") -> "keras.Model":
    """Return the trained classifier without its augmentation, from cutouts to logits and features.

    The weights are shared, not copied.
    """
    import keras

    trained: Any = model
    network = trained.get_layer(trained.name)
    inner = keras.Model(network.input, [network.output, network.get_layer("logits").input])
    cutouts = keras.Input(trained.input.shape[1:], dtype="uint8", name="cutouts")
    logits, features = inner(trained.get_layer("scale")(cutouts), training=False)
    features = keras.layers.Activation("linear", dtype="float32", name="features")(features)
    return keras.Model(cutouts, {"logits": logits, "features": features}, name=trained.name)


def write_onnx(served: "keras.Model", path: Path) -> None:
    """Write a served network as ONNX, of a batch of any size.

    Raises:
        InputError: Keras does not run on TensorFlow, from whose graphs ONNX is written.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            "ONNX is written from TensorFlow's graphs. Set KERAS_BACKEND to tensorflow. "
            f"Received: {keras.backend.backend()}"
        )
    network: Any = served
    network(np.zeros((1, *network.input.shape[1:]), np.uint8))  # Keras exports what has been called
    with warnings.catch_warnings(action="ignore"):  # tf2onnx speaks of a NumPy that is to come
        network.export(path, format="onnx", opset_version=OPSET, verbose=False)
