"""Starts programs in sessions of their own, and ends every process of a session.

Airflow puts each task into a process group of its own, so that a signal to one group would leave
trainers behind. All of them stay in the session in which Airflow was started.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

GRACE_S = 10.0


@dataclass(frozen=True)
class Process:
    """A process that has not ended."""

    pid: int
    session: int
    started: str
    """When it started, as a text to compare: with the pid it names the process for ever."""


def start_session(
    command: list[str], *, folder: Path, environment: Mapping[str, str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a program in `folder` as the leader of a new session; its output goes to `log`."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end_sessions(sessions: Iterable[int], *, grace_s: float = GRACE_S) -> int:
    """End every process of these sessions, politely first, and return how many there were."""
    numbers = set(sessions)
    members = list_members(numbers)
    _signal(members, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while list_members(numbers) and time.monotonic() < deadline:
        time.sleep(0.1)
    # A process that waits for a dead disk cannot even be killed: it must not keep us, too.
    deadline = time.monotonic() + GRACE_S
    while (remaining := list_members(numbers)) and time.monotonic() < deadline:
        _signal(remaining, signal.SIGKILL)
        time.sleep(0.1)
    return len(members)


def list_members(sessions: set[int]) -> list[Process]:
    """Return the processes of these sessions that have not ended."""
    return [process for process in list_processes() if process.session in sessions]


def list_processes() -> list[Process]:
    """Return all processes of the machine that have not ended."""
    if Path("/proc/self/stat").exists():
        found = [_read_stat(path) for path in Path("/proc").glob("[0-9]*/stat")]
    else:
        found = [_read_ps_line(line) for line in _ps().splitlines()]
    return [process for process in found if process]


def _read_stat(path: Path) -> Process | None:
    """Return the process of a file `/proc/PID/stat` : state, session, start are 3, 6, 22."""
    try:
        pid, rest = path.read_text().split(" (", 1)
    except (OSError, UnicodeDecodeError):  # it ended meanwhile
        return None
    fields = rest.rsplit(")", 1)[1].split()
    return None if fields[0] in "ZX" else Process(int(pid), int(fields[3]), fields[19])


def _read_ps_line(line: str) -> Process | None:
    pid, state, started = line.split(maxsplit=2)
    try:
        session = os.getsid(int(pid))
    except OSError:
        return None
    return None if state.startswith("Z") else Process(int(pid), session, started.strip())


def _ps() -> str:
    command = ["ps", "-A", "-o", "pid=,stat=,lstart="]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _signal(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            continue
