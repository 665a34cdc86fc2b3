"""Prepared images of drawn galaxies, for the tests of trainings."""

from pathlib import Path

import numpy as np
import pandas as pd

CLASSES = ["round", "edge_on"]


def draw_images(folder: Path) -> Path:
    """Draw 120 galaxies, round or edge-on at any angle, which a network can tell apart."""
    random = np.random.default_rng(0)
    labels = np.arange(120) % 2
    axis = np.linspace(-1, 1, 32)
    images = np.zeros((120, 32, 32, 3), np.uint8)
    for index, label in enumerate(labels):
        angle = random.uniform(0, np.pi)
        x, y = axis[None, :], axis[:, None]
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        flux = np.exp(-((along / 0.5) ** 2) - (across / (0.1 if label else 0.5)) ** 2)
        noisy = 120 * flux + random.normal(10, 5, (32, 32))
        images[index] = np.clip(noisy, 0, 255)[:, :, None]
    np.save(folder / "images.npy", images)
    pd.DataFrame(
        {
            "galaxy_id": [f"g{index}" for index in range(120)],
            "label_index": labels,
            "split": ["train"] * 64 + ["validation"] * 28 + ["test"] * 28,
        }
    ).to_parquet(folder / "manifest.parquet")
    return folder
