"""FITS cutouts, of one band or three, stretched to the 8 bits that networks see.

Brightness is counted from the sky (the median of a band) in units of its noise (1.4826 times the
median absolute deviation), and stretched by asinh(brightness / 3), so that 0 is the sky and 255 the
brightest quarter of a per cent. Of three bands, taken from the shortest wavelength to the longest,
the mean is stretched and the ratios stay, so that colours do (Lupton et al. 2004,
doi:10.1086/382245). Pixels without a value are sky. The first row is the lowest, as FITS has it.
"""

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.images.rejected import RejectedImage

START = b"SIMPLE  ="
_SOFTENING = 3.0
"""In units of the noise: about linear below, logarithmic above."""
_BRIGHTEST_PERCENT = 99.75
_NOISE_OF_DEVIATION = 1.4826
_NUM_BANDS = 3


def read_size(data: bytes) -> tuple[int, int, str]:
    """Return width and height in pixels, and what the file holds, by its headers.

    Raises:
        RejectedImage: it is damaged, or holds no image of one band or three.
    """
    header = _find_image(data)[0]
    bands = header["NAXIS3"] if header["NAXIS"] == _NUM_BANDS else 1
    colours = f"FITS of {bands} band{'s' * (bands > 1)}"
    return int(header["NAXIS1"]), int(header["NAXIS2"]), colours


def read_pixels(data: bytes) -> NDArray[np.uint8]:
    """Return the stretched pixels, blue first: (height, width, 3), the highest row first.

    Raises:
        RejectedImage: it is damaged.
    """
    header, hdu = _find_image(data)
    try:
        with warnings.catch_warnings(action="ignore"):
            values = np.asarray(hdu.data, dtype=np.float64)
    except Exception as error:  # of many types, as the header makes astropy raise them
        raise RejectedImage("undecodable", f"the content is damaged: {error}") from None
    bands = values.reshape(-1, header["NAXIS2"], header["NAXIS1"])
    return stretch(np.broadcast_to(bands, (_NUM_BANDS, *bands.shape[1:])))


def stretch(bands: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return (height, width, 3) grey levels of three bands (3, height, width), in their order."""
    bright = np.stack([_count_from_sky(band) for band in bands])
    mean = np.maximum(bright, 0).mean(axis=0)
    peak = max(float(np.percentile(mean, _BRIGHTEST_PERCENT)), _SOFTENING)
    stretched = np.arcsinh(mean / _SOFTENING) / np.arcsinh(peak / _SOFTENING)
    scale = np.divide(stretched, mean, out=np.zeros_like(mean), where=mean > 0)
    grey = np.clip(bright * scale, 0, 1) * 255
    return np.ascontiguousarray(np.rint(grey).astype(np.uint8).transpose(1, 2, 0)[::-1])


def _count_from_sky(band: NDArray[np.floating]) -> NDArray[np.float64]:
    is_known = np.isfinite(band)
    if not is_known.any():
        return np.zeros(band.shape)
    sky = np.median(band[is_known])
    noise = _NOISE_OF_DEVIATION * np.median(np.abs(band[is_known] - sky)) or np.std(band[is_known])
    return np.where(is_known, (band - sky) / (noise or 1.0), 0.0)


def _find_image(data: bytes) -> tuple[Any, Any]:
    """Return the header and the HDU of the first image in a file."""
    from astropy.io import fits

    try:
        with warnings.catch_warnings(action="ignore"):  # of what astropy mends
            opened: Any = fits.open(io.BytesIO(data), memmap=False, lazy_load_hdus=True)
            found = next((hdu for hdu in opened if hdu.is_image and hdu.header["NAXIS"]), None)
    except Exception as error:
        raise RejectedImage("undecodable", f"FITS that cannot be read: {error}") from None
    if found is None:
        raise RejectedImage("not_an_image", "FITS without an image")
    axes = [int(found.header[f"NAXIS{axis + 1}"]) for axis in range(found.header["NAXIS"])]
    if not (len(axes) == 2 or (len(axes) == 3 and axes[2] in (1, _NUM_BANDS))) or min(axes) < 1:
        shape = " × ".join(map(str, axes))
        raise RejectedImage("unsupported", f"FITS of {shape}: one band or three are read")
    return found.header, found
