"""Starts programs in sessions of their own, and ends every process of a session.

Airflow puts each task into a process group of its own, so that a signal to one group would leave
trainers behind. All of them stay in the session in which Airflow was started.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

import psutil

GRACE_S = 10.0


def start_session(
    command: list[str], *, folder: Path, environment: Mapping[str, str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a program in `folder` as the leader of a new session; its output goes to `log`."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end_sessions(leaders: Iterable[int], *, grace_s: float = GRACE_S) -> int:
    """End every process of these leaders' sessions and return how many there were.

    Each is asked to end (SIGTERM), and what is left after `grace_s` is killed.
    """
    sessions = set(leaders)
    members = list_members(sessions)
    _signal(members, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while list_members(sessions) and time.monotonic() < deadline:
        time.sleep(0.1)
    # A process that waits for a dead disk cannot even be killed: it must not keep us, too.
    deadline = time.monotonic() + GRACE_S
    while (remaining := list_members(sessions)) and time.monotonic() < deadline:
        _signal(remaining, signal.SIGKILL)
        time.sleep(0.1)
    return len(members)


def list_members(sessions: set[int]) -> list[psutil.Process]:
    """Return the processes of these sessions that have not ended."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):  # it ended meanwhile, or is another user's
            is_member = os.getsid(process.pid) in sessions
            if is_member and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
