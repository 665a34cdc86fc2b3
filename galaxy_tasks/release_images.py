"""Find a release's images on disk: the folder, or the zip that stands for it."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases.files import is_image, shorten
from galaxy_tasks.releases.rules import Release
from galaxy_tasks.zipped_images import is_zip

INCOMPLETE = ".images.incomplete"
"""Beside an image folder while archives are unpacked into it: it stands for none of them."""


def locate_images(config: RunConfig, release: Release, folder: Path) -> Path:
    """Return the folder with the images, else the zip with them, inside a source folder.

    Raises:
        InputError: there is neither, or more than one; says what is there.
    """
    if config.images_folder:
        stay_inside(folder, config.images_folder, setting="images_folder")
    found = find_images(release, folder, named=config.images_folder)
    names = (config.images_folder,) if config.images_folder else release.images_folders
    if found is None and (folder / INCOMPLETE).exists():
        raise InputError(
            f"The images in {folder} are unpacked in part only. Run `galaxy-morphology releases "
            f"fetch {release.name} --folder {folder}` to go on."
        )
    if found is None and names:
        raise InputError(
            f"{folder} lacks the image folder {' or '.join(names)}, and a zip in its place. Set "
            f"'images_folder' if it is named otherwise. Found: {describe_folder(folder)}"
        )
    return found or _choose_images(folder)


def find_images(release: Release, folder: Path, *, named: str = "") -> Path | None:
    """Return the release's image folder, or the zip in its place; None if there is neither.

    A folder that archives are only partly unpacked into counts as none.

    Args:
        release: names the folder, and the archive that is published.
        folder: where to look.
        named: folder or zip to look for instead.
    """
    names = (named,) if named else release.images_folders
    paths = [Path(os.path.normpath(folder / name)) for name in names]
    zips = [*paths, *(path.with_name(path.name + ".zip") for path in paths)]
    if not named:
        zips += [folder / name for name in _name_whole_archive(release)]
    is_partial = not named and (folder / INCOMPLETE).exists()
    folders = [] if is_partial else [path for path in paths if path.is_dir()]
    return next(iter(folders), None) or next((path for path in zips if is_zip(path)), None)


def _name_whole_archive(release: Release) -> Iterator[str]:
    """Yield the name of the archive if it has all the images; parts must be unpacked together."""
    archives = [file.name for file in release.files if file.role == "images"]
    if len(archives) == 1:
        yield archives[0]


def _choose_images(folder: Path) -> Path:
    """Return the only folder that holds images, the folder itself, or the only zip."""
    holding = [path for path in sorted(folder.iterdir()) if path.is_dir() and has_images(path)]
    if len(holding) == 1:
        return holding[0]
    if not holding and has_images(folder):
        return folder
    zips = [] if holding else [path for path in sorted(folder.iterdir()) if is_zip(path)]
    if len(zips) == 1:
        return zips[0]
    raise InputError(
        f"{folder} must hold one folder with images, or one zip. Set 'images_folder'. "
        f"Found with images: {_join_names(holding or zips)}"
    )


def _join_names(paths: Iterable[Path]) -> str:
    return shorten(path.name for path in paths)


def has_images(folder: Path) -> bool:
    """Return whether the folder itself holds an image."""
    return any(is_image(path.name) for path in folder.iterdir())


def stay_inside(folder: Path, name: str, *, setting: str) -> Path:
    """Return folder / name; who may start a run may not read the machine's other files with it.

    Raises:
        InputError: the name leads out of the folder.
    """
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(os.path.normpath(folder)):
        raise InputError(
            f"{setting!r} must lie inside the source folder {folder}. Received: {name!r}"
        )
    return path


def describe_folder(folder: Path) -> str:
    """Return the names in a folder as one line, for a message."""
    if not folder.is_dir():
        return "no such folder"
    return shorten(sorted(path.name + "/" * path.is_dir() for path in folder.iterdir()))
