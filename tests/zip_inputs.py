"""Images in a folder and in a zip, and their preparation."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from galaxy_tasks.config import RunConfig
from galaxy_tasks.images import ImageSettings
from galaxy_tasks.preparation import prepare_cutouts

SETTINGS = ImageSettings.from_config(RunConfig(image_size_px=32))


def encode(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (48, 48, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def make_folder(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(encode(number))
    return folder


def pack(folder: Path, archive: Path, *, inside: str = "images/", method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(archive, "w", method) as opened:
        for path in sorted(folder.iterdir()):
            opened.write(path, inside + path.name)
    return archive


def prepare(out: Path, images: Path, galaxies: pd.DataFrame, **changes):
    asked = {"settings": SETTINGS, "max_rejected_fraction": 0.0, "workers": 1, **changes}
    out.mkdir()
    return prepare_cutouts(out, galaxies=galaxies, images_folder=images, **asked)
