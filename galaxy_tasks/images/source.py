"""Reads image files by name, from a folder, or in place from a zip or a tar."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from galaxy_tasks.acquisition.image_folder import ImagePlace
from galaxy_tasks.acquisition.tar_reader import TarEntry, TarReader, is_tar
from galaxy_tasks.acquisition.zip_reader import ZipEntry, ZipReader, is_zip
from galaxy_tasks.errors import InputError
from galaxy_tasks.images.headers import check_size, read_image_file
from galaxy_tasks.images.rejected import RejectedImage

ReadImage = Callable[[str], bytes]


@contextmanager
def open_images(
    root: Path, places: Mapping[str, ImagePlace], *, max_side_px: int
) -> Iterator[ReadImage]:
    """Yield a function that reads an image by its name; it raises RejectedImage if it cannot.

    Args:
        root: a folder, a zip, or a tar that is not compressed.
        places: where in it the images are, as `list_images` found them.
        max_side_px: longest side that an image can have, which bounds the size of its file.
    """
    if is_tar(root):
        with TarReader(root) as tar:
            yield lambda name: _read_tar(tar, name, places, max_side_px=max_side_px)
        return
    if not is_zip(root):
        # A file that was not listed has its reason: it is missing, or not a regular file.
        paths = {name: str(place) for name, place in places.items()}
        yield lambda name: read_image_file(root / paths.get(name, name), max_side_px=max_side_px)
        return
    entries = {name: place for name, place in places.items() if isinstance(place, ZipEntry)}
    with ZipReader(root, entries) as reader:
        yield lambda name: _read_entry(reader, name, max_side_px=max_side_px)


def _read_entry(reader: ZipReader, name: str, *, max_side_px: int) -> bytes:
    if name not in reader.entries:
        raise RejectedImage("missing", f"no such file in {reader.archive.name}")
    entry = reader.entries[name]
    check_size(max(entry.size_bytes, entry.packed_bytes), max_side_px=max_side_px)
    try:
        return reader.read(name)
    except InputError as error:
        raise RejectedImage("undecodable", str(error)) from None


def _read_tar(
    reader: TarReader, name: str, places: Mapping[str, ImagePlace], *, max_side_px: int
) -> bytes:
    entry = places.get(name)
    if not isinstance(entry, TarEntry):
        raise RejectedImage("missing", f"no such file in {reader.archive.name}")
    check_size(entry.size_bytes, max_side_px=max_side_px)
    try:
        return reader.read(entry)
    except InputError as error:
        raise RejectedImage("undecodable", str(error)) from None
