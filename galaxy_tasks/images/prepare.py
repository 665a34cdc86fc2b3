"""One image file becomes one network input: checked, decoded, cut, scaled, denoised.

Decoding a JPEG costs about as much as scaling it to a bit over half its size. libjpeg can do part
of the scaling while it decodes (a half, a quarter or an eighth, from fewer coefficients), so the
largest such step that leaves enough pixels is taken, and what remains is a cheap interpolation.
From 424 to 224 px this is almost three times as fast as decoding in full and averaging areas, and
differs from it by half a grey level, root mean square (benchmarks/image_preparation.py).

Pixels are taken as stored: an EXIF orientation is not applied. Colours are converted by `colours`.
"""

import functools
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.errors import InputError
from galaxy_tasks.images import fits_files
from galaxy_tasks.images.colours import convert_colours
from galaxy_tasks.images.damage import catch_damage
from galaxy_tasks.images.headers import ImageHeader, read_header
from galaxy_tasks.images.pillow_files import read_pixels
from galaxy_tasks.images.rejected import RejectedImage
from galaxy_tasks.images.settings import ImageSettings

OPENCV_VERSION = cv2.__version__

_REDUCED_DECODING = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}
_LEAST_SHRINK = 0.94
"""A reduced image may be smaller than the target by this: half of a 424 px cutout serves for
224 px (0.946). The finest 6 % of detail is lost, of which averaging areas leaves little anyway."""
_LINEAR_UP_TO = 1.25
"""Shrinking a reduced image further than this by linear interpolation would alias."""

_BILATERAL_SIZE_PX, _BILATERAL_SIGMA_PX = 5, 1.5
_PATCH_AND_SEARCH_PX = (7, 21)
"""Non-local means compares patches within a search window: the sides that OpenCV recommends. It
costs about a thousand times a Gaussian filter: 0.1 s for an image of 224 px."""


def prepare_image(data: bytes, settings: ImageSettings) -> NDArray[np.uint8]:
    """Return the network input made from the content of an image file.

    The central square of `crop_fraction` of the shorter side is scaled about its centre to
    (image_size_px, image_size_px, 3), red first, and then denoised.

    Raises:
        RejectedImage: the content is no whole image of an allowed size and of colours that can be
            converted; its `reason` is a `rejected.Reason`.
        InputError: the settings ask for OpenCL, and OpenCV finds no device.
    """
    header = read_header(data, max_side_px=settings.max_source_side_px)
    if settings.opencv_device == "opencl":
        require_opencl()
    reduction = _choose_reduction(header, settings)
    pixels: Any = _decode(data, header, reduction)
    if settings.opencv_device == "opencl":
        pixels = cv2.UMat(pixels)
    pixels = _scale(pixels, header, reduction, settings)
    pixels = _denoise(pixels, settings)
    prepared = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=_allocate(pixels, settings))
    return np.asarray(prepared.get() if isinstance(prepared, cv2.UMat) else prepared, np.uint8)


@functools.cache
def require_opencl() -> None:
    """Switch OpenCL on in this process.

    Raises:
        InputError: OpenCV finds no OpenCL device.
    """
    cv2.ocl.setUseOpenCL(True)
    if not (cv2.ocl.haveOpenCL() and cv2.ocl.useOpenCL()):
        raise InputError(
            "opencv_device is 'opencl', but OpenCV finds no OpenCL device on this machine. "
            "Install OpenCL's loader (Debian: ocl-icd-libopencl1) and the device's driver (its "
            ".icd file belongs in /etc/OpenCL/vendors), or set opencv_device to 'cpu'."
        )


def use_one_thread() -> None:
    """Keep OpenCV to the calling thread, for a process that is one of many."""
    cv2.setNumThreads(1)
    cv2.ocl.setUseOpenCL(False)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # rejections are recorded


def _allocate(pixels: Any, settings: ImageSettings) -> Any:
    """Return an array for a result; None for OpenCL, which allocates its own.

    NumPy reuses memory that OpenCV would map each time, a third of the time of what follows
    decoding.
    """
    side_px = settings.image_size_px
    return None if isinstance(pixels, cv2.UMat) else np.empty((side_px, side_px, 3), np.uint8)


def _choose_reduction(header: ImageHeader, settings: ImageSettings) -> int:
    """Return by how much the decoder may shrink: 8, 4, 2, or 1 for decoding in full."""
    if header.format != "jpeg":
        return 1
    for reduction in _REDUCED_DECODING:
        shrink = _cut_side_px(header, settings) / reduction / settings.image_size_px
        if shrink >= _LEAST_SHRINK and (shrink <= _LINEAR_UP_TO or _divides(reduction, header)):
            return reduction
    return 1


def _cut_side_px(header: ImageHeader, settings: ImageSettings) -> float:
    return settings.crop_fraction * min(header.width_px, header.height_px)


def _divides(reduction: int, header: ImageHeader) -> bool:
    return header.width_px % reduction == 0 and header.height_px % reduction == 0


