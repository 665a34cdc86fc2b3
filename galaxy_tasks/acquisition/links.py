"""What of a new version is here already: linked into its folder instead of fetched or copied."""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from galaxy_tasks.acquisition.downloads.disk import name_disk_trouble
from galaxy_tasks.acquisition.locate import INCOMPLETE, find_placed, locate_images
from galaxy_tasks.acquisition.stock import find_verified, is_images_untouched
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases.availability import find_zenodo_record
from galaxy_tasks.releases.schema import Release


def name_source(config: RunConfig) -> str:
    """Return what a version's folder is called besides, so that each source has its own links."""
    if not config.source:
        return ""
    text = f"{_find_source(config)}\0{config.images_folder}"
    return "-" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def link_source(config: RunConfig, release: Release, folder: Path) -> None:
    """Make symbolic links in the folder to what `source` has and the Zenodo record does not offer.

    These are the images, where the release has no archive of them there, and tables that are
    published elsewhere.

    Raises:
        InputError: there is no such source folder, or it lacks the images.
    """
    source = _find_source(config)
    if not source.is_dir():
        raise InputError(f"The source folder {source} does not exist or is no folder.")
    targets = [
        each.path
        for each in find_placed(release, source)
        if each.path and each.file.role != "images" and not find_zenodo_record(each.file)
    ]
    offered = [file for file in release.files if find_zenodo_record(file)]
    if all(file.role != "images" for file in offered):
        targets.append(locate_images(config, release, source))
    with name_disk_trouble(folder):
        for target in targets:
            _link(folder / target.relative_to(source), target)


def link_known(release: Release, folder: Path) -> None:
    """Make hard links in the folder to files of the same MD5 that were fetched beside it.

    Where these are all of the release's archives, the images unpacked from them are linked, too.
    All of it is verified afterwards like anything else that is there: nothing is believed.
    """
    missing = [
        each.file for each in find_placed(release, folder) if not each.path and each.file.md5
    ]
    others = sorted(folder.parent.iterdir()) if missing and folder.parent.is_dir() else []
    known: dict[str | None, Path] = {}
    for other in others:
        if other != folder and other.is_dir():
            known |= find_verified(other)
    with name_disk_trouble(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file in missing:
            if file.md5 in known:
                _link_or_copy(known[file.md5], folder / file.name)
                print(f"{file.name}: the same as {known[file.md5]}, taken from there", flush=True)
        archives = [file for file in release.files if file.role == "images"]
        homes = {known[file.md5].parent if file.md5 in known else None for file in archives}
        if len(homes) == 1 and (home := homes.pop()):
            _link_images(home, folder, name=release.images_folders[0])


def _link_or_copy(path: Path, target: Path) -> None:
    """Make the target the same file, or a copy on another file system or one without hard links."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.link")
    try:
        temporary.unlink(missing_ok=True)  # of a process of this number that was killed
        try:
            temporary.hardlink_to(path)
        except OSError:
            shutil.copyfile(path, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _link_images(home: Path, folder: Path, *, name: str) -> None:
    """Link what was unpacked before; unpacking compares it with the archives."""
    images = folder / name
    if images.exists() or not is_images_untouched(home, home / name):
        return
    (folder / INCOMPLETE).touch()
    images.mkdir()
    with os.scandir(home / name) as entries, contextlib.suppress(OSError):
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                (images / entry.name).hardlink_to(entry.path)


def _find_source(config: RunConfig) -> Path:
    return Path(os.path.normpath(Path(config.source).expanduser().absolute()))


def _link(path: Path, target: Path) -> None:
    """Make a symbolic link at the path; what is there already and no link is left alone."""
    if path.is_symlink() and path.readlink() == target:
        return
    if path.exists() and not path.is_symlink():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.link")
    temporary.symlink_to(target)
    temporary.replace(path)
