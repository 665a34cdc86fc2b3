"""Drawn galaxies as image files, and a Python of its own to read them in."""

import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np

from galaxy_tasks.config import RunConfig
from galaxy_tasks.images import ImageSettings

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data"


def settings_with(**changes) -> ImageSettings:
    return ImageSettings.from_config(RunConfig(**{"denoise_method": "none", **changes}))


def encode(pixels: np.ndarray, name: str = ".jpg", quality: int = 95) -> bytes:
    return cv2.imencode(name, pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def draw_galaxy(
    *, width_px=424, height_px=424, shift_x_px=0.0, shift_y_px=0.0, angle_degrees=0.0, sigma_px=24.0
) -> np.ndarray:
    """An elliptical Gaussian, twice as long as wide, measured from the centre of the image."""
    y, x = np.mgrid[:height_px, :width_px]
    x = x - (width_px - 1) / 2 - shift_x_px
    y = y - (height_px - 1) / 2 - shift_y_px
    turn = np.deg2rad(angle_degrees)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    light = 230 * np.exp(-((along / sigma_px) ** 2 + (2 * across / sigma_px) ** 2) / 2)
    return np.repeat(np.round(light).astype(np.uint8)[..., None], 3, axis=2)


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": "/tmp", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
