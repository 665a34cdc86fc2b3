"""Locks between processes: one does the work, the others wait and log which one holds them up."""

import contextlib
import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from galaxy_tasks.errors import InputError, ResourceError

_logger = logging.getLogger(__name__)
_POLL_INTERVAL_S = 0.2


@contextlib.contextmanager
def hold_lock(
    path: Path, *, timeout_s: float, stop: threading.Event | None = None
) -> Iterator[None]:
    """Hold an exclusive lock that the operating system frees when the process dies.

    The file names the holder, and is never removed: else one process could lock the removed file
    and another a new one.

    Args:
        path: the lock's file; its folder is made.
        timeout_s: how long to wait for another holder.
        stop: when set, from another thread, the wait ends.

    Raises:
        InputError: the disk knows no locks.
        ResourceError: another held it for `timeout_s` seconds, or `stop` was set meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stop = stop or threading.Event()
    deadline = time.monotonic() + timeout_s
    is_logged = False
    with path.open("a+") as lock:
        while not _try_lock(lock):
            if timeout_s and not is_logged:
                _logger.info("%s: waiting for %s, which holds the lock", path, _read_holder(lock))
                is_logged = True
            if time.monotonic() >= deadline:
                raise ResourceError(
                    f"{path} stayed locked for {timeout_s:.0f} s by {_read_holder(lock)}. "
                    "Check whether it still makes progress, then run again."
                )
            if stop.wait(_POLL_INTERVAL_S):
                raise ResourceError(f"Stopped while waiting for {path}.")
        _write_holder(lock)
        yield


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise InputError(
            f"{lock.name} cannot be locked ({error.strerror}): its disk, perhaps one over a "
            "network, has no locks. Put results (GALAXY_HOME) and Airflow's files "
            "(GALAXY_AIRFLOW_HOME) on one that has."
        ) from None
    return True


def _write_holder(lock: IO[str]) -> None:
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    lock.flush()


def _read_holder(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read().strip() or "another process"
