"""Format and size of an image file, read from its header before anything is decoded.

A file of a few kilobytes can claim a billion pixels, and a decoder allocates what is claimed; a
file that lost its end can decode to a picture that is half grey. Both are found here, within
microseconds; damage before the end is found when the file is decoded (`damage`).
Formats: JPEG (ITU-T T.81, annex B), PNG (W3C PNG, third edition, chapter 5), and those of
`pillow_files` and `fits_files`.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from galaxy_tasks.images import fits_files, pillow_files
from galaxy_tasks.images.rejected import RejectedImage

PLAIN = "8-bit colour"
"""Colours that need no conversion."""

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_COLOURS = {
    0: "greyscale",
    2: "colour",
    3: "palette",
    4: "greyscale + alpha",
    6: "colour + alpha",
}
_JPEG_COLOURS = {1: "greyscale", 3: "colour"}
_OTHER_STARTS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"<", "a web page or other markup"),
    (b"PK\3\4", "a zip"),
    (b"\x1f\x8b", "a gzip archive"),
)
_JPEG_SIZE_MARKERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xD8)}
_JPEG_START_OF_SCAN, _JPEG_END = 0xDA, 0xD9


@dataclass(frozen=True)
class ImageHeader:
    """Format and size of an image, as its file claims them."""

    format: Literal["jpeg", "png", "tiff", "webp", "fits"]
    width_px: int
    height_px: int
    colours: str
    """PLAIN, or what `colours.convert_colours` converts: '16-bit greyscale + alpha'."""


def read_header(data: bytes, *, max_side_px: int) -> ImageHeader:
    """Return what a whole JPEG, PNG, TIFF, WebP or FITS file claims to be.

    Raises:
        RejectedImage: for every Reason but the first two; 'undecodable' here means a broken header.
    """
    if not data:
        raise RejectedImage("empty", "the file has no bytes")
    if data.startswith(b"\xff\xd8\xff"):
        header = _read_jpeg(data)
    elif data.startswith(_PNG_START):
        header = _read_png(data)
    elif data.startswith(pillow_files.STARTS) or pillow_files.is_webp(data):
        header = _read_with_pillow(data)
    elif data.startswith(fits_files.START):
        header = ImageHeader("fits", *fits_files.read_size(data))
    else:
        raise RejectedImage("not_an_image", _name_other(data))
    size = f"{header.width_px}×{header.height_px} px"
    if max(header.width_px, header.height_px) > max_side_px:
        raise RejectedImage(
            "too_large", f"claims {size}; the longest side allowed is {max_side_px}"
        )
    if min(header.width_px, header.height_px) < 1:
        raise RejectedImage("undecodable", f"claims {size}")
    return header


def _read_jpeg(data: bytes) -> ImageHeader:
    position = _find_jpeg_size(data)
    segment = data[position : position + 10]
    if len(segment) < 10 or data.rfind(b"\xff\xd9", position) < 0:
        raise RejectedImage("truncated", f"JPEG without its end marker after {len(data)} bytes")
    bits, channels = segment[4], segment[9]
    if channels not in _JPEG_COLOURS or bits != 8:
        what = "CMYK, the colours of print," if channels == 4 else f"{channels} channel(s)"
        raise RejectedImage("unsupported", f"JPEG with {what} of {bits} bits: save 8 bits of RGB")
    return ImageHeader(
        "jpeg",
        width_px=int.from_bytes(segment[7:9], "big"),
        height_px=int.from_bytes(segment[5:7], "big"),
        colours=f"8-bit {_JPEG_COLOURS[channels]}",
    )


def _find_jpeg_size(data: bytes) -> int:
    """Return where the frame header begins, found by walking the segments as libjpeg does."""
    position = data.find(b"\xff", 2)
    while 0 <= position < len(data) - 3:
        marker = data[position + 1]
        if marker in _JPEG_SIZE_MARKERS:
            return position
        if marker in (_JPEG_START_OF_SCAN, _JPEG_END):
            raise RejectedImage("undecodable", "JPEG whose pixels come before their size")
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _JPEG_WITHOUT_LENGTH:
            position += 2
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        position = data.find(b"\xff", position)
    raise RejectedImage("truncated", f"JPEG that ends in its header, after {len(data)} bytes")


def _read_png(data: bytes) -> ImageHeader:
    if len(data) < 33 or data.rfind(b"IEND", 33) < 0:
        raise RejectedImage("truncated", f"PNG without its end chunk after {len(data)} bytes")
    if data[12:16] != b"IHDR":
        raise RejectedImage("undecodable", "PNG that does not begin with its header chunk")
    bits, colours = data[24], _PNG_COLOURS.get(data[25])
    if colours is None:
        raise RejectedImage("undecodable", f"PNG of the unknown colour type {data[25]}")
    chunks = list(_list_png_chunks(data))
    if b"acTL" in chunks:
        raise RejectedImage("unsupported", "PNG with several pictures (animated), not one")
    if b"tRNS" in chunks and colours == "greyscale":  # OpenCV would pass over it
        raise RejectedImage("unsupported", "PNG with a transparent grey: save an alpha channel")
    return ImageHeader(
        "png",
        width_px=int.from_bytes(data[16:20], "big"),
        height_px=int.from_bytes(data[20:24], "big"),
        colours=f"{bits}-bit {colours}",
    )


def _list_png_chunks(data: bytes) -> Iterator[bytes]:
    """Yield the types of the chunks between the header and the pixels."""
    position = 33
    while (kind := data[position + 4 : position + 8]) and kind != b"IDAT":
        yield kind
        position += 12 + int.from_bytes(data[position : position + 4], "big")


def _read_with_pillow(data: bytes) -> ImageHeader:
    image, colours = pillow_files.open_file(data)
    width_px, height_px = image.size
    return ImageHeader(image.format.lower(), width_px, height_px, colours)


def _name_other(data: bytes) -> str:
    """Return what a file is that is not read, or how it begins."""
    found = next((name for start, name in _OTHER_STARTS if data.startswith(start)), None)
    if data[4:8] == b"ftyp":
        found = "HEIC or AVIF"
    what = found or f"begins with {data[:16]!r}"
    return f"{what}; an image must be JPEG, PNG, TIFF, WebP or FITS"


def read_image_file(path: Path, *, max_side_px: int) -> bytes:
    """Return a file's content.

    Raises:
        RejectedImage: 'missing', 'unreadable', or 'too_large' for an image of this longest side.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise RejectedImage("unreadable", "not a regular file")
        check_size(status.st_size, max_side_px=max_side_px)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise RejectedImage("missing", "no such file") from None
    except PermissionError:
        raise RejectedImage("unreadable", "no permission to read the file") from None
    except OSError as error:  # links that lead to each other, a disk that fails
        raise RejectedImage("unreadable", f"{error.strerror}") from None


def check_size(size_bytes: int, *, max_side_px: int) -> None:
    """Raise RejectedImage, 'too_large', for a file larger than an image can be."""
    max_bytes = 4 * max_side_px**2
    if size_bytes > max_bytes:
        raise RejectedImage("too_large", f"{size_bytes} bytes; {max_bytes} are allowed")
