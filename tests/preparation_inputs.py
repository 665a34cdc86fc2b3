"""Cutouts of known grey, whole and spoilt, for the tests of their preparation."""

import os
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from galaxy_tasks.config import RunConfig
from galaxy_tasks.images import ImageSettings
from galaxy_tasks.preparation import prepare_cutouts

ROOT = Path(__file__).resolve().parents[1]


SETTINGS = ImageSettings.from_config(RunConfig(image_size_px=32))
FILES = ["images.npy", "manifest.parquet", "rejected.parquet"]


def encode(grey: int, *, width_px: int = 48, height_px: int = 48) -> bytes:
    return cv2.imencode(".jpg", np.full((height_px, width_px, 3), grey, np.uint8))[1].tobytes()


def make_galaxies(folder: Path, count: int) -> pd.DataFrame:
    """Images of grey level `number % 250`, listed in an order that is not that of the ids."""
    folder.mkdir(exist_ok=True)
    numbers = np.random.default_rng(0).permutation(count)
    for number in numbers:
        (folder / f"{number}.jpg").write_bytes(encode(number % 250))
    return list_galaxies(numbers)


def list_galaxies(numbers: np.ndarray) -> pd.DataFrame:
    """A galaxy for each number, with the image of that name, in every split and of two classes."""
    return pd.DataFrame(
        {
            "galaxy_id": [f"58772{number:07d}" for number in numbers],
            "image_name": [f"{number}.jpg" for number in numbers],
            "label": ["spiral" if number % 2 else "edge_on" for number in numbers],
            "label_index": numbers % 2,
            "split": [("train", "validation", "test")[number % 3] for number in numbers],
        }
    )


def prepare(out: Path, galaxies, images_folder: Path, **changes):
    asked = {"settings": SETTINGS, "max_rejected_fraction": 0.0, "workers": 1, **changes}
    out.mkdir(exist_ok=True)
    return prepare_cutouts(out, galaxies=galaxies, images_folder=images_folder, **asked)


def contents(folder: Path) -> dict[str, str]:
    assert sorted(path.name for path in folder.iterdir()) == FILES
    return {name: sha256((folder / name).read_bytes()).hexdigest() for name in FILES}


def spoil(folder: Path) -> dict[int, str]:
    whole = encode(9)
    (folder / "3.jpg").write_bytes(b"")
    (folder / "70.jpg").write_bytes(b"<html>Service Unavailable</html>")
    (folder / "71.jpg").write_bytes(whole[:200])
    (folder / "72.jpg").unlink()
    (folder / "73.jpg").unlink()
    os.mkfifo(folder / "73.jpg")
    (folder / "149.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((48, 48), np.uint8))[1])
    return {
        3: "empty",
        70: "not_an_image",
        71: "truncated",
        72: "missing",
        73: "unreadable",
        149: "wrong_channels",
    }
