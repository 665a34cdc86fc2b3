"""The telescope: seeing, shot and sky noise, the asinh stretch into colours, and the JPEG."""

import math

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.simulation.population import (
    CUTOUT_SIDE_PX,
    DIFFICULTY,
    SKY_PIXEL_ARCSEC,
    Difficulty,
    Galaxy,
    Light,
)

PSF_PARTS = ((0.84, 1.0), (0.145, 2.2), (0.015, 7.0))
"""Share of the light, and width over the seeing's, of the Gaussians that make the SDSS PSF."""
BAND_NOISE = np.array([0.72, 1.0, 1.45], np.float32)
"""Sky noise in g, r, i relative to r, in nanomaggies."""
BAND_SCALE = np.array([1.37, 1.0, 0.86], np.float32)
"""Weight of g, r, i in blue, green, red (the SDSS colour images; Lupton et al. 2004)."""
STRETCH_GREY = 52.0
STRETCH_PER_NANOMAGGY = 3.0
"""grey = STRETCH_GREY × asinh(STRETCH_PER_NANOMAGGY × I) (Lupton et al. 2004)."""
NANOMAGGIES_PER_ELECTRON = 0.0011
SKY_RESIDUAL = np.array([0.006, 0.012, 0.012], np.float32)
"""Sky left in blue, green, red after subtraction, as on real cutouts."""
BAND_SHIFT = 0.2
"""Standard deviation of the shift between bands, in camera pixels along each axis."""
JPEG_QUALITY = 75
JPEG_COMMENT = b"SIMULATED galaxy, drawn by galaxy_tasks.simulation; not an observation"


def photograph(
    light: Light,
    *,
    galaxy: Galaxy,
    random: np.random.Generator,
    difficulty: Difficulty = DIFFICULTY,
) -> NDArray[np.uint8]:
    """Turn light into the cutout that a volunteer sees.

    Args:
        light: (side, side, 3) linear g, r, i in nanomaggies per camera pixel.
        galaxy: gives seeing and artifact.
        random: source of the noise.
        difficulty: gives the sky noise.

    Returns:
        (424, 424, 3) uint8, blue, green, red (OpenCV's order).
    """
    import cv2

    blurred = blur(light, sigma=galaxy.seeing_arcsec / 2.355 / SKY_PIXEL_ARCSEC)
    blurred = _misalign_bands(blurred, random=random)
    sky = (np.float32(difficulty.sky_noise) * BAND_NOISE) ** 2
    variance = sky + np.float32(NANOMAGGIES_PER_ELECTRON) * np.maximum(blurred, 0)
    noise = random.standard_normal(blurred.shape, np.float32)
    colours = (blurred + np.sqrt(variance) * noise) * BAND_SCALE
    colours += SKY_RESIDUAL * np.float32(random.gamma(4.0, 0.25))
    if galaxy.artifact == "edge":
        colours[:, : round(random.uniform(0.3, 0.6) * colours.shape[1])] = 0
    if galaxy.artifact == "blank":
        colours *= np.float32(random.uniform(0.0, 0.05))
    grey = cv2.resize(
        stretch(colours), (CUTOUT_SIDE_PX, CUTOUT_SIDE_PX), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _misalign_bands(light: Light, *, random: np.random.Generator) -> Light:
    """Shift g and i against r by a fraction of a camera pixel, as on the real colour images."""
    import cv2

    side = light.shape[0]
    shifts = np.zeros((3, 2, 3)) + np.eye(2, 3)
    shifts[[0, 2], :, 2] = random.normal(0, BAND_SHIFT, (2, 2))
    return np.dstack(
        [
            cv2.warpAffine(
                light[..., band], shifts[band], (side, side), borderMode=cv2.BORDER_REPLICATE
            )
            for band in range(3)
        ]
    ).astype(np.float32, copy=False)


def blur(light: Light, *, sigma: float) -> Light:
    """Convolve with the point-spread function, whose core has `sigma` camera pixels."""
    import cv2

    blurred = np.zeros_like(light)
    for share, width in PSF_PARTS:
        part = cv2.GaussianBlur(light, (0, 0), sigma * width, borderType=cv2.BORDER_REPLICATE)
        blurred += np.float32(share) * part
    return blurred


def stretch(colours: Light) -> Light:
    """Compress brightness with asinh and keep the hue (Lupton et al. 2004); clipped to 0..255."""
    intensity = STRETCH_PER_NANOMAGGY * colours.mean(axis=2, keepdims=True)
    small = np.abs(intensity) < 1e-3
    gain = np.where(small, 1.0, np.arcsinh(intensity) / np.where(small, 1.0, intensity))
    factor = np.float32(STRETCH_GREY * STRETCH_PER_NANOMAGGY)
    return np.clip(colours * (factor * gain).astype(np.float32), 0, 255)


def encode_cutout(cutout: NDArray[np.uint8]) -> bytes:
    """Return the cutout as a JPEG with a comment that it is simulated."""
    import cv2

    is_encoded, buffer = cv2.imencode(".jpg", cutout, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not is_encoded:
        raise RuntimeError(f"OpenCV could not encode a cutout of shape {cutout.shape}.")
    data = buffer.tobytes()
    # Start of image (2 bytes), then the JFIF segment, whose own length follows its marker.
    end_of_header = 4 + int.from_bytes(data[4:6], "big")
    comment = b"\xff\xfe" + (len(JPEG_COMMENT) + 2).to_bytes(2, "big") + JPEG_COMMENT
    return data[:end_of_header] + comment + data[end_of_header:]


def signal_to_noise(galaxy: Galaxy, *, difficulty: Difficulty = DIFFICULTY) -> float:
    """Return the r-band signal to noise per camera pixel at the half-light radius."""
    return galaxy.brightness / math.hypot(
        difficulty.sky_noise, math.sqrt(NANOMAGGIES_PER_ELECTRON * galaxy.brightness)
    )
