"""Bring a published release onto this disk: fetched, verified, its images unpacked.

Where a hash is published, a file is that file or another one. Where none is, a table must have the
release's columns and an archive its images, both must be readable to their end, and neither may
change after it first came.

GALAXY_MIRROR, if set, is a server that is tried before the publishers; it has a folder for each
release, by its name.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from galaxy_tasks.acquisition.archives import unpack_archives, verify_archive
from galaxy_tasks.acquisition.catalogue import match_catalogue, require_image_names
from galaxy_tasks.acquisition.disk import check_free_space, expand_home, name_disk_trouble
from galaxy_tasks.acquisition.download import (
    Download,
    DownloadSettings,
    FetchedFile,
    check_file,
    fetch_files,
    read_sha256,
    sha256_path,
)
from galaxy_tasks.acquisition.image_file_rules import IMAGE, judge_name
from galaxy_tasks.acquisition.image_folder import list_images
from galaxy_tasks.acquisition.locate import (
    INCOMPLETE,
    PlacedFile,
    find_image_source,
    find_placed,
    find_read_tables,
    locate_images,
)
from galaxy_tasks.acquisition.partial_file import part_path
from galaxy_tasks.acquisition.table_rows import count_rows
from galaxy_tasks.acquisition.tables import read_table_header
from galaxy_tasks.acquisition.versions import complete_from_zenodo, take_version
from galaxy_tasks.acquisition.zip_reader import list_entries
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.formatting import format_bytes
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.availability import find_zenodo_record
from galaxy_tasks.releases.schema import ImageKey, ImageMapping, PublishedFile, Release
from galaxy_tasks.storage.artifacts import home
from galaxy_tasks.storage.atomic_io import read_json, write_durably, write_json

_logger = logging.getLogger(__name__)

VERIFIED = ".verified.json"
"""Beside a release's files: their state when all of them had been verified and unpacked."""


def provide_source(config: RunConfig) -> Path:
    """Return the folder with the release's files: `config.source`, or where they are fetched to.

    They are fetched into `downloads`, beside the results. Files that were verified there and have
    not changed since are only looked at. With a Zenodo record its files are fetched, and what it
    lacks comes from `config.source`.

    Raises:
        InputError, ResourceError: see `fetch_release`.
    """
    version = config.zenodo_record
    if config.source and not version:
        return Path(config.source)
    release = RELEASES[config.release]
    name = "-".join(filter(None, (release.name, version)))
    folder = home() / "downloads" / name
    if config.source:
        source = expand_home(config.source).resolve()
        text = os.fsencode(f"{source}\0{config.images_folder}")
        folder = folder.with_name(f"{name}-{hashlib.sha256(text).hexdigest()[:8]}")
        _link_source(config, release, source, folder)
    state = _read_state(folder)
    current = _describe_state(release, folder, images_folder=config.images_folder)
    if current and current.items() <= state.items():
        _logger.info("Fetched and verified before: %s", folder)
        return folder
    fetched = take_version(release, version) if version else release
    fetched = complete_from_zenodo(fetched, folder)
    _reuse_files(fetched, folder)
    fetch_release(fetched, folder=folder, mirror_folder=name)
    current = _describe_state(release, folder, images_folder=config.images_folder)
    if current:
        verified_md5 = {file.name: file.md5 for file in fetched.files if file.md5}
        with name_disk_trouble(folder):
            write_json(folder / VERIFIED, {**current, "verified_md5": verified_md5})
    return folder


def fetch_release(
    release: Release,
    *,
    folder: Path,
    zip_images: Literal["unpacked", "in_place"] = "unpacked",
    mirror_folder: str = "",
) -> list[FetchedFile]:
    """Fetch every file of a release into a folder and unpack its images; return the files.

    Files that are there and right are kept, also under another name or in another format that can
    be read, and an interrupted call is continued. Images of all archives go into the first of
    `release.images_folders`.

    Args:
        release: what to fetch, and from where.
        folder: created if it does not exist.
        zip_images: 'in_place' leaves a zip that has all images packed.
        mirror_folder: the release's folder on GALAXY_MIRROR, if it is not the release's name.

    Raises:
        InputError: a file that must be placed by hand is missing, or a file is not the right one.
        ResourceError: network or disk failed; a later call continues.
    """
    release = _add_mirror(release, mirror_folder or release.name)
    placed = find_placed(release, folder)
    _require_addresses(release, placed, folder)
    own = [each.file for each in placed if not each.substitute]
    archives = [folder / file.name for file in own if file.role == "images"]
    images = folder / release.images_folders[0]
    is_kept_packed = zip_images == "in_place" and _is_one_zip(release)
    _announce(release, placed, folder, is_to_unpack=not (is_kept_packed or images.is_dir()))
    fetched = fetch_files(map(_as_download, own), folder=folder)
    for file in own:
        if file.role != "images" and not file.md5:
            _require_content(release, file, folder / file.name)
    if archives and is_kept_packed:
        _logger.info("%s: %d files, read in place", archives[0], len(list_entries(archives[0])))
    elif archives:
        _unpack(archives, images)
    return fetched


