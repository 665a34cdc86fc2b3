"""One Airflow of this project's own: how it is set up, started and stopped.

All it keeps is in one folder, the project's `.airflow`. It listens on the loopback address only,
and so do the log server of its tasks and Spark's driver. The password is generated and readable by
its owner alone.
"""

import contextlib
import fcntl
import json
import secrets
import shlex
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from galaxy_tasks.config import Preset
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.standalone import sessions
from galaxy_tasks.standalone.client import Client
from galaxy_tasks.standalone.environment import make_environment
from galaxy_tasks.standalone.loopback import HOST, find_free_port
from galaxy_tasks.standalone.paths import USER, Place, keep

START_TIMEOUT_S = 600
_LINES_SHOWN = 25


class StartError(GalaxyMorphologyError):
    """Airflow did not come up; the message ends with the last lines of its log."""


@contextlib.contextmanager
def run_server(place: Place, *, port: int, preset: Preset) -> Iterator[Client]:
    """Yield a client of a healthy Airflow, and end every one of its processes on leaving.

    Raises:
        InputError: another command already runs an Airflow here.
        StartError: it did not become healthy.
    """
    place.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (place.home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"An Airflow already runs in {place.home}; stop it first.") from None
        _end_leftovers(place)
        free_port = find_free_port(port)
        client = Client(f"http://{HOST}:{free_port}", user=USER, password=_password(place))
        with place.log.open("wb") as log:
            environment = make_environment(place, port=free_port, preset=preset)
            started: list[subprocess.Popen[bytes]] = []

            def start(command: list[str]) -> subprocess.Popen[bytes]:
                started.append(
                    sessions.start_session(
                        command, folder=place.project, environment=environment, log=log
                    )
                )
                _note_sessions(place, started)
                return started[-1]

            try:
                _wait_until_healthy(client, start(_server_command(place)), place.log)
                start(_log_server_command(environment))
                yield client
            finally:
                sessions.end_sessions(process.pid for process in started)
                for process in started:
                    process.wait()
                place.sessions.unlink(missing_ok=True)


def read_last_lines(log: Path, count: int = _LINES_SHOWN) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])


def _server_command(place: Place) -> list[str]:
    """Return the command that starts `airflow standalone` without its log servers.

    They would listen on every network. Airflow starts its parts through the PATH, where this puts
    an `airflow` that leaves the log servers out.
    """
    airflow = Path(sysconfig.get_path("scripts"), "airflow")
    wrapper = place.home / "bin" / "airflow"
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


def _password(place: Place) -> str:
    """Return the generated password, made at the first start."""
    text = keep(place.passwords, json.dumps({USER: secrets.token_urlsafe(12)}))
    return json.loads(text)[USER]


def _wait_until_healthy(client: Client, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not client.is_healthy():
        if server.poll() is not None:
            raise StartError(f"Airflow ended while starting ({log}):\n{read_last_lines(log)}")
        if time.monotonic() > deadline:
            waited = f"Airflow was not healthy after {START_TIMEOUT_S} s"
            raise StartError(f"{waited} ({log}):\n{read_last_lines(log)}")
        time.sleep(0.5)


def _note_sessions(place: Place, started: list[subprocess.Popen[bytes]]) -> None:
    numbers = {process.pid for process in started}
    leaders = {p.pid: p.started for p in sessions.list_processes() if p.pid in numbers}
    place.sessions.write_text(json.dumps(leaders))


def _end_leftovers(place: Place) -> None:
    """End what an earlier command left when it was killed before it could do so itself."""
    if not place.sessions.exists():
        return
    alive = {process.pid: process.started for process in sessions.list_processes()}
    noted = json.loads(place.sessions.read_text())
    left = [int(pid) for pid, started in noted.items() if alive.get(int(pid), started) == started]
    if count := sessions.end_sessions(left):
        print(f"Ended {count} processes that an earlier start had left.", flush=True)
