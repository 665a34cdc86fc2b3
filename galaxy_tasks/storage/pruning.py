"""What may be removed from the folder of all artifacts, and its removal.

Labels, holdouts and evaluations always stay: they are small, and reports name them. The rest stays
while it is needed, or was used lately, as by a run that is under way.
"""

import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.errors import ResourceError
from galaxy_tasks.storage.artifacts import DRAFT_PREFIX, MANIFEST, Kind, home, lock_path
from galaxy_tasks.storage.locks import hold_lock

_REMOVABLE: dict[Kind, str] = {
    "releases": "simulated release",
    "images": "prepared images",
    "models": "model that no report lists",
    "predictions": "predictions of an earlier champion",
}
_ALWAYS_KEPT: tuple[Kind, ...] = ("holdouts", "labels", "evaluations")
_REMOVED_PREFIX = ".removed-"


@dataclass(frozen=True)
class Unneeded:
    """A folder that nothing needs."""

    path: Path
    what: str
    size_bytes: int
    last_used_s: float
    """Seconds since 1970."""


def find_unneeded(needed: Collection[Path], *, unused_days: float) -> list[Unneeded]:
    """Return what is neither needed nor used lately, the largest first.

    Args:
        needed: folders of artifacts that stay.
        unused_days: what was written, read or tried within these days stays, too.
    """
    until_s = time.time() - unused_days * 86_400
    found = [folder for folder in _list_folders() if folder.path not in needed]
    old = [folder for folder in found if folder.last_used_s <= until_s]
    return sorted(old, key=lambda folder: folder.size_bytes, reverse=True)


def remove(folder: Path) -> bool:
    """Remove the folder, and return whether that was done: not while a process writes it."""
    key = folder.name.removeprefix(DRAFT_PREFIX).removeprefix(_REMOVED_PREFIX)
    try:
        with hold_lock(lock_path(folder.parent, key), timeout_s=0):
            hidden = folder.with_name(f"{_REMOVED_PREFIX}{key}")
            shutil.rmtree(hidden, ignore_errors=True)
            if folder.exists():
                folder.rename(hidden)  # a reader sees all of it or nothing
            shutil.rmtree(hidden, ignore_errors=True)
    except ResourceError:
        return False
    return True


def _list_folders() -> Iterator[Unneeded]:
    for kind in (*_REMOVABLE, *_ALWAYS_KEPT):
        for path in (home() / kind).glob("*/"):
            if path.name.startswith(DRAFT_PREFIX):
                yield _measure(path, f"unfinished {kind}")
            elif path.name.startswith(_REMOVED_PREFIX):
                yield _measure(path, "left by a removal that was interrupted")
            elif kind in _REMOVABLE and not path.name.startswith("."):
                yield _measure(path, _REMOVABLE[kind])


def _measure(path: Path, what: str) -> Unneeded:
    """Return the size, and the last use: of a draft its newest file, else its manifest's."""
    statuses = [file.lstat() for file in path.rglob("*") if not file.is_dir()]
    manifest = path / MANIFEST
    used_s = (
        manifest.stat().st_mtime
        if manifest.is_file()
        else max((status.st_mtime for status in statuses), default=path.stat().st_mtime)
    )
    return Unneeded(path, what, sum(status.st_size for status in statuses), used_s)