def _is_one_zip(release: Release) -> bool:
    """Return whether all images of a release are in one zip."""
    archives = [file.name for file in release.files if file.role == "images"]
    return len(archives) == 1 and archives[0].endswith(".zip")


def _require_addresses(release: Release, placed: Sequence[PlacedFile], folder: Path) -> None:
    """Raise InputError unless every file of the release is there or can be fetched."""
    if not release.files:
        raise InputError(f"{release.name} has no files to fetch. Images: {release.image_source}")
    missing = [each.file.name for each in placed if not (each.path or each.file.addresses)]
    if missing:
        raise InputError(
            f"{release.name}: {', '.join(missing)} cannot be fetched by a program. "
            f"Put it into {folder} and run this again. {release.image_source}"
        )


@dataclass(frozen=True, kw_only=True)
class CheckedFile:
    """A file or image folder of a release on disk, compared with what is known of it."""

    name: str
    finding: str
    """What was verified, or why it is missing or not what it should be."""
    is_right: bool = True


def check_release(release: Release, *, folder: Path) -> list[CheckedFile]:
    """Compare the release's files and images in a folder with what is known; change nothing.

    A table or image folder that is read in place of a published file is checked as well.

    Raises:
        ResourceError: the disk fails.
    """
    placed = find_placed(release, folder)
    checked = [_check(release, each.file, each.path or folder / each.file.name) for each in placed]
    mapping = release.mapping.file_names if isinstance(release.mapping, ImageMapping) else ()
    others = find_read_tables(release, folder)
    images = find_image_source(release, folder)
    if images and images.is_dir():
        others.append(images)
    for path in others:
        if all(path != each.path for each in placed):  # it would be read all the same
            role = "mapping" if path.name in mapping else "catalogue"
            file = PublishedFile(name=path.name, addresses=(), role=role)
            checked.append(_check(release, file, path))
    return checked


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
    release: Release, placed: list[PlacedFile], folder: Path, *, is_to_unpack: bool
) -> None:
    """Log what is fetched; raise ResourceError if the disk has no room for it, as far as known."""
    for each in placed:
        if each.substitute:
            _logger.info("%s: %s is used in its place", each.file.name, each.substitute.name)
    missing = [each.file for each in placed if not each.path]
    if not missing:
        _logger.info("%s: all files are in %s; verifying them", release.name, folder)
        return
    to_write = list(missing)
    if is_to_unpack:  # images take about as much room unpacked as in their archive
        to_write += [file for file in missing if file.role == "images"]
    with name_disk_trouble(folder):
        folder.mkdir(parents=True, exist_ok=True)
        parts = (part_path(folder / file.name) for file in missing)
        present_bytes = sum(part.stat().st_size for part in parts if part.is_file())
        needed_bytes = sum(_estimate_bytes(release, file) for file in to_write) - present_bytes
        reserve_bytes = DownloadSettings().reserve_bytes
        check_free_space(folder, max(0, needed_bytes), reserve_bytes=reserve_bytes)
    sizes = {file.name: _estimate_bytes(release, file) for file in missing}
    names = (f"{name} ({format_bytes(size)})" if size else name for name, size in sizes.items())
    _logger.info("%s: fetching %s into %s", release.name, ", ".join(names), folder)


def _estimate_bytes(release: Release, file: PublishedFile) -> int:
    """Return a file's size as well as it is known; 0 if it is not known at all."""
    if file.size_bytes is not None:
        return file.size_bytes
    size_mb = file.size_mb
    if size_mb is None and file.role == "images" and release.archives_mb:
        size_mb = release.archives_mb / sum(each.role == "images" for each in release.files)
    return round(1e6 * (size_mb or 0))


def _as_download(file: PublishedFile) -> Download:
    return Download(file.name, addresses=file.addresses, size_bytes=file.size_bytes, md5=file.md5)


def _unpack(archives: list[Path], images: Path) -> None:
    # Until all archives are unpacked, the folder stands for none of them.
    incomplete = images.with_name(INCOMPLETE)
    with name_disk_trouble(images):
        incomplete.touch()
        unpack_archives(archives, images)
        incomplete.unlink(missing_ok=True)  # another process may have done the same


def _require_content(release: Release, file: PublishedFile, path: Path) -> None:
    """Raise InputError for a table without a published hash that is not what the release needs.

    Its SHA-256 is forgotten, so that a server's error page is not held against the right file.
    """
    try:
        with name_disk_trouble(path):
            _describe_content(release, file, path)
    except InputError as error:
        sha256_path(path).unlink(missing_ok=True)
        raise InputError(
            f"{str(error).rstrip('.')}. No hash of {path.name} is published, and this is not what "
            "it should hold. Move it away to have it fetched again."
        ) from None


