"""Airflow's REST API, as far as the standalone command needs it."""

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx
import tenacity

from galaxy_tasks.errors import GalaxyMorphologyError, InputError

Json = dict[str, Any]

RETRY_S = 180.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 5.0
_logger = logging.getLogger(__name__)


class ApiError(GalaxyMorphologyError):
    """Airflow answered with an error status; `status` is the HTTP status code."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the status beside the message."""
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


class UnreachableError(GalaxyMorphologyError):
    """Airflow cannot be reached, does not answer in time, or its answer is cut off."""


class _Login(httpx.Auth):
    """Sends a token with each request; logs in for the first, and again when Airflow wants it."""

    requires_response_body = True

    def __init__(self, address: str, *, user: str, password: str) -> None:
        self._url = f"{address}/auth/token"
        self._credentials = {"username": user, "password": password}
        self._token = ""

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # pyright: ignore[reportIncompatibleMethodOverride]
        for _ in range(2):
            if not self._token:
                answer = yield httpx.Request("POST", self._url, json=self._credentials)
                self._token = _read(answer)["access_token"]
            request.headers["Authorization"] = f"Bearer {self._token}"
            answer = yield request
            if answer.status_code != HTTPStatus.UNAUTHORIZED:
                return
            self._token = ""


class Client:
    """Talks to one Airflow as one user."""

    def __init__(
        self,
        address: str,
        *,
        user: str,
        password: str,
        timeout_s: float = 30,
        retry_s: float = RETRY_S,
    ) -> None:
        """Keep how to reach Airflow; connects at the first call.

        Args:
            address: such as `http://127.0.0.1:8080`.
            user: who logs in.
            password: the user's.
            timeout_s: how long Airflow may take to answer one request.
            retry_s: for how long a request is repeated that Airflow does not answer, or answers
                with an error of its own (HTTP 5xx), as while it starts.
        """
        self.address = address
        self.password = password
        self._retry_s = retry_s
        self._http = httpx.Client(
            base_url=address,
            auth=_Login(address, user=user, password=password),
            timeout=timeout_s,
            trust_env=False,  # no proxy: it is this machine
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def is_healthy(self) -> bool:
        """Return whether the API server, the scheduler and the DAG processor are at work."""
        try:
            health = self._send("GET", "monitor/health", auth=None)
        except (UnreachableError, ApiError):
            return False
        parts = ("metadatabase", "scheduler", "dag_processor")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def get(self, path: str, *, retry_s: float | None = None) -> Json:
        """Return the answer to `GET /api/v2/PATH`; `retry_s` replaces this client's."""
        return self.call("GET", path, retry_s=retry_s)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        retry_s: float | None = None,
    ) -> Json:
        """Return the answer to a request of the API.

        It is repeated for `retry_s`, by default this client's. So a request that was done although
        no answer came is sent again: what it makes must have a name, of which there can be one.

        Raises:
            ApiError: Airflow refused; the message is Airflow's.
            UnreachableError: there was no answer, or nothing but errors of the server's.
        """
        retry_s = self._retry_s if retry_s is None else retry_s
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=tenacity.wait_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S),
            stop=tenacity.stop_before_delay(retry_s),
            before_sleep=_warn_once,
        )
        try:
            return attempts(self._send, method, path, json=body)
        except tenacity.RetryError as error:
            last = error.last_attempt.exception()
            raise UnreachableError(
                f"Airflow gave no answer for {retry_s:g} s. Last: {last}"
            ) from None

    def set_pool(self, name: str, *, slots: int, description: str) -> None:
        """Make a pool, or give an existing one this many slots."""
        pool = {"slots": slots, "description": description, "include_deferred": False}
        try:
            self.call("POST", "pools", {"name": name, **pool})
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            self.call("PATCH", f"pools/{quote(name)}", {"pool": name, **pool})

    def trigger(self, dag_id: str, settings: Mapping[str, Any]) -> str:
        """Start a run and return its id; raise InputError if Airflow refuses the settings."""
        run_id = f"manual__{datetime.now(UTC).isoformat()}"
        body = {"logical_date": None, "conf": dict(settings), "dag_run_id": run_id}
        try:
            self.call("POST", f"dags/{quote(dag_id)}/dagRuns", body)
        except ApiError as error:
            if error.status == HTTPStatus.BAD_REQUEST:
                raise InputError(str(error)) from None
            if error.status != HTTPStatus.CONFLICT:  # made, although the answer was an error
                raise
        return run_id

    def _send(self, method: str, path: str, **options: Any) -> Json:
        try:
            return _read(self._http.request(method, f"/api/v2/{path}", **options))
        except (httpx.HTTPError, ValueError) as error:
            cause = f"{type(error).__name__}: {error}"
            raise UnreachableError(f"{method} {self.address}/api/v2/{path}: {cause}") from None


def _may_pass(error: BaseException) -> bool:
    """Return whether the same request may succeed a little later."""
    return isinstance(error, UnreachableError) or (
        isinstance(error, ApiError) and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _warn_once(state: tenacity.RetryCallState) -> None:
    """Log the failure when the pauses have grown to the longest, and never again."""
    pause_s = state.next_action.sleep if state.next_action else 0.0
    if pause_s < _LONGEST_PAUSE_S <= 2 * pause_s and state.outcome:
        _logger.warning("Airflow does not answer; still trying. %s", state.outcome.exception())


def _read(answer: httpx.Response) -> Json:
    """Return the JSON of an answer; raise ApiError, with Airflow's message, for an error."""
    if answer.is_success:
        return answer.json() if answer.content else {}
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        raise ApiError(answer.status_code, answer.text) from None
    raise ApiError(answer.status_code, detail if isinstance(detail, str) else json.dumps(detail))
