"""Airflow's REST API, as far as the standalone command needs it."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from galaxy_tasks.errors import GalaxyMorphologyError, InputError

Json = dict[str, Any]


class ApiError(GalaxyMorphologyError):
    """Airflow answered with an error status; `status` is the HTTP status code."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the status beside the message."""
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


class Client:
    """Speaks to one Airflow as one user; logs in when it has to."""

    def __init__(self, address: str, *, user: str, password: str, timeout_s: float = 30) -> None:
        """Keep the address, such as `http://127.0.0.1:8080`; connects at the first call."""
        self.address = address
        self.password = password
        self._login = {"username": user, "password": password}
        self._timeout_s = timeout_s
        self._token = ""

    def is_healthy(self) -> bool:
        """Return whether the API server, the scheduler and the DAG processor are at work."""
        try:
            health = self._send("GET", "/api/v2/monitor/health")
        except (OSError, ApiError):
            return False
        parts = ("metadatabase", "scheduler", "dag_processor")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def get(self, path: str) -> Json:
        """Return what `GET /api/v2/PATH` answers."""
        return self.call("GET", path)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Return what the API answers; log in first if there is no valid token.

        Raises:
            ApiError: Airflow refused; the message is Airflow's.
            OSError: Airflow cannot be reached.
        """
        if not self._token:
            self._log_in()
        try:
            return self._send(method, f"/api/v2/{path}", body)
        except ApiError as error:
            if error.status != 401:
                raise
        self._log_in()
        return self._send(method, f"/api/v2/{path}", body)

    def set_pool(self, name: str, *, slots: int, description: str) -> None:
        """Make a pool, or give an existing one this many slots."""
        pool = {"slots": slots, "description": description, "include_deferred": False}
        try:
            self.call("POST", "pools", {"name": name, **pool})
        except ApiError as error:
            if error.status != 409:
                raise
            self.call("PATCH", f"pools/{quote(name)}", {"pool": name, **pool})

    def trigger(self, dag_id: str, settings: Mapping[str, Any]) -> str:
        """Start a run and return its id; raise InputError if Airflow refuses the settings."""
        body = {"logical_date": None, "conf": dict(settings)}
        try:
            return self.call("POST", f"dags/{quote(dag_id)}/dagRuns", body)["dag_run_id"]
        except ApiError as error:
            if error.status != 400:
                raise
            raise InputError(str(error)) from None

    def _log_in(self) -> None:
        self._token = ""
        self._token = self._send("POST", "/auth/token", self._login)["access_token"]

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path, data=data, headers=headers, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is this machine
        try:
            with opener.open(request, timeout=self._timeout_s) as response:
                return json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, _read_detail(error.read())) from None


def _read_detail(answer: bytes) -> str:
    text = answer.decode(errors="replace")
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError):
        return text
    return detail if isinstance(detail, str) else json.dumps(detail)
