"""What the disk has room for, and what is said when it fails."""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from galaxy_tasks.errors import ResourceError
from galaxy_tasks.formatting import format_bytes

_LOCK = threading.Lock()
_CLAIMS: dict["SpaceClaim", int] = {}
"""What each running download of this process has still to write."""


def check_free_space(folder: Path, needed_bytes: int, *, reserve_bytes: int) -> None:
    """Raise ResourceError unless the folder's disk has room for this, and the reserve."""
    _require_space(folder, needed_bytes, reserve_bytes=reserve_bytes, claimed_bytes=0)


class SpaceClaim:
    """The room that one download needs: to the others of this process it is as good as used."""

    def __init__(self, folder: Path, *, reserve_bytes: int) -> None:
        """Claim nothing yet."""
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self._disk = folder.stat().st_dev

    def __enter__(self) -> "SpaceClaim":
        return self

    def __exit__(self, *_: object) -> None:
        self.note_left(0)

    def claim(self, needed_bytes: int) -> None:
        """Claim this in place of what was claimed before.

        Raises:
            ResourceError: the disk has not as much beside the reserve and all other claims.
        """
        with _LOCK:
            claimed_bytes = sum(
                left_bytes
                for other, left_bytes in _CLAIMS.items()
                if other is not self and other._disk == self._disk
            )
            _require_space(
                self._folder,
                needed_bytes,
                reserve_bytes=self._reserve_bytes,
                claimed_bytes=claimed_bytes,
            )
            _CLAIMS[self] = needed_bytes

    def note_left(self, left_bytes: int) -> None:
        """Give back what has been written, or will not be."""
        with _LOCK:
            if left_bytes > 0:
                _CLAIMS[self] = left_bytes
            else:
                _CLAIMS.pop(self, None)


def _require_space(
    folder: Path, needed_bytes: int, *, reserve_bytes: int, claimed_bytes: int
) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes and free_bytes - reserve_bytes - claimed_bytes < needed_bytes:
        claimed = f", {format_bytes(claimed_bytes)} of it for other downloads that are running"
        raise ResourceError(
            f"{folder} has too little space: {format_bytes(needed_bytes)} needed (and "
            f"{format_bytes(reserve_bytes)} left to others), {format_bytes(free_bytes)} "
            f"free{claimed if claimed_bytes else ''}. "
            "Free some, or choose a folder on another disk, and run again to go on."
        )


@contextlib.contextmanager
def name_disk_trouble(folder: Path) -> Iterator[None]:
    """Turn an error of the operating system into a ResourceError that says what to do."""
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"{error.filename or folder}: {error.strerror or error}. See whether the disk is full, "
            "failing or not writable; what is done is kept, and another run goes on from there."
        ) from error
