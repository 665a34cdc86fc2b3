"""Brings a published release to this disk: fetched, verified, its images unpacked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from galaxy_tasks import downloads
from galaxy_tasks.downloads import DownloadSettings, FetchedFile
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases.rules import Release, RemoteFile
from galaxy_tasks.zipped_images import MAX_RATIO, MAX_UNPACKED_BYTES, find_places, is_zip

_DEFAULTS = DownloadSettings()


@dataclass(frozen=True, kw_only=True)
class CheckedFile:
    """A file of a release on disk, compared with what is published and recorded."""

    name: str
    sha256: str | None
    """None: it is missing or another one, as `problem` says."""
    problem: str = ""


def fetch_release(
    release: Release,
    *,
    folder: Path,
    zip_images: Literal["unpacked", "in_place"] = "unpacked",
    settings: DownloadSettings = _DEFAULTS,
) -> list[FetchedFile]:
    """Fetch every file of a release into the folder and unpack its images; return the files.

    A zip that has all images stays packed if they are to be read 'in_place'.

    A file that nobody offers for download must have been placed there by hand. What is there and
    right stays, and what an interrupted call left is gone on from. All images of the archives come
    into one folder, the first of `release.images_folders`, without the archives' own folders.

    Raises:
        InputError: a file must be placed by hand and is not there, or a file is another one.
        ResourceError: network or disk failed; a later call goes on.
    """
    if not release.files:
        raise InputError(
            f"Of {release.name} there is nothing to fetch. Images: {release.image_source or 'none'}"
        )
    missing = [f for f in release.files if not f.addresses and not (folder / f.name).is_file()]
    if missing:
        raise InputError(
            f"{release.name}: {', '.join(f.name for f in missing)} cannot be fetched by a program. "
            f"Put it into {folder} and run this again. {release.image_source}"
        )
    fetched = downloads.fetch_files(
        [_as_download(file) for file in release.files], folder=folder, settings=settings
    )
    archives = [file for file in release.files if file.role == "images"]
    for file in archives:
        archive = folder / file.name
        if zip_images == "in_place" and len(archives) == 1 and is_zip(archive):
            print(f"{archive.name}: {len(find_places(archive)):,} files, read in place", flush=True)
        else:
            downloads.unpack_archive(
                archive,
                folder / release.images_folders[0],
                max_total_bytes=MAX_UNPACKED_BYTES,
                max_ratio=MAX_RATIO,
                layout="flat",
                settings=settings,
            )
    return fetched


def check_release(release: Release, *, folder: Path) -> list[CheckedFile]:
    """Compare the release's files in the folder with what is published; change nothing."""
    return [_check_file(file, folder) for file in release.files]


def _check_file(file: RemoteFile, folder: Path) -> CheckedFile:
    try:
        found = downloads.check_file(_as_download(file), folder=folder)
    except InputError as error:
        return CheckedFile(name=file.name, sha256=None, problem=str(error))
    return CheckedFile(name=file.name, sha256=found.sha256)


def _as_download(file: RemoteFile) -> downloads.RemoteFile:
    """Return the file for the downloader; its size is only known in rounded megabytes."""
    return downloads.RemoteFile(file.name, addresses=file.addresses, md5=file.md5)
