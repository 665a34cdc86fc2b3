"""One process does the work, the others wait for it."""

import contextlib
import fcntl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from galaxy_tasks.downloads.progress import say
from galaxy_tasks.errors import ResourceError

_LOOK_AGAIN_S = 0.2


@contextlib.contextmanager
def hold_lock(path: Path, *, timeout_s: float, stop: threading.Event) -> Iterator[None]:
    """Hold an exclusive lock that the operating system frees when the process dies.

    The file stays: were it removed, one process could hold the removed and one the new.

    Raises:
        ResourceError: another held it for `timeout_s` seconds, or `stop` was set meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    is_announced = False
    with path.open("a") as lock:
        while not _try_lock(lock.fileno()):
            if not is_announced:
                say(f"Another process works on the same; waiting for it ({path}).")
                is_announced = True
            if time.monotonic() > deadline:
                raise ResourceError(
                    f"{path} stayed locked for {timeout_s:.0f} s. "
                    "See whether the process that holds it still makes progress, and run again."
                )
            if stop.wait(_LOOK_AGAIN_S):
                raise ResourceError(f"Stopped while waiting for {path}.")
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
