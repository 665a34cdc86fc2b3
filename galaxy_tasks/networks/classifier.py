"""A network with its input layers, from uint8 cutouts to logits."""

from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.config import Architecture, RunConfig
from galaxy_tasks.networks.augmentation import RandomOrientation
from galaxy_tasks.networks.orientations import turn_images
from galaxy_tasks.networks.registry import build_model


def build_classifier(
    architecture: Architecture,
    *,
    config: RunConfig,
    num_classes: int,
    weights_file: Path | None = None,
) -> keras.Model:
    """Return the uncompiled model that maps uint8 cutouts to logits.

    Input: (batch, image_size_px, image_size_px, 3) uint8 RGB. Output: (batch, num_classes) float32;
    where votes are learned, `num_classes` is the number of answers.
    Scaling and augmentation are layers of it, so they run compiled and on the device.
    `weights_file` holds the published weights to start from.
    """
    size = config.image_size_px
    images = keras.Input((size, size, 3), dtype="uint8", name="cutouts")
    # Pixels keep full precision until the network's first layer, also in mixed precision.
    scaled = keras.layers.Rescaling(1 / 255, dtype="float32", name="scale")(images)
    oriented = RandomOrientation(
        has_flips=config.has_flips,
        max_rotation_degrees=config.max_rotation_degrees,
        max_shift_fraction=config.max_shift_fraction,
        max_zoom_fraction=config.max_zoom_fraction,
        seed=config.seed,
        dtype="float32",
        name="orient",
    )(scaled)
    network = build_model(
        architecture,
        image_size_px=size,
        num_classes=num_classes,
        weights=config.weights,
        seed=config.seed,
        weights_file=weights_file,
    )
    return keras.Model(images, network(oriented), name=architecture)


def predict_logits(
    model: keras.Model, batches: Iterable[NDArray[np.uint8]], *, orientations: int
) -> NDArray[np.float32]:
    """Return the outputs for each orientation, (orientations, n, outputs) float32.

    `batches` yields (batch, size, size, 3) uint8. The first orientation is the image as it is, the
    first four are its quarter turns, and all eight include their mirror images.
    """
    results = []
    for images in batches:
        logits = [
            model.predict_on_batch(np.ascontiguousarray(turn_images(images, orientation)))
            for orientation in range(orientations)
        ]
        results.append(np.stack([np.asarray(own, np.float32) for own in logits]))
    return np.concatenate(results, axis=1)
