"""The eight orientations of a square image: quarter turns, and their mirror images."""

import numpy as np
from numpy.typing import NDArray


def turn_images(images: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return images (batch, size, size, 3) in one of eight orientations: turned, mirrored.

    The first, 0, is the image as it is, and the first four are its quarter turns.
    """
    is_mirrored, quarter_turns = divmod(orientation, 4)
    return np.rot90(images[:, :, ::-1] if is_mirrored else images, quarter_turns, axes=(1, 2))
