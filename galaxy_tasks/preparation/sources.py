"""Where image files are read from: a folder, or a zip in place."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from galaxy_tasks.downloads import Place, ZippedMembers
from galaxy_tasks.errors import InputError
from galaxy_tasks.image_headers import RejectedImage, check_size, read_image_file

ReadImage = Callable[[str], bytes]


@contextmanager
def open_source(
    images: Path, places: Mapping[str, Place] | None, *, max_side_px: int
) -> Iterator[ReadImage]:
    """Yield what reads an image by its name; it raises RejectedImage as `read_image_file` does.

    Args:
        images: a folder, or a zip.
        places: where in the zip the images are; None: it is a folder.
        max_side_px: longest side that an image can have, which bounds the size of its file.
    """
    if places is None:
        yield lambda name: read_image_file(images / name, max_side_px=max_side_px)
        return
    with ZippedMembers(images, places) as members:
        yield lambda name: _read_member(members, name, max_side_px=max_side_px)


def _read_member(members: ZippedMembers, name: str, *, max_side_px: int) -> bytes:
    if name not in members:
        raise RejectedImage("missing", f"no such file in {members.archive.name}")
    place = members.places[name]
    check_size(max(place.size_bytes, place.packed_bytes), max_side_px=max_side_px)
    try:
        return members.read(name)
    except InputError as error:
        raise RejectedImage("undecodable", str(error)) from None
