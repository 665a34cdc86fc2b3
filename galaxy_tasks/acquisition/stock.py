"""What a release was when all of it had been verified, so that it need not be read again."""

from pathlib import Path
from typing import Any

from galaxy_tasks.acquisition.downloads.disk import name_disk_trouble
from galaxy_tasks.acquisition.locate import INCOMPLETE, find_images, find_placed
from galaxy_tasks.releases.schema import Release
from galaxy_tasks.storage.atomic_io import read_json, write_json

VERIFIED = ".verified.json"
"""Beside a release's files: what they were when all of them had been verified and unpacked."""


def is_as_verified(release: Release, folder: Path, *, images_folder: str = "") -> bool:
    """Return whether all of the release is in the folder, and untouched since it was verified.

    Args:
        release: as it is known here, whatever was fetched in its place.
        folder: where its files are.
        images_folder: what its images are called there, if not as the release calls them.
    """
    record = _read_record(folder)
    stock = _take_stock(release, folder, images_folder)
    return stock is not None and stock == {name: record.get(name) for name in stock}


def note_verified(
    release: Release, folder: Path, *, fetched: Release, images_folder: str = ""
) -> None:
    """Write down what is in the folder now; it has just been verified.

    Args:
        release: as it is known here.
        folder: where its files are.
        fetched: what was fetched in its place, with all hashes that were held against it.
        images_folder: what its images are called there, if not as the release calls them.
    """
    if (stock := _take_stock(release, folder, images_folder)) is None:
        return
    verified = {file.name: file.md5 for file in fetched.files if file.md5}
    with name_disk_trouble(folder):
        write_json(folder / VERIFIED, {**stock, "verified": verified})


def find_verified(folder: Path) -> dict[str, Path]:
    """Return by its MD5 each file of a folder that was verified and not touched since."""
    record, found = _read_record(folder), {}
    # What was written before `verified` was has no other hashes than those known here.
    for name, md5 in (record.get("verified") or record.get("hashes") or {}).items():
        path = folder / name
        noted = (record.get("files") or {}).get(name)
        if md5 and noted and path.is_file() and noted == _measure(path):
            found[md5] = path
    return found


def is_images_untouched(folder: Path, images: Path) -> bool:
    """Return whether no image has come or gone since the folder was verified."""
    changed_ns = _read_record(folder).get("images_changed_ns")
    return images.is_dir() and changed_ns == images.stat().st_mtime_ns


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = read_json(folder / VERIFIED)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _measure(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _take_stock(release: Release, folder: Path, images_folder: str) -> dict[str, Any] | None:
    """Return what tells whether anything was changed since; None if something is missing.

    The time of the image folder changes with each name in it. What an image holds is not looked
    at: its bytes were checked when it was unpacked.
    """
    paths = [each.path for each in find_placed(release, folder)]
    images = find_images(release, folder, named=images_folder)
    if images is None or None in paths or (folder / INCOMPLETE).exists():
        return None
    try:
        files = {path.name: _measure(path) for path in paths if path}
        images_changed_ns = images.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return {
        "files": files,
        "hashes": {file.name: file.md5 for file in release.files},
        "images_changed_ns": images_changed_ns,
    }
