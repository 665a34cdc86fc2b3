"""Whatever colours an image file holds become three of 8 bits: the rules of docs/images.md."""

import cv2
import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.images.rejected import RejectedImage

LEAST_BRIGHTEST = 4096
"""A 16-bit image that reaches no such value was not scaled to its range: it would turn black."""


def convert_colours(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return colours of 8 bits, (height, width, 3), in the order in which they came.

    Of 16 bits the upper 8 remain, so that 65535 becomes 255. What is transparent lies on black.
    One band becomes three equal ones.

    Args:
        pixels: (height, width) or (height, width, 3), or with alpha as a fourth band.

    Raises:
        RejectedImage: 'unsupported' for a 16-bit image that uses the lowest 1/16 of its range only.
    """
    if pixels.dtype == np.uint16:
        brightest = int(pixels[..., :3].max() if pixels.ndim == 3 else pixels.max())
        if brightest < LEAST_BRIGHTEST:
            raise RejectedImage(
                "unsupported",
                f"16 bits, of which the brightest pixel has {brightest} of 65535: nearly black. "
                "Scale the values to the whole range, or save 8 bits",
            )
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)  # pyright: ignore[reportReturnType]
    if pixels.shape[2] == 4:
        colour, alpha = pixels[..., :3].astype(np.uint16), pixels[..., 3:].astype(np.uint16)
        return ((colour * alpha + 127) // 255).astype(np.uint8)
    return pixels  # pyright: ignore[reportReturnType]
