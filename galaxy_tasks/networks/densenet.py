"""Densely connected networks: Huang, Liu, van der Maaten & Weinberger 2016 (arXiv:1608.06993).

DenseNet-BC with growth rate 32 and compression 0.5 (Table 1) for ImageNet, from
`keras.applications`, with the paper's 7 × 7 stem at every input size. No deviations.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "densenet121": keras.applications.DenseNet121,
    "densenet169": keras.applications.DenseNet169,
    "densenet201": keras.applications.DenseNet201,
}

_IMAGENET_MEAN_RGB = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION_RGB = (0.229, 0.224, 0.225)


def normalise_for_imagenet(images: keras.KerasTensor) -> keras.KerasTensor:
    """Map RGB in [0, 1] to what the published weights expect: ImageNet's mean 0, deviation 1."""
    scale = [1 / deviation for deviation in _IMAGENET_DEVIATION_RGB]
    offset: Any = [-mean * factor for mean, factor in zip(_IMAGENET_MEAN_RGB, scale, strict=True)]
    return layers.Rescaling(scale, offset, dtype="float32", name="normalise")(images)


def apply_densenet(
    images: keras.KerasTensor, *, architecture: str, weights_file: Path | None = None
) -> keras.KerasTensor:
    """Return the 1024, 1664 or 1920 averaged features of each image.

    `images` has shape (batch, size, size, 3), normalised. `weights_file` is a file in Keras' format
    for a network without its last layer.
    """
    return NETWORKS[architecture](
        include_top=False,
        weights=None if weights_file is None else str(weights_file),
        input_tensor=images,
        input_shape=tuple(images.shape[1:]),
        pooling="avg",
    ).outputs[0]
