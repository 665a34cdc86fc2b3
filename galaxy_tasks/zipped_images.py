"""A zip with images stands for the folder that it would be unpacked into.

Its files are known by their names without folders, as unpacking lays them into one folder.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

from galaxy_tasks.downloads import Place, open_members

MAX_UNPACKED_BYTES = 400 * 10**9
"""More than any release publishes; the largest are the 100 GB of DECaLS."""
MAX_RATIO = 20
"""JPEG and PNG hardly shrink any more; a table of zeros does."""


def is_zip(path: Path) -> bool:
    """Return whether this is a zip, by its name, and no folder."""
    return path.suffix.lower() == ".zip" and path.is_file()


def find_places(archive: Path) -> Mapping[str, Place]:
    """Return where in a zip each file is, by its name without folders; hidden files are left out.

    Raises:
        InputError: no zip, damaged, encrypted, unsafe or larger than allowed, as `open_members`
            says; or two images of one name in different folders.
    """
    status = archive.stat()
    return _find_places(archive, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _find_places(archive: Path, _size_bytes: int, _changed_ns: int) -> Mapping[str, Place]:
    """Read the directory, some seconds for a quarter of a million files, once for all who ask."""
    limits = {"max_total_bytes": MAX_UNPACKED_BYTES, "max_ratio": MAX_RATIO}
    with open_members(archive, layout="flat", **limits) as members:
        return members.places
