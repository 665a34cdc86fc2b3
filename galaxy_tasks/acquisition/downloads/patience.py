"""How long an answer is waited for, however few bytes at a time it comes in.

A socket's own timeout counts from byte to byte: a server that sends one of a header now and then
would be read from for ever. Here every read looks at one clock, and at whether to stop.
"""

import contextlib
import functools
import http.client
import io
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

_LOOK_EVERY_S = 0.2


class Patience:
    """What one request may take; each step of it begins its time anew."""

    def __init__(
        self, timeout_s: float, *, stop: threading.Event | None = None, whole_s: float | None = None
    ) -> None:
        """Begin with the first step.

        Args:
            timeout_s: for the head of each answer, redirects have one each, and for each chunk.
            stop: when set, from another thread, nothing is waited for any longer.
            whole_s: for everything together; None: as many steps as there are.
        """
        self.timeout_s = timeout_s
        self._stop = stop
        self._whole_s = whole_s
        self._began_s = time.monotonic()
        self._step_began_s = self._began_s

    def begin_step(self) -> None:
        """Let the next step have the whole timeout."""
        self._step_began_s = time.monotonic()

    def check(self) -> None:
        """Raise an OSError if the time of the step, or of all, is over, or all are to stop."""
        if self._stop is not None and self._stop.is_set():
            raise ConnectionAbortedError("stopped")
        now = time.monotonic()
        if now - self._step_began_s >= self.timeout_s:
            raise TimeoutError(f"timed out after {self.timeout_s:g} s")
        if self._whole_s is not None and now - self._began_s >= self._whole_s:
            raise TimeoutError(f"timed out after {self._whole_s:g} s")


class _Reader(io.RawIOBase):
    """What comes over a connection, while there is patience."""

    def __init__(self, plain: Any, connection: socket.socket, patience: Patience) -> None:
        self._plain = plain
        """The connection's own file: open, it keeps the connection open, and the reverse."""
        self._connection = connection
        self._patience = patience
        self._former_timeout_s = connection.gettimeout()
        connection.settimeout(min(_LOOK_EVERY_S, patience.timeout_s))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            self._patience.check()
            try:
                return self._connection.recv_into(buffer)
            except TimeoutError:
                continue

    def close(self) -> None:
        # After a proxy's answer to CONNECT, the handshake with the server goes over the connection.
        with contextlib.suppress(OSError):
            self._connection.settimeout(self._former_timeout_s)
        self._plain.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(
        self, connection: socket.socket, *arguments: Any, patience: Patience, **options: Any
    ) -> None:
        super().__init__(connection, *arguments, **options)
        patience.begin_step()
        self.fp = io.BufferedReader(_Reader(self.fp, connection, patience))


class PatientHTTPHandler(urllib.request.HTTPHandler):
    """Opens http addresses."""

    def __init__(self, patience: Patience) -> None:
        """Bind the patience of one request."""
        super().__init__()
        self._patience = patience

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Send the request, and return the answer when its head has come."""
        return self.do_open(_connect(http.client.HTTPConnection, self._patience), req)


class PatientHTTPSHandler(urllib.request.HTTPSHandler):
    """Opens https addresses."""

    def __init__(self, patience: Patience) -> None:
        """Bind the patience of one request."""
        super().__init__()
        self._patience = patience

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Send the request, and return the answer when its head has come."""
        return self.do_open(_connect(http.client.HTTPSConnection, self._patience), req)


def _connect(kind: type[http.client.HTTPConnection], patience: Patience) -> Callable[..., Any]:
    """Return what makes connections of a kind that answer in time."""

    def connect(host: str, **options: Any) -> http.client.HTTPConnection:
        connection = kind(host, **options)
        # A proxy's answer to CONNECT is made by it too.
        make_response = functools.partial(_Response, patience=patience)
        connection.response_class = make_response  # pyright: ignore[reportAttributeAccessIssue]
        return connection

    return connect
