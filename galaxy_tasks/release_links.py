"""What of a new version is here already: linked into its folder instead of fetched or copied."""

import hashlib
import os
from pathlib import Path

from galaxy_tasks.config import RunConfig
from galaxy_tasks.downloads.disk import name_disk_trouble
from galaxy_tasks.errors import InputError
from galaxy_tasks.release_images import locate_images
from galaxy_tasks.release_placed import find_placed
from galaxy_tasks.releases.offers import find_record
from galaxy_tasks.releases.rules import Release


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
        if each.path and each.file.role != "images" and not find_record(each.file)
    ]
    offered = [file for file in release.files if find_record(file)]
    if all(file.role != "images" for file in offered):
        targets.append(locate_images(config, release, source))
    with name_disk_trouble(folder):
        for target in targets:
            _link(folder / target.relative_to(source), target)


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
