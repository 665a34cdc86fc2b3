"""One process does the work, the others wait for it and say for whom."""

import contextlib
import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from galaxy_tasks.errors import ResourceError

_LOOK_AGAIN_S = 0.2


@contextlib.contextmanager
def hold_lock(
    path: Path, *, timeout_s: float, stop: threading.Event | None = None
) -> Iterator[None]:
    """Hold an exclusive lock that the operating system frees when the process dies.

    The file says who holds it. It stays: were it removed, one process could hold the removed and
    one the new.

    Args:
        path: the lock's file; its folder is made.
        timeout_s: how long another holder is waited for.
        stop: when set, from another thread, the wait ends.

    Raises:
        ResourceError: another held it for `timeout_s` seconds, or `stop` was set meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stop = stop or threading.Event()
    deadline = time.monotonic() + timeout_s
    is_announced = False
    with path.open("a+") as lock:
        while not _try_lock(lock):
            if timeout_s and not is_announced:
                # In one piece, as several threads may wait at a time.
                text = f"waiting for {_read_holder(lock)}, which works on the same"
                print(f"{path}: {text}\n", end="", flush=True)
                is_announced = True
            if time.monotonic() > deadline:
                raise ResourceError(
                    f"{path} stayed locked for {timeout_s:.0f} s by {_read_holder(lock)}. "
                    "See whether that still makes progress, and run again."
                )
            if stop.wait(_LOOK_AGAIN_S):
                raise ResourceError(f"Stopped while waiting for {path}.")
        _write_holder(lock)
        yield


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_holder(lock: IO[str]) -> None:
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    lock.flush()


def _read_holder(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read().strip() or "another process"
