"""Tells whether the service of this container works: exit code 0 or 1 and one line.

GALAXY_ROLE names the service. Each check is cheap, for it runs every few seconds: none of them
imports Airflow, whose start costs seconds of processor time.
"""

import json
import os
import socket
import sys
import urllib.request

_COMPONENTS = ("dag_processor", "triggerer")


def main() -> int:
    """Check the service of this container and print what was found."""
    role = os.environ.get("GALAXY_ROLE", "")
    try:
        found = _check(role)
    except Exception as error:
        print(f"{role}: {type(error).__name__}: {error}")
        return 1
    print(f"{role or 'no role'}: {found}")
    return 0


def _check(role: str) -> str:
    if role == "api-server":
        return _read("http://localhost:8080/api/v2/version")
    if role == "scheduler":
        return _read("http://localhost:8974/health")
    if role in _COMPONENTS:  # they have no port of their own; the API tells their last heartbeat
        health = json.loads(_read("http://api-server:8080/api/v2/monitor/health"))[role]
        if health["status"] != "healthy":
            raise RuntimeError(f"status {health['status']!r}, expected 'healthy'")
        return "healthy"
    if role in ("worker", "trainer"):
        return _ping_celery()
    if role == "spark-master":
        return _read("http://localhost:8080/json/")
    if role == "spark-worker":
        return _read("http://localhost:8081/json/")
    if role == "flower":
        return _connect("localhost", 5555)
    return "nothing to check"


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


def _connect(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=10):
        return f"port {port} is open"


def _ping_celery() -> str:
    """Ask this container's worker for a sign of life through the broker, as tasks reach it."""
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
