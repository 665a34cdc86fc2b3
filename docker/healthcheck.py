"""Exits with 0 if this container's service works, else with 1; prints one line.

GALAXY_ROLE names the service. Checks run every few seconds, so they must be cheap: none of them
imports Airflow, which takes seconds.
"""

import json
import os
import socket
import subprocess
import sys
import urllib.request

_JOB_TYPES = {"dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
_HEARTBEAT_TIMEOUT_S = 60
"""Both send a heartbeat every few seconds."""


def main() -> int:
    """Check the service of this container and print what was found."""
    role = os.environ.get("GALAXY_ROLE", "")
    try:
        found = _check(role)
    except Exception as error:  # any error means that the service does not work
        print(f"{role}: {type(error).__name__}: {error}")
        return 1
    print(f"{role or 'no role'}: {found}")
    return 0


def _check(role: str) -> str:
    if role == "api-server":
        return _read("http://localhost:8080/api/v2/version")
    if role == "scheduler":
        return _read("http://localhost:8974/health")
    if role in _JOB_TYPES:
        return _find_heartbeat(_JOB_TYPES[role])
    if role in ("worker", "trainer"):
        if os.environ.get("GALAXY_NEEDS_GPU") == "1":
            _require_gpu()
        return _ping_celery()
    if role == "spark-master":
        return _read("http://localhost:8080/json/")
    if role == "spark-worker":
        return _find_at_master()
    if role == "mlflow":
        return _read("http://localhost:5000/health")
    if role == "flower":
        return _connect("localhost", 5555)
    return "nothing to check"


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


def _connect(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=10):
        return f"port {port} is open"


def _find_heartbeat(job_type: str) -> str:
    """Look up this container's last heartbeat in the database."""
    from database import ask

    name = socket.gethostname()
    ((silent_s,),) = ask(
        "SELECT EXTRACT(EPOCH FROM now() - max(latest_heartbeat)) FROM job "
        "WHERE job_type = %(job_type)s AND state = 'running' "
        "AND (hostname = %(name)s OR hostname LIKE %(name)s || '.%%')",
        job_type=job_type,
        name=name,
    )
    if silent_s is None or silent_s > _HEARTBEAT_TIMEOUT_S:
        raise RuntimeError(f"no heartbeat of {job_type} on {name} for {silent_s or 'ever'} s")
    return f"last heartbeat {silent_s:.0f} s ago"


def _find_at_master() -> str:
    """Ask the master whether this worker is registered and alive."""
    own = json.loads(_read("http://localhost:8081/json/"))["id"]
    master = json.loads(_read("http://spark-master:8080/json/"))
    if not any(each["id"] == own and each["state"] == "ALIVE" for each in master["workers"]):
        raise RuntimeError(f"the master has no live worker {own}")
    return f"registered as {own}"


def _require_gpu() -> None:
    """Fail if the driver shows no GPU: a running container may lose its GPUs."""
    result = subprocess.run(
        ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=15, check=False
    )
    if "GPU 0" not in result.stdout:
        raise RuntimeError(f"nvidia-smi shows no GPU: {(result.stdout + result.stderr).strip()}")


def _ping_celery() -> str:
    """Ping this container's worker through the broker, the way tasks reach it."""
    from celery import Celery

    name = f"celery@{socket.gethostname()}"
    broker = os.environ["AIRFLOW__CELERY__BROKER_URL"]
    with Celery(broker=broker) as application:
        answers = application.control.ping(destination=[name], timeout=10, limit=1)
    if not answers:
        raise RuntimeError(f"{name} did not answer")
    return "answers"


if __name__ == "__main__":
    sys.exit(main())
