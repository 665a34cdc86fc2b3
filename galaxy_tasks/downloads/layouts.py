"""Where the files of an archive go: as the archive has them, or all into one folder.

Unpacked flat or read in place, an archive gives the same files under the same names.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from galaxy_tasks.downloads.members import Member
from galaxy_tasks.errors import InputError

Layout = Literal["as_archived", "flat"]
"""Where files go: where the archive has them, or all into one folder."""

AMBIGUOUS = (
    "A name that comes twice does not say which image is meant. Unpack it yourself, one of them "
    "renamed, into a folder that 'images_folder' names."
)
"""Why two images of one name are refused, and what to do about them."""

_IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".fits", ".fit")
)
_OF_SYSTEMS = frozenset(("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"))
"""What file managers put beside images, in lower case; what begins with a dot comes to it."""


def arrange(
    archive: Path, members: Iterable[Member], layout: Layout, *, others: Container[str] = ()
) -> Iterator[Member]:
    """Yield the members under the names that they get in this layout.

    Flat are files only, without those that are hidden or that systems leave. An image's name must
    be the only one of its kind; of other files, such as a readme in each folder, the first counts,
    also among several archives: `others` are the names that came before this one's.

    Raises:
        InputError: flat, two images have one name.
    """
    if layout == "as_archived":
        yield from members
        return
    known: set[str] = set()
    for member in members:
        if member.is_folder or _is_ignored(member.name):
            continue
        name = member.name.rpartition("/")[2]
        is_image = Path(name).suffix.lower() in _IMAGE_SUFFIXES
        if name not in known and (is_image or name not in others):
            known.add(name)
            yield replace(member, name=name)
        elif is_image:
            raise InputError(
                f"{archive} has two files named {name!r} in different folders. {AMBIGUOUS}"
            )


def _is_ignored(path: str) -> bool:
    return any(part.startswith(".") or part.lower() in _OF_SYSTEMS for part in path.split("/"))
