"""What a release was when all of it had been verified, so that it need not be read again."""

from pathlib import Path
from typing import Any

from galaxy_tasks.downloads.disk import name_disk_trouble
from galaxy_tasks.durable import read_json, write_json
from galaxy_tasks.release_images import find_images
from galaxy_tasks.release_placed import INCOMPLETE, find_placed
from galaxy_tasks.releases.rules import Release

VERIFIED = ".verified.json"
"""Beside a release's files: what they were when all of them had been verified and unpacked."""


def is_as_verified(release: Release, folder: Path, *, images_folder: str = "") -> bool:
    """Return whether all of the release is in the folder, and untouched since it was verified.

    Args:
        release: as it is known here, whatever was fetched in its place.
        folder: where its files are.
        images_folder: what its images are called there, if not as the release calls them.
    """
    try:
        record = read_json(folder / VERIFIED)
    except (FileNotFoundError, ValueError):
        return False
    return record is not None and record == _take_stock(release, folder, images_folder)


def note_verified(release: Release, folder: Path, *, images_folder: str = "") -> None:
    """Write down what is in the folder now; it has just been verified."""
    with name_disk_trouble(folder):
        write_json(folder / VERIFIED, _take_stock(release, folder, images_folder))


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
        statuses = {path.name: path.stat() for path in paths if path}
        images_changed_ns = images.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return {
        "files": {name: [s.st_size, s.st_mtime_ns] for name, s in statuses.items()},
        "hashes": {file.name: file.md5 for file in release.files},
        "images_changed_ns": images_changed_ns,
    }
