"""Residual networks: He, Zhang, Ren & Sun 2015, "Deep Residual Learning" (arXiv:1512.03385).

ResNet-18 and -34 (Table 1, basic blocks) are written here, ResNet-50, -101 and -152 (bottleneck
blocks) come from `keras.applications`. All have the paper's 7 × 7 stem at every input size.

Shortcuts are projections where the shape changes and identities elsewhere (option B). Strided
convolutions are padded alike on all sides, as in the authors' implementation; padding="same" would
pad on the right and below only.

Deviation: the convolutions of `keras.applications` have biases, which the batch normalisation
behind them makes idle. Without these the parameter counts are the paper's.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

BASIC_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
"""Residual blocks in conv2_x to conv5_x (Table 1)."""

BOTTLENECK_NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "resnet50": keras.applications.ResNet50,
    "resnet101": keras.applications.ResNet101,
    "resnet152": keras.applications.ResNet152,
}

_IMAGENET_MEAN_BGR = (103.939, 116.779, 123.68)


def normalise_for_imagenet(images: keras.KerasTensor) -> keras.KerasTensor:
    """Map RGB in [0, 1] to what the published weights expect: BGR in [0, 255] less its mean."""
    flipped = keras.ops.flip(images, axis=-1)
    offset: Any = [-mean for mean in _IMAGENET_MEAN_BGR]
    return layers.Rescaling(255.0, offset, dtype="float32", name="normalise")(flipped)


def apply_resnet(
    images: keras.KerasTensor, *, architecture: str, weights_file: Path | None = None
) -> keras.KerasTensor:
    """Return the 512 (basic) or 2048 (bottleneck) averaged features of each image.

    `images` has shape (batch, size, size, 3), normalised. `weights_file` is a file in Keras' format
    for a bottleneck network without its last layer.
    """
    if architecture in BASIC_BLOCKS:
        return _apply_basic_resnet(images, BASIC_BLOCKS[architecture])
    return BOTTLENECK_NETWORKS[architecture](
        include_top=False,
        weights=None if weights_file is None else str(weights_file),
        input_tensor=images,
        input_shape=tuple(images.shape[1:]),
        pooling="avg",
    ).outputs[0]


def _apply_basic_resnet(images: keras.KerasTensor, blocks: tuple[int, ...]) -> keras.KerasTensor:
    maps = _apply_convolution(images, 64, 7, stride=2, name="conv1")
    maps = layers.Activation("relu", name="conv1_relu")(maps)
    maps = layers.ZeroPadding2D(1, name="pool1_padding")(maps)  # after ReLU, zero is the minimum
    maps = layers.MaxPooling2D(3, 2, name="pool1")(maps)
    for stage, count in enumerate(blocks, start=2):
        for block in range(count):
            maps = _apply_basic_block(
                maps,
                filters=32 * 2 ** (stage - 1),
                stride=2 if block == 0 and stage > 2 else 1,
                name=f"conv{stage}_{block + 1}",
            )
    return layers.GlobalAveragePooling2D(name="average_pool")(maps)


def _apply_basic_block(
    maps: keras.KerasTensor, *, filters: int, stride: int, name: str
) -> keras.KerasTensor:
    shortcut = maps
    if stride != 1:
        shortcut = _apply_convolution(maps, filters, 1, stride=stride, name=f"{name}_shortcut")
    maps = _apply_convolution(maps, filters, 3, stride=stride, name=f"{name}_a")
    maps = layers.Activation("relu", name=f"{name}_a_relu")(maps)
    maps = _apply_convolution(maps, filters, 3, stride=1, name=f"{name}_b")
    maps = layers.Add(name=f"{name}_add")([maps, shortcut])
    return layers.Activation("relu", name=f"{name}_relu")(maps)


def _apply_convolution(
    maps: keras.KerasTensor, filters: int, kernel_px: int, *, stride: int, name: str
) -> keras.KerasTensor:
    """Convolution and batch normalisation, padded so that stride 1 keeps the size."""
    padding = "same"
    if stride != 1 and kernel_px > 1:
        maps = layers.ZeroPadding2D(kernel_px // 2, name=f"{name}_padding")(maps)
        padding = "valid"
    maps = layers.Conv2D(filters, kernel_px, stride, padding, use_bias=False, name=name)(maps)
    return layers.BatchNormalization(epsilon=1e-5, name=f"{name}_norm")(maps)
