"""Weights that Keras publishes, trained on ImageNet, fetched once into Keras' cache folder."""

import os
from pathlib import Path

from galaxy_tasks.acquisition.download import Download, DownloadSettings, fetch_file
from galaxy_tasks.config import Architecture
from galaxy_tasks.errors import ResourceError

_URL = "https://storage.googleapis.com/tensorflow/keras-applications"

_DEFAULTS = DownloadSettings()

_MD5 = {
    "resnet50": "4d473c1dd8becc155b73f8504c6f6626",
    "resnet101": "88cf7a10940856eca736dc7b7e228a21",
    "resnet152": "ee4c566cf9a93f14d82f913c2dc6dd0c",
    "densenet121": "30ee3e1110167f948a6b9946edeeb738",
    "densenet169": "b8c4d4c20dd625c148057b9ff1c1176b",
    "densenet201": "c13680b51ded0fb44dff2d8f86ac8bb1",
}
"""MD5 of each published file, which holds a network without its last layer (keras.applications)."""


def fetch_imagenet_weights(
    architecture: Architecture, *, settings: DownloadSettings = _DEFAULTS
) -> Path:
    """Return the file of ImageNet weights, downloaded to Keras' cache folder if it is missing.

    `config.IMAGENET_ARCHITECTURES` lists the architectures that have such weights.

    Raises:
        InputError: the file in the cache folder is not the published one.
        ResourceError: the download failed.
    """
    name = f"{architecture}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    folder = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models"
    address = f"{_URL}/{architecture.rstrip('0123456789')}/{name}"
    published = Download(name, (address,), md5=_MD5[architecture])
    try:
        return fetch_file(published, folder=folder, settings=settings).path
    except ResourceError as error:
        raise ResourceError(
            f"{error} Without access to that host, place the file at {folder / name} (the folder "
            "follows KERAS_HOME) or choose weights 'none'."
        ) from None
