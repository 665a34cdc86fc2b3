"""TIFF and WebP, which Pillow reads: it tells kinds apart, and notices damage, as OpenCV does not.

A TIFF's orientation is applied, as it says in which order the rows are.
"""

import io
import struct
import warnings
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from galaxy_tasks.images.rejected import RejectedImage

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Of TIFF and BigTIFF; a WebP begins with RIFF, its size and WEBP."""
_COLOURS = {
    **{"1": "greyscale", "L": "greyscale", "LA": "greyscale + alpha"},
    **{"P": "palette", "PA": "palette + alpha", "RGB": "colour", "RGBA": "colour + alpha"},
    **{"I;16": "greyscale", "I;16L": "greyscale", "I;16B": "greyscale", "I;16N": "greyscale"},
}
"""By Pillow's mode; others, such as CMYK or floating-point numbers, are refused."""
_BITS_TAG, _PHOTOMETRIC_TAG = 258, 262
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, OverflowError),
    *(TypeError, KeyError, IndexError, struct.error, ZeroDivisionError),
)
"""What Pillow's decoders raise about content."""

Image.MAX_IMAGE_PIXELS = None  # max_source_side_px is the limit


def is_webp(data: bytes) -> bool:
    """Return whether a file begins as a WebP does."""
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP"


def open_file(data: bytes) -> tuple[Any, str]:
    """Return the opened image, of which only headers are read, and its colours.

    Raises:
        RejectedImage: its header is damaged, or it is of a kind that cannot be converted.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # what is wrong is said once, in the error
            image: Any = Image.open(io.BytesIO(data), formats=("TIFF", "WEBP"))
            pages = getattr(image, "n_frames", 1)
            bits = image.tag_v2.get(_BITS_TAG, (1,))[0] if image.format == "TIFF" else 8
    except UnidentifiedImageError:
        kind = "WebP" if is_webp(data) else "TIFF"
        raise RejectedImage(
            "unsupported", f"{kind} that is damaged or of an unusual kind: save 8 bits of RGB"
        ) from None
    except _DAMAGE as error:
        raise RejectedImage("undecodable", f"broken header: {error}") from None
    colours = _COLOURS.get(image.mode)
    if pages > 1:
        raise RejectedImage("unsupported", f"{image.format} with {pages} pictures, not one")
    if colours is None:
        raise RejectedImage(
            "unsupported", f"{image.format} with {image.mode} of {bits} bits: save 8 bits of RGB"
        )
    return image, f"{bits}-bit {colours}"


def read_pixels(data: bytes) -> np.ndarray:
    """Return the pixels as OpenCV has them: blue first, (height, width) or with 3 or 4 bands.

    Raises:
        RejectedImage: it is damaged.
    """
    image, colours = open_file(data)
    try:
        if image.mode.startswith("I;16"):
            pixels = np.asarray(image).astype(np.uint16)
            # Pillow turns negatives of 8 bits only.
            return 65535 - pixels if image.tag_v2.get(_PHOTOMETRIC_TAG) == 0 else pixels
        mode = "RGBA" if "alpha" in colours else "RGB"
        with warnings.catch_warnings(action="ignore"):
            pixels = np.asarray(image.convert(mode))
    except _DAMAGE as error:
        raise RejectedImage("undecodable", f"the content is damaged: {error}") from None
    pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    # Of three bands of 16 bits, Pillow has kept the upper 8.
    return pixels.astype(np.uint16) << 8 if colours.startswith("16-bit") else pixels
