"""Airflow's REST API, as far as the standalone command needs it."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from galaxy_tasks.errors import GalaxyMorphologyError, InputError

Json = dict[str, Any]

PATIENCE_S = 180.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 5.0


class ApiError(GalaxyMorphologyError):
    """Airflow answered with an error status; `status` is the HTTP status code."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the status beside the message."""
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


class NoAnswerError(GalaxyMorphologyError):
    """Airflow cannot be reached, does not answer in time, or what it answers is cut off."""


class Client:
    """Speaks to one Airflow as one user; logs in when it has to."""

    def __init__(
        self,
        address: str,
        *,
        user: str,
        password: str,
        timeout_s: float = 30,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Keep how to reach Airflow; connects at the first call.

        Args:
            address: such as `http://127.0.0.1:8080`.
            user: who logs in.
            password: the user's.
            timeout_s: how long one request may take.
            patience_s: for how long a question (GET) is asked again when Airflow does not answer
                it, or answers with an error of its own (HTTP 5xx).
        """
        self.address = address
        self.password = password
        self._login = {"username": user, "password": password}
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._token = ""

    def is_healthy(self) -> bool:
        """Return whether the API server, the scheduler and the DAG processor are at work."""
        try:
            health = self._send("GET", "/api/v2/monitor/health")
        except (NoAnswerError, ApiError):
            return False
        parts = ("metadatabase", "scheduler", "dag_processor")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def get(self, path: str, *, patience_s: float | None = None) -> Json:
        """Return what `GET /api/v2/PATH` answers; `patience_s` replaces this client's."""
        return self.call("GET", path, patience_s=patience_s)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        patience_s: float | None = None,
    ) -> Json:
        """Return what the API answers; log in first if there is no valid token.

        A GET is repeated for `patience_s`, by default this client's. What changes something is sent
        once: it may have been done although no answer came.

        Raises:
            ApiError: Airflow refused; the message is Airflow's.
            NoAnswerError: there was no answer, or to a GET nothing but errors of the server's own.
        """
        if method != "GET":
            return self._send_as_user(method, path, body)
        return self._ask(path, self._patience_s if patience_s is None else patience_s)

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

    def _ask(self, path: str, patience_s: float) -> Json:
        deadline, pause_s = time.monotonic() + patience_s, _FIRST_PAUSE_S
        while True:
            try:
                return self._send_as_user("GET", path)
            except (NoAnswerError, ApiError) as error:
                if isinstance(error, ApiError) and error.status < 500:
                    raise
                failure = str(error)
            if time.monotonic() + pause_s > deadline:
                raise NoAnswerError(f"Airflow gave no answer for {patience_s:g} s. Last: {failure}")
            time.sleep(pause_s)
            if pause_s < _LONGEST_PAUSE_S <= 2 * pause_s:
                print(f"Airflow gives no answer; still trying. {failure}", flush=True)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _send_as_user(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        if not self._token:
            self._log_in()
        try:
            return self._send(method, f"/api/v2/{path}", body)
        except ApiError as error:
            if error.status != 401:
                raise
        self._log_in()
        return self._send(method, f"/api/v2/{path}", body)

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
        try:
            status, answer = self._exchange(request)
            if status < 400:
                return json.loads(answer or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            cause = f"{type(error).__name__}: {error}"
            raise NoAnswerError(f"{method} {self.address}{path}: {cause}") from None
        raise ApiError(status, _read_detail(answer))

    def _exchange(self, request: urllib.request.Request) -> tuple[int, bytes]:
        """Return the status and the body of the answer, whatever the status."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is this machine
        try:
            with opener.open(request, timeout=self._timeout_s) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


def _read_detail(answer: bytes) -> str:
    text = answer.decode(errors="replace")
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError):
        return text
    return detail if isinstance(detail, str) else json.dumps(detail)
