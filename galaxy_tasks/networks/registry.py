"""The networks, each in the words of its paper; `build_model` makes any of them.

Common to all:
- Input "images": RGB in [0, 1], float, shape (batch, size, size, 3). Normalisation is the first
  layer. Output: logits, float32 under every dtype policy, shape (batch, classes).
- Random weights are drawn from the seed alone, as by He et al. 2015 (arXiv:1502.01852), which the
  ResNet and DenseNet papers prescribe; those of the last layer from N(0, 0.01), as for AlexNet
  (Krizhevsky et al. 2012, section 5), so that the first loss is about ln(classes).
- Batch normalisation forgets at 0.9 a step, as in the papers' implementations. Keras' 0.99 is made
  for ImageNet's many steps; an epoch of a few thousand galaxies has some fifty.

Only Keras 3 is spoken here, so that the networks run on each of its backends.
"""

from pathlib import Path
from typing import Any, Literal

import keras

from galaxy_tasks.config import ARCHITECTURES, Architecture
from galaxy_tasks.errors import InputError
from galaxy_tasks.networks import alexnet, densenet, resnet

MINIMUM_SIZE_PX = 32
"""Smallest side that every network here can take."""

_NORM_MOMENTUM = 0.9
_LAST_DEVIATION = 0.01

# Over the pixels of 2,253 cutouts of the Galaxy Zoo challenge (central half, 80 px): 0.088, 0.126.
_GALAXY_MEAN = 0.09
_GALAXY_DEVIATION = 0.125


def build_model(
    architecture: Architecture,
    *,
    image_size_px: int,
    num_classes: int,
    weights: Literal["none", "imagenet"] = "none",
    weights_file: Path | None = None,
    seed: int,
) -> keras.Model:
    """Return an uncompiled model from images (batch, size, size, 3) in [0, 1] to logits.

    The weights depend on the arguments only. With `weights="imagenet"` they come from
    `weights_file`, as Keras publishes it without the last layer, whose weights the seed draws.
    Without a file, as before weights are restored, only the normalisation is that of ImageNet.

    Raises:
        InputError: unknown architecture, a size below 32 px, or fewer than two classes.
    """
    _check(architecture, image_size_px, num_classes, weights)
    is_pretrained = weights == "imagenet"
    images: Any = keras.Input((image_size_px, image_size_px, 3), name="images")
    if architecture == "alexnet":
        features = alexnet.apply_alexnet(_standardise(images), seed=seed)
    else:
        is_resnet = architecture.startswith("resnet")
        family = resnet if is_resnet else densenet
        normalise = family.normalise_for_imagenet if is_pretrained else _standardise
        apply = resnet.apply_resnet if is_resnet else densenet.apply_densenet
        features = apply(normalise(images), architecture=architecture, weights_file=weights_file)
    logits = keras.layers.Dense(num_classes, dtype="float32", name="logits")(features)
    model = keras.Model(images, logits, name=architecture)
    _initialise(model, seed=seed, is_pretrained=weights_file is not None)
    return model


def _check(architecture: str, image_size_px: int, num_classes: int, weights: str) -> None:
    if architecture not in ARCHITECTURES:
        raise InputError(
            f"Unknown architecture. Expected one of: {', '.join(ARCHITECTURES)}. "
            f"Received: {architecture!r}"
        )
    if image_size_px < MINIMUM_SIZE_PX:
        raise InputError(
            f"image_size_px must be at least {MINIMUM_SIZE_PX}. Received: {image_size_px}"
        )
    if num_classes < 2:
        raise InputError(f"A classifier needs at least two classes. Received: {num_classes}")
    if weights not in ("none", "imagenet"):
        raise InputError(f"weights must be 'none' or 'imagenet'. Received: {weights!r}")


def _standardise(images: keras.KerasTensor) -> keras.KerasTensor:
    """Map typical galaxy pixels to mean 0 and deviation 1, as He initialisation assumes."""
    return keras.layers.Rescaling(
        1 / _GALAXY_DEVIATION, -_GALAXY_MEAN / _GALAXY_DEVIATION, dtype="float32", name="normalise"
    )(images)


def _initialise(model: keras.Model, *, seed: int, is_pretrained: bool) -> None:
    """Draw the kernels anew, only the last one where the others are pretrained."""
    seeds = keras.random.SeedGenerator(seed)
    he_normal = keras.initializers.HeNormal(seed=seeds)
    small_normal = keras.initializers.RandomNormal(stddev=_LAST_DEVIATION, seed=seeds)
    for layer in model.layers:
        is_last = layer.name == "logits"
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _NORM_MOMENTUM
        elif isinstance(layer, keras.layers.Conv2D | keras.layers.Dense) and (
            is_last or not is_pretrained
        ):
            kernel: Any = layer.kernel
            kernel.assign((small_normal if is_last else he_normal)(kernel.shape, kernel.dtype))