def _describe_content(release: Release, file: PublishedFile, path: Path) -> str:
    """Return what a table or archive was found to hold, after reading it to its end.

    Raises:
        InputError: it lacks columns, rows or images, is damaged or cut short.
    """
    if file.role == "images":
        names = verify_archive(path)
        images = sum(judge_name(name) == IMAGE for name in names)
        if not images:
            raise InputError(f"{path} holds {len(names)} files and no image. Fetch it again.")
        return f"{images:,} images, each readable to its end"
    if file.role == "catalogue":
        _require_columns(release, path)
    if file.role == "mapping" or isinstance(release.mapping, ImageKey):
        require_image_names(release, path)
    return f"columns as expected, readable to the end, {count_rows(read_table_header(path)):,} rows"


def _require_columns(release: Release, path: Path) -> None:
    """Raise InputError unless a table has the columns of one of the release's schemes."""
    errors = []
    for scheme in release.schemes.values():
        try:
            match_catalogue(release, scheme, path)
            return
        except InputError as error:
            errors.append(error)
    raise errors[0]


def _check(release: Release, file: PublishedFile, path: Path) -> CheckedFile:
    """Compare a file, or what stands at the path in its place, with what is known of it."""
    is_own = path.name == file.name
    if not is_own:
        file = replace(file, md5=None, size_bytes=None)
    text = "" if is_own else f"{path.name} is used in its place. "
    try:
        text += _verify(release, file, path)
    except InputError as error:
        return CheckedFile(name=file.name, finding=text + str(error), is_right=False)
    return CheckedFile(name=file.name, finding=text)


def _verify(release: Release, file: PublishedFile, path: Path) -> str:
    if path.is_dir():
        count = len(list_images(path).images)
        if not count:
            raise InputError(f"{path} holds no image.")
        return f"{count:,} images, counted and not read"
    with name_disk_trouble(path):
        recorded = read_sha256(path)
        found = check_file(_as_download(replace(file, name=path.name)), folder=path.parent)
        if file.md5:
            content = "right, MD5 as published"
        else:
            content = f"no published hash: {_describe_content(release, file, path)}"
    since = "as when it first came" if recorded else "not recorded before"
    return f"{content}, {found.size_bytes:,} bytes, SHA-256 {found.sha256} ({since})"


def _link_source(config: RunConfig, release: Release, source: Path, folder: Path) -> None:
    """Make symbolic links in the folder to what a source has and the Zenodo record does not offer.

    These are the images, if their archive is not on Zenodo, and tables published elsewhere.

    Raises:
        InputError: there is no such source folder, or it lacks the images.
    """
    if not source.is_dir():
        raise InputError(f"The source folder {source} does not exist or is not a folder.")
    targets = [
        each.path
        for each in find_placed(release, source)
        if each.path and each.file.role != "images" and not find_zenodo_record(each.file)
    ]
    offered = {file.role for file in release.files if find_zenodo_record(file)}
    if "images" not in offered:
        targets.append(locate_images(config, release, source))
    with name_disk_trouble(folder):
        for target in targets:
            link = folder / target.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            if not (link.is_symlink() or link.exists()):
                link.symlink_to(target)


def _reuse_files(release: Release, folder: Path) -> None:
    """Take missing files of known MD5 from other versions' folders, where they lie verified."""
    missing = [each.file for each in find_placed(release, folder) if not each.path]
    with name_disk_trouble(folder):
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted(folder.parent.iterdir())
        verified = dict(known for other in others for known in _find_verified(other))
        for file in missing:
            if known := verified.get(file.md5 or ""):
                _logger.info("%s: the same as %s, taken from there", file.name, known)
                _link_or_copy(known, folder / file.name)


def _link_or_copy(path: Path, target: Path) -> None:
    try:
        target.hardlink_to(path)
    except OSError:  # a disk without hard links
        with path.open("rb") as file:
            write_durably(target, lambda copy: shutil.copyfileobj(file, copy))


def _find_verified(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield MD5 and path of each file of a folder that has not changed since it was verified."""
    state = _read_state(folder)
    for name, md5 in state.get("verified_md5", {}).items():
        path = folder / name
        if path.is_file() and state["files"].get(name) == _measure(path):
            yield md5, path


def _read_state(folder: Path) -> dict[str, Any]:
    path = folder / VERIFIED
    return read_json(path) if path.is_file() else {}


def _describe_state(release: Release, folder: Path, *, images_folder: str) -> dict[str, Any] | None:
    """Return what shows whether the release has changed; None if something is missing.

    The time of the image folder changes with each name in it. The images themselves, whose bytes
    were verified when they were unpacked, are not looked at.
    """
    paths = [each.path for each in find_placed(release, folder)]
    images = find_image_source(release, folder, named=images_folder)
    if images is None or None in paths or (folder / INCOMPLETE).exists():
        return None
    return {
        "files": {path.name: _measure(path) for path in paths if path},
        "published_md5": {file.name: file.md5 for file in release.files},
        "images_changed_ns": images.stat().st_mtime_ns,
    }


def _measure(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
