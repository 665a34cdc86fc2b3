"""What libjpeg and libpng say of damage inside a file, and do not tell the program.

Where a JPEG lacks data or has wrong ones, libjpeg fills the rest of the picture with grey, warns on
the standard error of the process, and counts as successful; OpenCV hands that picture on. So the
standard error is listened to while it decodes, which costs four microseconds, 1.5 % of decoding a
cutout. Parts that are cut off, overwritten or lost are heard: all of some thousand in real cutouts.
A change that leaves the data well-formed cannot be: of single wrong bits, three in four (in PNG:
none, for it has checksums). They leave no gap, but may shift the colours of what follows.
"""

import functools
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Result = TypeVar("_Result")
_DAMAGE = (
    *("Corrupt JPEG data: ", "Premature end of JPEG", "Inconsistent progression"),
    "libpng error: ",
)
"""How messages begin that mean wrong pixels; libjpeg's (jerror.h) are the first of a file."""
_NO_DAMAGE = "extraneous bytes before marker 0xd9"
"""Of what stands between the last pixels and the end of a file: the pixels are whole."""
_STANDARD_ERROR = 2
_listening = threading.Lock()
"""There is one standard error in a process."""


def hear_damage(decode: Callable[[], _Result]) -> tuple[_Result, str]:
    """Return what the decoder returns, and its first message of damage, or an empty text.

    Anything else that was written to the standard error meanwhile is passed on to it.
    """
    with _listening:
        ear = _open_ear()
        usual = os.dup(_STANDARD_ERROR)
        os.dup2(ear, _STANDARD_ERROR)
        try:
            result = decode()
        finally:
            os.dup2(usual, _STANDARD_ERROR)
            os.close(usual)
            num_bytes = os.lseek(ear, 0, os.SEEK_CUR)
            damage = _tell_apart(ear, num_bytes) if num_bytes else ""
        return result, damage


def _tell_apart(ear: int, num_bytes: int) -> str:
    """Return the first message of damage, pass on all that is none, and empty the file."""
    text = os.pread(ear, num_bytes, 0).decode(errors="replace")
    os.lseek(ear, 0, os.SEEK_SET)
    os.ftruncate(ear, 0)
    lines = text.splitlines(keepends=True)
    heard = [line.strip() for line in lines if line.startswith(_DAMAGE)]
    damage = [line for line in heard if not line.endswith(_NO_DAMAGE)]
    if others := "".join(line for line in lines if not line.startswith(_DAMAGE)):
        os.write(_STANDARD_ERROR, others.encode())
    return damage[0] if damage else ""


@functools.cache
def _open_ear() -> int:
    """Return the descriptor of a file without a name; in memory, where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("decoder_warnings")
    descriptor, path = tempfile.mkstemp()
    Path(path).unlink()
    return descriptor
