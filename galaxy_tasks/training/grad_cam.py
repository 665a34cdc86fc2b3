"""Where in a cutout a network's decision comes from: Grad-CAM, Selvaraju et al. 2017.

"Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization"
(arXiv:1610.02391), equations 1 and 2: the feature maps of a layer, each weighted by the mean
gradient of the class's logit on it, added up, without what is negative.

Deviation: the paper takes the last convolutional layer, whose maps have 7 × 7 cells at 224 px. From
smaller cutouts ResNets and DenseNets leave maps of 2 × 2 or 3 × 3 cells, which show no place.
Taken is the last layer with maps of at least 4 × 4.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from galaxy_tasks.training.device import differentiate

_LEAST_MAP_PX = 4


def draw_heat_maps(
    model: keras.Model, images: NDArray[np.uint8], classes: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return how much each place of a cutout speaks for a class, (n, size, size) uint8.

    255 is where the cutout speaks most for it; a map of zeros says that no place does.

    Args:
        model: as `build_classifier` makes it.
        images: (n, size, size, 3) uint8.
        classes: (n,) the class of each image that is asked about.
    """
    network: Any = model.layers[-1]
    layer: Any = _find_layer(network)
    trunk = keras.Model(network.inputs, layer.output)
    head = keras.Model(layer.output, network.outputs[0])
    # One by one: a training that is finished must not end for lack of memory.
    heat = np.concatenate(
        [
            _weigh_maps(trunk, head, images[row : row + 1], classes[row : row + 1])
            for row in range(len(images))
        ]
    )
    most = heat.max(axis=(1, 2), keepdims=True)
    return np.rint(255 * heat / np.where(most > 0, most, 1)).astype(np.uint8)


def _weigh_maps(
    trunk: keras.Model, head: keras.Model, images: NDArray[np.uint8], classes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return what the paper's equation 2 gives, in the size of the images: (n, size, size)."""
    scaled: Any = ops.cast(images, "float32")
    maps: Any = trunk(scaled / 255, training=False)
    chosen = ops.one_hot(classes, head.output_shape[-1], dtype="float32")
    gradient = differentiate(lambda values: ops.sum(head(values, training=False) * chosen), maps)
    weights = ops.mean(gradient, axis=(1, 2), keepdims=True)
    heat = ops.relu(ops.sum(ops.cast(weights * maps, "float32"), axis=-1, keepdims=True))
    resized: Any = ops.image.resize(heat, images.shape[1:3], data_format="channels_last")
    return np.asarray(ops.convert_to_numpy(resized[..., 0]))


def _find_layer(network: Any) -> Any:
    """Return the last convolution or activation with maps of at least `_LEAST_MAP_PX`."""
    kinds = (layers.Conv2D, layers.Activation, layers.ReLU)
    found: list[Any] = [layer for layer in network.layers if isinstance(layer, kinds)]
    maps = [layer for layer in found if len(layer.output.shape) == 4]
    return [layer for layer in maps if layer.output.shape[1] >= _LEAST_MAP_PX][-1]