def _decode(data: bytes, header: ImageHeader, reduction: int) -> Any:
    """Return the pixels, blue first, shrunk by `reduction`; sides are rounded up."""
    if header.format == "fits":
        pixels, damage = fits_files.read_pixels(data), ""
    elif header.format in ("tiff", "webp"):
        pixels, damage = read_pixels(data), ""
    else:
        pixels, damage = _decode_with_opencv(data, header, reduction)
    expected = (-(-header.height_px // reduction), -(-header.width_px // reduction))
    if damage or pixels is None or pixels.shape[:2] != expected:
        found = f"({header.width_px}×{header.height_px} px): {damage or 'it cannot be read'}"
        raise RejectedImage("undecodable", f"the content is damaged {found}")
    return convert_colours(pixels)


def _decode_with_opencv(data: bytes, header: ImageHeader, reduction: int) -> tuple[Any, str]:
    """Return the pixels of a JPEG or PNG, of whatever colours, and what is damaged."""
    flags = _REDUCED_DECODING.get(reduction, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
    if header.format == "png":
        flags = cv2.IMREAD_UNCHANGED
    content = np.frombuffer(data, np.uint8)
    try:
        return catch_damage(lambda: cv2.imdecode(content, flags))
    except cv2.error as error:
        raise RejectedImage("undecodable", f"OpenCV: {error.err}") from None


def _scale(pixels: Any, header: ImageHeader, reduction: int, settings: ImageSettings) -> Any:
    """Return the central square of the image, scaled to the target about its exact centre."""
    target_pixels = _allocate(pixels, settings)
    target = (settings.image_size_px, settings.image_size_px)
    cut_px = _cut_side_px(header, settings) / reduction
    shrink = cut_px / settings.image_size_px
    width_px, height_px = header.width_px / reduction, header.height_px / reduction
    if not _divides(reduction, header):
        # The last reduced column stands for less than `reduction` columns, so the centre of the
        # image is no centre or edge of a reduced pixel, and no whole-pixel cut is symmetric.
        mapping = _mapping_about(width_px / 2, height_px / 2, shrink, settings.image_size_px)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            pixels, mapping, target, dst=target_pixels, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    left, top = _margin_px(width_px, cut_px), _margin_px(height_px, cut_px)
    right, bottom = int(width_px) - left, int(height_px) - top
    if isinstance(pixels, cv2.UMat):  # which has no slices
        cut = cv2.UMat(pixels, (top, bottom), (left, right))
    else:
        cut = pixels[top:bottom, left:right]
    return cv2.resize(
        cut, target, dst=target_pixels, interpolation=_choose_interpolation(shrink, reduction)
    )


def _choose_interpolation(shrink: float, reduction: int) -> int:
    if shrink <= 1:
        return cv2.INTER_CUBIC
    is_mild = reduction > 1 and shrink <= _LINEAR_UP_TO  # the decoder has removed fine detail
    return cv2.INTER_LINEAR if is_mild else cv2.INTER_AREA


def _margin_px(side_px: float, cut_px: float) -> int:
    """Return how much to leave out on both sides: the same, so that the centre stays."""
    return int(min(round((side_px - cut_px) / 2), (side_px - 1) // 2))


def _mapping_about(
    centre_x_px: float, centre_y_px: float, shrink: float, size_px: int
) -> NDArray[np.float64]:
    """Return the affine map from a square's pixels to those of a source, its centre on this point.

    Centres are counted from the image's corner; OpenCV counts from the middle of the first pixel.
    """
    to_corner_px = 0.5 + shrink * (size_px - 1) / 2
    return np.array(
        [[shrink, 0, centre_x_px - to_corner_px], [0, shrink, centre_y_px - to_corner_px]]
    )


def _denoise(pixels: Any, settings: ImageSettings) -> Any:
    target_pixels = _allocate(pixels, settings)
    match settings.denoise_method:
        case "none":
            return pixels
        case "gaussian":
            sigma_px = settings.gaussian_sigma_px
            size_px = _gaussian_size_px(sigma_px)
            return cv2.GaussianBlur(pixels, (size_px, size_px), sigma_px, dst=target_pixels)
        case "median":
            return cv2.medianBlur(pixels, settings.median_size_px, dst=target_pixels)
        case "bilateral":
            grey = settings.bilateral_sigma_grey
            return cv2.bilateralFilter(pixels, _BILATERAL_SIZE_PX, grey, _BILATERAL_SIGMA_PX)
        case "non_local_means":
            grey = settings.non_local_means_strength_grey
            return cv2.fastNlMeansDenoisingColored(pixels, None, grey, grey, *_PATCH_AND_SEARCH_PX)


def _gaussian_size_px(sigma_px: float) -> int:
    """Return the side of the filter's window: OpenCV's own rule for sigma, solved for the side."""
    return 2 * max(1, math.ceil((sigma_px - 0.8) / 0.3) + 1) + 1
