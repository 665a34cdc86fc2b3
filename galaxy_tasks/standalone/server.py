"""One Airflow of this project's own: how it is set up, started and stopped.

All it keeps is in one folder, the project's `.airflow`. It listens on the loopback address only,
and so do the log server of its tasks and Spark's driver. The password is generated and readable by
its owner alone.
"""

import contextlib
import getpass
import json
import logging
import secrets
import shlex
import sqlite3
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from galaxy_tasks.config import Preset
from galaxy_tasks.errors import GalaxyMorphologyError, InputError, ResourceError
from galaxy_tasks.standalone import sessions
from galaxy_tasks.standalone.client import Client
from galaxy_tasks.standalone.environment import make_environment
from galaxy_tasks.standalone.loopback import HOST, find_free_port
from galaxy_tasks.standalone.paths import USER, Paths, read_or_write_secret
from galaxy_tasks.storage.locks import hold_lock

START_TIMEOUT_S = 600
_LINES_SHOWN = 25
_logger = logging.getLogger(__name__)


class StartError(GalaxyMorphologyError):
    """Airflow did not start; the message ends with the last lines of its log."""


@contextlib.contextmanager
def run_server(paths: Paths, *, port: int, preset: Preset) -> Iterator[Client]:
    """Yield a client of a healthy Airflow, and end every one of its processes on leaving.

    Raises:
        InputError: another command already runs an Airflow here, or its database cannot lie here.
        StartError: it did not become healthy.
    """
    paths.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(paths.lock, timeout_s=0))
        except ResourceError:
            raise InputError(_describe_running(paths)) from None
        paths.address.unlink(missing_ok=True)
        check_disk(paths)
        end_leftovers(paths)
        paths.log.write_bytes(b"")
        port = _choose_port(port)
        paths.address.write_text(f"http://{HOST}:{port}")
        environment = make_environment(paths, port=port, preset=preset)
        client = Client(f"http://{HOST}:{port}", user=USER, password=read_password(paths))
        server = stack.enter_context(_run(_server_command(paths), paths, environment))
        _wait_until_healthy(client, server, paths.log)
        stack.enter_context(_run(_log_server_command(environment), paths, environment))
        yield client


def end_leftovers(paths: Paths) -> None:
    """End what an earlier command left when it was killed before it could do so itself."""
    left = [pid for pid, started in _read_sessions(paths).items() if _may_be_left(pid, started)]
    if count := sessions.end_sessions(left):
        _logger.warning("Ended %d processes that an earlier start had left.", count)
    paths.sessions.unlink(missing_ok=True)


def note_session(paths: Paths, leader: int) -> None:
    """Write down whom the next start has to end, should this command be killed."""
    noted = _read_sessions(paths) | {leader: psutil.Process(leader).create_time()}
    paths.sessions.write_text(json.dumps(noted))


def check_disk(paths: Paths) -> None:
    """Raise InputError unless a database in Airflow's folder can be used by several processes."""
    file = paths.home / "check.db"
    try:
        with (
            contextlib.closing(sqlite3.connect(file, timeout=5)) as writer,
            contextlib.closing(sqlite3.connect(file, timeout=5)) as reader,
        ):
            writer.execute("PRAGMA journal_mode = WAL")  # as Airflow's database
            with writer:
                writer.execute("CREATE TABLE written (number INTEGER)")
                writer.execute("INSERT INTO written VALUES (1)")
            reader.execute("SELECT number FROM written").fetchall()
    except sqlite3.Error as error:
        raise InputError(
            f"Airflow's database cannot lie in {paths.home} (SQLite: {error}), as on disks over a "
            "network and on Windows' disks in WSL2. Name a folder on a disk of this machine, such "
            f"as: export GALAXY_AIRFLOW_HOME=/var/tmp/galaxy-morphology-{getpass.getuser()}"
        ) from None
    finally:
        for left in paths.home.glob(f"{file.name}*"):
            with contextlib.suppress(OSError):
                left.unlink()


def _choose_port(wanted: int) -> int:
    """Return the wanted port, or say that it is taken and return another."""
    port = find_free_port(wanted)
    if port != wanted and wanted:
        _logger.warning("Port %d is in use; the page is at port %d (--port N).", wanted, port)
    return port


def _describe_running(paths: Paths) -> str:
    """Say where the Airflow is that holds the lock, which may not have an address yet."""
    holder = paths.lock.read_text().strip() or "another process"
    try:
        where = f"at {paths.address.read_text()} (login: {USER} / {read_password(paths)})"
    except FileNotFoundError:
        where = "and is only starting"
    return (
        f"Airflow of this project is already running {where}, started by {holder}. Trigger your "
        "run on its page, or end it with Ctrl-C where it was started."
    )


def read_password(paths: Paths) -> str:
    """Return the generated password, made at the first start."""
    text = read_or_write_secret(paths.passwords, json.dumps({USER: secrets.token_urlsafe(12)}))
    return json.loads(text)[USER]


@contextlib.contextmanager
def _run(
    command: list[str], paths: Paths, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a session of its own, and end the whole session on leaving."""
    with paths.log.open("ab") as log:
        process = sessions.start_session(
            command, folder=paths.project, environment=environment, log=log
        )
    try:
        note_session(paths, process.pid)
        yield process
    finally:
        sessions.end_sessions([process.pid])
        process.wait()


def _read_sessions(paths: Paths) -> dict[int, float]:
    """Return the noted leaders of sessions, and when each was started."""
    noted = json.loads(paths.sessions.read_text()) if paths.sessions.exists() else {}
    return {int(pid): started for pid, started in noted.items()}


def _may_be_left(leader: int, started: float) -> bool:
    """Return whether the number is still this leader's, or no process's: its session may live on.

    When a process was started is known to a second: the system counts from its own start.
    """
    try:
        return abs(psutil.Process(leader).create_time() - started) < 2
    except psutil.NoSuchProcess:
        return True


def _server_command(paths: Paths) -> list[str]:
    """Return the command that starts `airflow standalone` without its log servers.

    They would listen on every network. Airflow starts its parts through the PATH, where this puts
    an `airflow` that leaves the log servers out.
    """
    airflow = Path(sysconfig.get_path("scripts"), "airflow")
    wrapper = paths.home / "bin" / "airflow"
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(
        "#!/bin/sh\n"
        'case "$1" in scheduler | triggerer) set -- "$@" --skip-serve-logs ;; esac\n'
        f'exec {shlex.quote(str(airflow))} "$@"\n'
    )
    wrapper.chmod(0o700)
    return [str(airflow), "standalone"]


def _log_server_command(environment: dict[str, str]) -> list[str]:
    """Return the command that serves the logs of running tasks, to this machine alone."""
    port = environment["AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT"]
    application = "airflow.utils.serve_logs.log_server:get_app"
    return [
        *(sys.executable, "-m", "uvicorn", "--factory", application, "--host", HOST),
        *("--port", port, "--no-access-log", "--log-level", "warning"),
    ]


def _wait_until_healthy(client: Client, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not client.is_healthy():
        if server.poll() is not None:
            problem = "ended while starting"
        elif time.monotonic() > deadline:
            problem = f"was not healthy after {START_TIMEOUT_S} s"
        else:
            time.sleep(0.5)
            continue
        lines = log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]
        raise StartError("\n".join([f"Airflow {problem}. The end of {log}:", *lines]))
