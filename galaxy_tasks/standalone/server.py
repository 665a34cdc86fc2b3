"""One Airflow of this project's own: how it is set up, started and stopped.

All it keeps is in one folder, the project's `.airflow`. It listens on the loopback address only,
and so do the log server of its tasks and Spark's driver. The password is generated and readable by
its owner alone.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.presets import Preset
from galaxy_tasks.spark_conf import spark_submit_environment
from galaxy_tasks.standalone import sessions
from galaxy_tasks.standalone.client import Client
from galaxy_tasks.standalone.loopback import HOST, find_free_port

USER = "admin"
START_TIMEOUT_S = 600
_LINES_SHOWN = 25


class StartError(GalaxyMorphologyError):
    """Airflow did not come up; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Place:
    """Where this Airflow keeps its files, and what it runs."""

    project: Path
    home: Path
    """Airflow's own folder."""

    @staticmethod
    def of_this_project() -> "Place":
        """Return this checkout's place; its folder is GALAXY_AIRFLOW_HOME if that is set."""
        project = Path(__file__).parents[2]
        named = os.environ.get("GALAXY_AIRFLOW_HOME")
        return Place(project, Path(named).absolute() if named else project / ".airflow")

    @property
    def log(self) -> Path:
        """What Airflow prints."""
        return self.home / "standalone.log"

    @property
    def passwords(self) -> Path:
        """The generated password."""
        return self.home / "passwords.json"

    @property
    def signing_key(self) -> Path:
        """The generated key that the parts of Airflow sign their requests with."""
        return self.home / "signing_key"

    @property
    def sessions(self) -> Path:
        """The sessions of the Airflow that runs now, or that was not ended."""
        return self.home / "sessions.json"


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


def make_environment(place: Place, *, port: int, preset: Preset) -> dict[str, str]:
    """Return the environment of all of Airflow's processes, and so of every task.

    What the caller's environment says about Spark's connection, the artifacts' place and the
    number of GPU slots stands; everything else about Airflow is this project's own.
    """
    scripts = sysconfig.get_path("scripts")
    inherited = {
        name: value
        for name, value in spark_submit_environment().items()
        if not name.startswith("AIRFLOW__")
    }
    airflow = _airflow_settings(place, port=port)
    return {
        "AIRFLOW_CONN_SPARK_DEFAULT": '{"conn_type": "spark", "host": "local[*]"}',
        "SPARK_LOCAL_IP": HOST,
        **inherited,
        **{f"AIRFLOW__{name}": str(value) for name, value in airflow.items()},
        "AIRFLOW_HOME": str(place.home),
        "GALAXY_HOME": str(
            Path(os.environ.get("GALAXY_HOME") or place.project / "runs").absolute()
        ),
        "GALAXY_PRESET": preset,
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY", ""), HOST])),
        "PATH": os.pathsep.join([str(place.home / "bin"), scripts, os.environ.get("PATH", "")]),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(place.project),
        "PYTHONUNBUFFERED": "1",
    }


def _airflow_settings(place: Place, *, port: int) -> dict[str, object]:
    """Return Airflow's configuration by the names `SECTION__KEY`."""
    signing_key = _keep(place.signing_key, secrets.token_hex(64))
    return {
        "CORE__DAGS_FOLDER": place.project / "dags",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__PLUGINS_FOLDER": place.project / "plugins",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 4,
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager"
        ".SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": place.passwords,
        "CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
        "CORE__HOSTNAME_CALLABLE": "galaxy_tasks.standalone.loopback.hostname",
        "API_AUTH__JWT_SECRET": signing_key,
        "API__SECRET_KEY": signing_key,
        "API__HOST": HOST,
        "API__PORT": port,
        "API__BASE_URL": f"http://{HOST}:{port}",
        "API__WORKERS": 1,
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{place.home / 'airflow.db'}",
        "LOGGING__BASE_LOG_FOLDER": place.home / "logs",
        "LOGGING__WORKER_LOG_SERVER_PORT": find_free_port(8793),
        "SCHEDULER__ENABLE_HEALTH_CHECK": False,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }


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
    text = _keep(place.passwords, json.dumps({USER: secrets.token_urlsafe(12)}))
    return json.loads(text)[USER]


def _keep(path: Path, value: str) -> str:
    """Return what the file holds; write `value` first, for its owner alone, if it is not there."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(value)
    return path.read_text()


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
