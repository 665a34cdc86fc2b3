"""The environment of this project's own Airflow: its configuration, and what it inherits."""

import os
import secrets
import sys
import sysconfig
from pathlib import Path

from galaxy_tasks.config import Preset
from galaxy_tasks.labels.spark_settings import SPARK_CONNECTION, spark_submit_environment
from galaxy_tasks.standalone.loopback import HOST, find_free_port
from galaxy_tasks.standalone.paths import USER, Paths, read_or_write_secret


def make_environment(paths: Paths, *, port: int, preset: Preset) -> dict[str, str]:
    """Return the environment of all of Airflow's processes, and so of every task.

    Spark's connection, the artifacts' folder and the number of GPU slots are taken from the
    caller's environment; everything else about Airflow is this project's own.
    """
    scripts = sysconfig.get_path("scripts")
    inherited = {
        name: value
        for name, value in spark_submit_environment().items()
        if not name.startswith("AIRFLOW__") and name != "AIRFLOW_CONFIG"
    }
    airflow = _airflow_settings(paths, port=port)
    return {
        SPARK_CONNECTION: '{"conn_type": "spark", "host": "local[*]"}',
        **inherited,
        **{f"AIRFLOW__{name}": str(value) for name, value in airflow.items()},
        "AIRFLOW_HOME": str(paths.home),
        "GALAXY_HOME": str(
            Path(os.environ.get("GALAXY_HOME") or paths.project / "runs").absolute()
        ),
        "GALAXY_PRESET": preset,
        # Airflow's processes fork, which macOS ends where its libraries have been used before.
        **({"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"} if sys.platform == "darwin" else {}),
        # Clients differ in which of the two they read first.
        **dict.fromkeys(("NO_PROXY", "no_proxy"), _hosts_without_proxy()),
        "PATH": os.pathsep.join([str(paths.home / "bin"), scripts, os.environ.get("PATH", "")]),
        "PYTHONPATH": str(paths.project),
        "PYTHONUNBUFFERED": "1",
    }


def _hosts_without_proxy() -> str:
    """Return the hosts that the caller reaches without a proxy, and this machine."""
    named = (os.environ.get(name, "") for name in ("NO_PROXY", "no_proxy"))
    hosts = [host.strip() for text in named for host in text.split(",")]
    return ",".join(dict.fromkeys(host for host in (*hosts, HOST) if host))


def _airflow_settings(paths: Paths, *, port: int) -> dict[str, object]:
    """Return Airflow's configuration by the names `SECTION__KEY`."""
    signing_key = read_or_write_secret(paths.signing_key, secrets.token_hex(64))
    return {
        "CORE__DAGS_FOLDER": paths.project / "dags",
        "CORE__LOAD_EXAMPLES": False,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
        "CORE__PLUGINS_FOLDER": paths.project / "plugins",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": 16,  # the pool "gpu" bounds the trainings
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager"
        ".SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": paths.passwords,
        "CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
        "CORE__HOSTNAME_CALLABLE": "galaxy_tasks.standalone.loopback.hostname",
        "API_AUTH__JWT_SECRET": signing_key,
        "API__SECRET_KEY": signing_key,
        "API__HOST": HOST,
        "API__PORT": port,
        "API__BASE_URL": f"http://{HOST}:{port}",
        "API__WORKERS": 1,
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{paths.home / 'airflow.db'}",
        "LOGGING__BASE_LOG_FOLDER": paths.home / "logs",
        "LOGGING__WORKER_LOG_SERVER_PORT": find_free_port(8793),
        "SCHEDULER__ENABLE_HEALTH_CHECK": False,
        "USAGE_DATA_COLLECTION__ENABLED": False,
    }
