"""Releases of one line of galaxies each, for the tests of several releases in one run."""

from pathlib import Path

import numpy as np
import pandas as pd

ARCSEC = 1 / 3600
NUMBER = 400
DEC = 1 / 60 - ARCSEC
"""An arcsecond below the border between two cells of the sky."""


def write_release(folder: Path, rows: pd.DataFrame) -> Path:
    """Write a table of classes with an image a row; column image, where there is one, is it."""
    (folder / "images").mkdir(parents=True)
    for row in rows.itertuples():
        content = getattr(row, "image", f"{folder.name} {row.id}".encode())
        (folder / "images" / f"{row.id}.jpg").write_bytes(content)
    rows.drop(columns="image", errors="ignore").to_csv(folder / "table.csv", index=False)
    return folder


def draw_galaxies(first_id: int, *, ra_shift_degrees: float = 0.0) -> pd.DataFrame:
    """Galaxies of two classes along the equator, a tenth of a degree apart."""
    numbers = np.arange(NUMBER)
    return pd.DataFrame(
        {
            "id": [f"{first_id + number}" for number in numbers],
            "ra": 10 + numbers * 0.1 + ra_shift_degrees,
            "dec": DEC,
            "class": np.where(numbers % 2, "spiral", "edge_on"),
        }
    )
