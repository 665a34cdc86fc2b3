"""The disk: whether there is enough space, what an error of it means, and what `~` stands for."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.formatting import format_bytes


def check_free_space(folder: Path, needed_bytes: int, *, reserve_bytes: int) -> None:
    """Raise ResourceError unless the folder's disk has room for this, and the reserve."""
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes and free_bytes - reserve_bytes < needed_bytes:
        raise ResourceError(
            f"{folder} has too little space: {format_bytes(needed_bytes)} needed (and "
            f"{format_bytes(reserve_bytes)} left to other programs), {format_bytes(free_bytes)} "
            "free. Free some, or choose a folder on another disk, and run again to continue."
        )


@contextlib.contextmanager
def name_disk_trouble(folder: Path) -> Iterator[None]:
    """Turn an error of the operating system into a ResourceError that says what to do."""
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"{error.filename or folder}: {error.strerror or error}. Check whether the disk is "
            "full, failing or read-only. What is there is kept; run again to continue."
        ) from error


def expand_home(source: str | Path) -> Path:
    """Return an absolute path; raise InputError for the home (~name) of somebody unknown."""
    try:
        return Path(source).expanduser().absolute()
    except RuntimeError:
        raise InputError(f"'source' is in the home of an unknown user: {source}") from None
