"""Brings a published release to this disk: fetched, verified, its images unpacked.

GALAXY_MIRROR, where it is set, is asked before the publishers: a server with a folder for each
release, by its name.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from galaxy_tasks.acquisition.archives import unpack_archive
from galaxy_tasks.acquisition.check import check_content
from galaxy_tasks.acquisition.downloads.disk import check_free_space, name_disk_trouble
from galaxy_tasks.acquisition.downloads.fetching import fetch_files
from galaxy_tasks.acquisition.downloads.partial import part_path
from galaxy_tasks.acquisition.downloads.records import DownloadSettings, FetchedFile, RemoteFile
from galaxy_tasks.acquisition.downloads.verification import record_path
from galaxy_tasks.acquisition.links import link_known, link_source, name_source
from galaxy_tasks.acquisition.locate import INCOMPLETE, PlacedFile, find_placed
from galaxy_tasks.acquisition.stock import is_as_verified, note_verified
from galaxy_tasks.acquisition.versions import complete_from_zenodo, take_version
from galaxy_tasks.acquisition.zip_reader import MAX_RATIO, MAX_UNPACKED_BYTES, list_entries
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.formatting import format_bytes
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.schema import PublishedFile, Release
from galaxy_tasks.storage.artifacts import home

_DEFAULTS = DownloadSettings()


def provide_source(config: RunConfig) -> Path:
    """Return the folder of the release's files: that of the settings, else where they are fetched.

    They come into `downloads`, beside the results. Files that were verified there and have not
    been touched since cost no more than a look; others are verified, completed or fetched. Of a
    Zenodo record its files are fetched, and the settings' folder gives what it lacks.

    Raises:
        InputError, ResourceError: see `fetch_release`.
    """
    record = config.zenodo_record
    if config.source and not record:
        return Path(config.source)
    release = RELEASES[config.release]
    name = "-".join(filter(None, (release.name, record)))
    folder = home() / "downloads" / (name + name_source(config))
    if config.source:
        link_source(config, release, folder)
    if is_as_verified(release, folder, images_folder=config.images_folder):
        print(f"Fetched and verified before: {folder}", flush=True)
        return folder
    fetched = take_version(release, record) if record else release
    fetched = complete_from_zenodo(fetched, folder)
    link_known(fetched, folder)
    fetch_release(fetched, folder=folder, mirror_folder=name, config=config)
    note_verified(release, folder, fetched=fetched, images_folder=config.images_folder)
    return folder


def fetch_release(
    release: Release,
    *,
    folder: Path,
    zip_images: Literal["unpacked", "in_place"] = "unpacked",
    settings: DownloadSettings = _DEFAULTS,
    mirror_folder: str = "",
    config: RunConfig | None = None,
) -> list[FetchedFile]:
    """Fetch every file of a release into the folder and unpack its images; return the files.

    A zip that has all images stays packed if they are to be read 'in_place'.

    A file that nobody offers for download must have been placed there by hand. What is there and
    right stays, also under another name that is read, and what an interrupted call left is gone on
    from. All images of the archives come into one folder, the first of `release.images_folders`,
    without the archives' own folders.

    Args:
        release: what to fetch, and from where.
        folder: created where it is missing.
        settings: how patiently.
        mirror_folder: its folder on GALAXY_MIRROR, if that is not its name.
        config: settings that name the tables' columns, where they are not the release's own.

    Raises:
        InputError: a file must be placed by hand and is not there, or a file is another one.
        ResourceError: network or disk failed; a later call goes on.
    """
    if not release.files:
        raise InputError(
            f"Of {release.name} there is nothing to fetch. Images: {release.image_source or 'none'}"
        )
    release = _add_mirror(release, mirror_folder or release.name)
    placed = find_placed(release, folder)
    missing = [p.file.name for p in placed if not (p.path or p.file.addresses)]
    if missing:
        raise InputError(
            f"{release.name}: {', '.join(missing)} cannot be fetched by a program. "
            f"Put it into {folder} and run this again. {release.image_source}"
        )
    own = [each.file for each in placed if not each.placeholder]
    archives = [folder / file.name for file in own if file.role == "images"]
    is_whole = sum(file.role == "images" for file in release.files) == 1
    is_read_packed = (
        zip_images == "in_place" and is_whole and all(a.suffix == ".zip" for a in archives)
    )
    _announce(
        release,
        placed,
        folder,
        reserve_bytes=settings.reserve_bytes,
        unpacks=not is_read_packed and not (folder / release.images_folders[0]).is_dir(),
    )
    fetched = fetch_files(map(_as_download, own), folder=folder, settings=settings)
    _check_unhashed(release, folder, config)
    if is_read_packed:
        for archive in archives:
            print(
                f"{archive.name}: {len(list_entries(archive)):,} files, read in place", flush=True
            )
    else:
        _unpack(archives, folder, images_folder=release.images_folders[0], settings=settings)
    return fetched


def _unpack(
    archives: list[Path], folder: Path, *, images_folder: str, settings: DownloadSettings
) -> None:
    if not archives:
        return
    # Until all of them are out, the folder must not be taken for what they hold.
    incomplete = folder / INCOMPLETE
    with name_disk_trouble(folder):
        incomplete.touch()
    archive_of: dict[str, Path] = {}
    for archive in archives:
        unpacked = unpack_archive(
            archive,
            folder / images_folder,
            max_total_bytes=MAX_UNPACKED_BYTES,
            max_ratio=MAX_RATIO,
            layout="flat",
            others=archive_of,
            settings=settings,
        )
        archive_of |= dict.fromkeys(unpacked.names, archive)
    incomplete.unlink(missing_ok=True)  # by another process that did the same


def _add_mirror(release: Release, folder: str) -> Release:
    mirror = os.environ.get("GALAXY_MIRROR", "").rstrip("/")
    if not mirror:
        return release
    files = (
        replace(file, addresses=(f"{mirror}/{folder}/{file.name}", *file.addresses))
        for file in release.files
    )
    return replace(release, files=tuple(files))


def _announce(
    release: Release,
    placed: list[PlacedFile],
    folder: Path,
    *,
    unpacks: bool,
    reserve_bytes: int,
) -> None:
    """Say what is fetched; raise ResourceError if what is known of its sizes has no room."""
    for each in placed:
        if each.placeholder:
            print(f"{each.file.name}: {each.placeholder.name} is in its place", flush=True)
    missing = [each.file for each in placed if not each.path]
    if not missing:
        print(f"{release.name}: all files are in {folder}; verifying them.", flush=True)
        return
    images = [file for file in missing if file.role == "images"]
    # Photographs in an archive are hardly smaller than out of it.
    to_write = [*missing, *(images if unpacks else [])]
    with name_disk_trouble(folder):
        folder.mkdir(parents=True, exist_ok=True)
        parts = (part_path(folder / file.name) for file in missing)
        there_bytes = sum(part.stat().st_size for part in parts if part.is_file())
        needed_bytes = sum(_estimate_bytes(release, file) for file in to_write) - there_bytes
        check_free_space(folder, max(0, needed_bytes), reserve_bytes=reserve_bytes)
    sizes = ((file.name, _find_bytes(file)) for file in missing)
    told = (f"{name} ({format_bytes(size)})" if size else name for name, size in sizes)
    print(f"{release.name}: fetching {', '.join(told)} into {folder}", flush=True)


def _find_bytes(file: PublishedFile) -> int | None:
    """Return a file's size as well as it is known."""
    if file.size_bytes is None and file.size_mb is not None:
        return round(1e6 * file.size_mb)
    return file.size_bytes


