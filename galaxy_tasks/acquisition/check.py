"""Whether what lies in a folder is what a release publishes, and what that could be told by.

Where a hash is published, a file is that file or another one. Where none is, the most that can be
said is that it is whole, has the columns or images that the release must have, and has not changed
since it first came.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from galaxy_tasks.acquisition.archives import check_members, iterate_members, name_damage
from galaxy_tasks.acquisition.downloads.disk import name_disk_trouble
from galaxy_tasks.acquisition.downloads.fetching import check_file
from galaxy_tasks.acquisition.downloads.records import RemoteFile
from galaxy_tasks.acquisition.downloads.verification import read_record
from galaxy_tasks.acquisition.locate import (
    PlacedFile,
    find_images,
    find_placed,
    find_read_tables,
    plan_catalogue,
    require_image_names,
)
from galaxy_tasks.acquisition.tables import count_rows, is_image, list_file_names, read_table_header
from galaxy_tasks.acquisition.zip_reader import MAX_RATIO, MAX_UNPACKED_BYTES
from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases.schema import ImageKey, PublishedFile, Release

_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True, kw_only=True)
class CheckedFile:
    """A file or image folder of a release on disk, compared with what is known of it."""

    name: str
    finding: str = ""
    """What was verified, in words."""
    problem: str = ""
    """Why it is missing or not what it should be; empty: nothing speaks against it."""


def check_release(release: Release, *, folder: Path) -> list[CheckedFile]:
    """Compare the release's files and images in the folder with what is known; change nothing.

    A table or image folder that is read in place of a published file is checked as well.

    Raises:
        ResourceError: the disk fails.
    """
    placed = find_placed(release, folder)
    checked = [_check_placed(release, each, folder) for each in placed]
    seen = {each.path for each in placed}
    others = [path for path in find_read_tables(release, folder) if path not in seen]
    for path in others:  # would be read, though the published file is there, too
        is_mapping = path.name in getattr(release.mapping, "file_names", ())
        role = "mapping" if is_mapping else "catalogue"
        file = PublishedFile(name=path.name, addresses=(), role=role)
        checked.append(_check_file(release, file, folder))
    images = _check_images_folder(release, folder)
    return [*checked, images] if images else checked


def _check_placed(release: Release, placed: PlacedFile, folder: Path) -> CheckedFile:
    if not placed.placeholder:
        return _check_file(release, placed.file, folder)
    path, file = placed.placeholder, placed.file
    told = f"{path.name} is in its place"
    if path.is_dir():
        return CheckedFile(name=file.name, finding=told)
    found = _check_file(release, replace(file, name=path.name, md5=None, size_bytes=None), folder)
    return CheckedFile(
        name=file.name,
        finding=f"{told}. {found.finding}" if found.finding else "",
        problem=f"{told}. {found.problem}" if found.problem else "",
    )


def _check_file(release: Release, file: PublishedFile, folder: Path) -> CheckedFile:
    path = folder / file.name
    known = RemoteFile(file.name, size_bytes=file.size_bytes, md5=file.md5)
    try:
        with name_disk_trouble(folder):
            recorded = read_record(path)
            found = check_file(known, folder=folder)
            content = check_content(release, file, path)
    except InputError as error:
        return CheckedFile(name=file.name, problem=str(error))
    if known.has_hash:
        finding = f"right, MD5 as published, SHA-256 {found.sha256}"
    else:
        since = "as when it first came" if recorded else "not recorded before"
        size = f"{found.size_bytes:,} bytes"
        finding = f"no published hash: {content}, {size}, SHA-256 {found.sha256} ({since})"
    return CheckedFile(name=file.name, finding=finding)


def check_content(
    release: Release, file: PublishedFile, path: Path, *, config: RunConfig | None = None
) -> str:
    """Return what a file was found to hold; what has a published hash is not read to its end.

    Args:
        release: says which columns a table must have.
        file: says what the file is.
        path: where it is.
        config: settings that name columns or the scheme; None: one of the release's schemes.

    Raises:
        InputError: it is damaged, cut short, or not what the release needs.
    """
    if file.role == "images":
        return "" if file.md5 else _check_archive(path)
    if file.role == "catalogue":
        _check_catalogue(release, path, config)
    if file.role == "mapping" or isinstance(release.mapping, ImageKey):
        require_image_names(release, path)
    if file.md5:
        return ""
    rows = count_rows(read_table_header(path))
    return f"header as expected, readable to the end, {rows:,} rows"


def _check_catalogue(release: Release, path: Path, config: RunConfig | None) -> None:
    """Raise InputError unless the table has the columns of one of the schemes."""
    own = {"release": release.name, "source": str(path.parent)}
    schemes = [parse_config({**own, "scheme": scheme}) for scheme in release.schemes]
    errors = []
    for each in [config] if config else schemes:
        try:
            plan_catalogue(each, path)
            return
        except InputError as error:
            errors.append(error)
    raise errors[0]


def _check_archive(archive: Path) -> str:
    """Return how many images an archive holds, after reading every file in it to its end."""
    with name_damage(archive):
        members = iterate_members(archive, max_ratio=MAX_RATIO)
        files = check_members(
            archive, members, max_total_bytes=MAX_UNPACKED_BYTES, max_ratio=MAX_RATIO
        )
        for member in iterate_members(archive, max_ratio=MAX_RATIO):
            if not member.is_folder:
                with member.open() as stream:
                    _require_length(archive, member.name, stream.read, member.size_bytes)
    images = sum(is_image(name) for name, _ in files)
    if not images:
        raise InputError(f"{archive} holds {len(files)} files and no image. Fetch it again.")
    return f"{images:,} images, each readable to its end"


def _require_length(
    archive: Path, name: str, read: Callable[[int], bytes], expected_bytes: int
) -> None:
    read_bytes = 0
    while chunk := read(_CHUNK_BYTES):
        read_bytes += len(chunk)
    if read_bytes != expected_bytes:
        raise InputError(
            f"{archive}: member {name!r} ends after {read_bytes} of {expected_bytes} bytes. "
            "Remove the archive and fetch it again."
        )


def _check_images_folder(release: Release, folder: Path) -> CheckedFile | None:
    """Return how many images the release's image folder has; None where there is no such folder."""
    images = find_images(release, folder)
    if images is None or not images.is_dir():
        return None
    with name_disk_trouble(folder):
        count = sum(map(is_image, list_file_names(images)))
    if not count:
        return CheckedFile(name=images.name, problem=f"{images} holds no image.")
    return CheckedFile(name=images.name, finding=f"{count:,} images, counted and not read")
