"""What may be removed from the folder of all artifacts, and its removal.

Labels, holdouts and ablations always stay: they are small, and reports name them. The rest stays
while it is needed, or was used lately, as by a run that is under way.
"""

import contextlib
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
    "fold_models": "predictions of an ablation",
    "baselines": "baseline of an earlier run",
    "predictions": "predictions of an earlier champion",
    "evaluations": "report",
    "exports": "export of a model",
}
_ALWAYS_KEPT: tuple[Kind, ...] = ("holdouts", "labels", "ablations")
REMOVED_PREFIX = ".removed-"


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


def remove(folder: Unneeded) -> str:
    """Remove a folder that was found unneeded; return '' or why it was kept."""
    if folder.path.exists() and _find_last_use(folder.path) > folder.last_used_s:
        return "it was used meanwhile"
    try:
        with hold_lock(_lock_of(folder.path), timeout_s=0):
            remove_at_once(folder.path)
    except ResourceError:
        return "a process is writing it"
    except OSError as error:
        return f"it cannot be removed: {error.strerror or error}"
    return ""


def remove_at_once(path: Path) -> None:
    """Remove an artifact or draft so that a reader sees all of it or nothing."""
    hidden = path.with_name(REMOVED_PREFIX + path.name.lstrip(".").removeprefix("removed-"))
    if path != hidden and path.exists():
        shutil.rmtree(hidden, ignore_errors=True)  # left by a removal that was interrupted
        path.rename(hidden)
    if hidden.exists():
        shutil.rmtree(hidden)


def _list_folders() -> Iterator[Unneeded]:
    for kind in (*_REMOVABLE, *_ALWAYS_KEPT):
        for path in (home() / kind).glob("*/"):
            if path.name.startswith(DRAFT_PREFIX):
                yield _measure(path, f"unfinished {kind}")
            elif path.name.startswith(REMOVED_PREFIX):
                yield _measure(path, "left by a removal that was interrupted")
            elif kind in _REMOVABLE and not path.name.startswith("."):
                yield _measure(path, _REMOVABLE[kind])


def _measure(path: Path, what: str) -> Unneeded:
    size_bytes = 0
    for file in path.rglob("*"):
        with contextlib.suppress(OSError):  # a run at work has just removed it
            size_bytes += 0 if file.is_dir() else file.lstat().st_size
    return Unneeded(path, what, size_bytes, _find_last_use(path))


def _find_last_use(path: Path) -> float:
    """Return when an artifact was published or used, or when a draft was last written."""
    has_manifest = (path / MANIFEST).is_file()
    files = [path / MANIFEST] if has_manifest else [path, *path.rglob("*")]
    times = [0.0]
    for file in (_lock_of(path), *files):
        with contextlib.suppress(OSError):  # a run at work has just removed it
            times.append(file.lstat().st_mtime)
    return max(times)


def _lock_of(path: Path) -> Path:
    key = path.name.removeprefix(DRAFT_PREFIX).removeprefix(REMOVED_PREFIX)
    return lock_path(path.parent, key)