def _estimate_bytes(release: Release, file: PublishedFile) -> int:
    """Return a file's size; of archives of which only the whole size is stated an equal share."""
    if (size_bytes := _find_bytes(file)) is not None:
        return size_bytes
    archives = sum(each.role == "images" for each in release.files)
    share_mb = (release.archives_mb or 0) / archives if file.role == "images" else 0
    return round(1e6 * share_mb)


def _check_unhashed(release: Release, folder: Path, config: RunConfig | None) -> None:
    """Raise InputError for a table without a published hash that is not what the release needs.

    Its SHA-256 is not kept then: a server's page of excuses must not be held against the file.
    """
    for each in find_placed(release, folder):
        path, file = each.path, replace(each.file, md5=None)
        if path is None or file.role == "images" or (each.file.md5 and not each.placeholder):
            continue
        try:
            with name_disk_trouble(folder):
                check_content(release, file, path, config=config)
        except InputError as error:
            if config is not None and _is_right(release, file, path):
                raise  # the settings name columns that the release does not have
            record_path(path).unlink(missing_ok=True)
            raise InputError(
                f"{str(error).rstrip('.')}. No hash of {path.name} is published, and this is not "
                "what it should hold. Move it away to have it fetched again."
            ) from None


def _is_right(release: Release, file: PublishedFile, path: Path) -> bool:
    """Return whether a file is what the release has, whatever a run's settings call for."""
    try:
        check_content(release, file, path, config=None)
    except InputError:
        return False
    return True


def _as_download(file: PublishedFile) -> RemoteFile:
    return RemoteFile(file.name, addresses=file.addresses, size_bytes=file.size_bytes, md5=file.md5)
