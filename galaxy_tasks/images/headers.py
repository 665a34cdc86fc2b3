"""Format and size of an image file, read from its header before anything is decoded.

A file of a few kilobytes can claim a billion pixels, and a decoder allocates what is claimed; a
file that lost its end can decode to a picture that is half grey. Both are found here, within
microseconds; damage before the end is found when the file is decoded (`decoder`).
Formats: JPEG (ITU-T T.81, annex B) and PNG (W3C PNG, third edition, chapter 5).
"""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from galaxy_tasks.errors import InputError

Reason = Literal[
    "missing",  # no such file
    "unreadable",  # no permission, or no regular file
    "empty",  # no bytes at all
    "not_an_image",  # neither JPEG nor PNG
    "truncated",  # the end is missing
    "wrong_channels",  # not three colours of 8 bits
    "too_large",  # larger than max_source_side_px
    "undecodable",  # damaged inside
]
"""Why an image can be refused."""

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_COLOURS = {
    0: "greyscale",
    2: "colour",
    3: "palette",
    4: "greyscale + alpha",
    6: "colour + alpha",
}
_JPEG_SIZE_MARKERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xD8)}
_JPEG_START_OF_SCAN, _JPEG_END = 0xDA, 0xD9


class RejectedImage(InputError):  # noqa: N818 - the word of tables and reports
    """An image cannot be used; `reason` says why in a word, `detail` what was found."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Keep reason and detail apart, for tables."""
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        """Return both as one line."""
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True)
class ImageHeader:
    """Format and size of an image, as its file claims them."""

    format: Literal["jpeg", "png"]
    width_px: int
    height_px: int


def read_header(data: bytes, *, max_side_px: int) -> ImageHeader:
    """Return what a whole colour JPEG or PNG file claims to be.

    Raises:
        RejectedImage: for every Reason but the first two; 'undecodable' here means a broken header.
    """
    if not data:
        raise RejectedImage("empty", "the file has no bytes")
    if data.startswith(b"\xff\xd8\xff"):
        header = _read_jpeg(data)
    elif data.startswith(_PNG_START):
        header = _read_png(data)
    else:
        raise RejectedImage("not_an_image", f"neither JPEG nor PNG, begins with {data[:16]!r}")
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
    if channels != 3 or bits != 8:
        raise RejectedImage("wrong_channels", f"JPEG with {channels} channel(s) of {bits} bits")
    return ImageHeader(
        "jpeg",
        width_px=int.from_bytes(segment[7:9], "big"),
        height_px=int.from_bytes(segment[5:7], "big"),
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
    bits, colours = data[24], _PNG_COLOURS.get(data[25], f"colour type {data[25]}")
    if colours != "colour" or bits != 8:
        raise RejectedImage("wrong_channels", f"PNG with {colours} of {bits} bits")
    return ImageHeader(
        "png",
        width_px=int.from_bytes(data[16:20], "big"),
        height_px=int.from_bytes(data[20:24], "big"),
    )


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


def check_size(size_bytes: int, *, max_side_px: int) -> None:
    """Raise RejectedImage, 'too_large', for a file larger than an image can be."""
    max_bytes = 4 * max_side_px**2
    if size_bytes > max_bytes:
        raise RejectedImage("too_large", f"{size_bytes} bytes; {max_bytes} are allowed")
