"""The settings of image preparation; importable without OpenCV."""

from dataclasses import dataclass, fields
from typing import Literal

from galaxy_tasks.config import RunConfig


@dataclass(frozen=True)
class ImageSettings:
    """The settings that determine what an image is prepared to; RunConfig describes each."""

    image_size_px: int
    crop_fraction: float
    denoise_method: Literal["none", "gaussian", "median", "bilateral", "non_local_means"]
    gaussian_sigma_px: float
    median_size_px: int
    bilateral_sigma_grey: float
    non_local_means_strength_grey: float
    opencv_device: Literal["cpu", "opencl"]
    max_source_side_px: int

    @classmethod
    def from_config(cls, config: RunConfig) -> "ImageSettings":
        """Return the part of a run's settings that concerns images."""
        return cls(**{field.name: getattr(config, field.name) for field in fields(cls)})
