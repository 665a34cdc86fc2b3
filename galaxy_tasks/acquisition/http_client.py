"""GET requests that end in time, and what a failure means: whether another try may help.

A body is passed on as it is sent: no content encoding is asked for, and none is undone.
"""

import asyncio
import contextlib
import email.utils
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from typing import Literal

import httpx

from galaxy_tasks import __version__
from galaxy_tasks.formatting import format_duration

_MAX_REASON_LENGTH = 400
_MAX_RETRY_AFTER_S = 30 * 24 * 3600.0
_TEMPORARY_STATUSES = {408, 425, 429}  # and every 5xx
_HEADERS = {"User-Agent": f"galaxy-morphology/{__version__}", "Accept-Encoding": "identity"}


class RequestError(Exception):
    """A request that brought no usable content.

    `kind` says what may help: "interrupted" another try, "wrong_content" hardly, "refused" nothing.
    """

    def __init__(
        self,
        reason: str,
        *,
        kind: Literal["interrupted", "wrong_content", "refused"],
        retry_after_s: float = 0.0,
    ) -> None:
        """Keep the reason, and how long the server asks to wait."""
        # The server may have worded it: any length, and escape sequences for the terminal.
        printable = "".join(letter if letter.isprintable() else " " for letter in reason)
        super().__init__(printable[:_MAX_REASON_LENGTH])
        self.kind = kind
        self.retry_after_s = retry_after_s


class Deadline:
    """When a request is given up; it may be extended while the body comes."""

    def __init__(self, timeout_s: float) -> None:
        """Begin with the whole timeout."""
        self.timeout_s = timeout_s
        self.timer = asyncio.timeout(timeout_s)

    def extend(self) -> None:
        """Allow the whole timeout from now on."""
        self.timer.reschedule(asyncio.get_running_loop().time() + self.timeout_s)


@contextlib.asynccontextmanager
async def open_response(
    address: str, deadline: Deadline, *, headers: Mapping[str, str]
) -> AsyncIterator[httpx.Response]:
    """Yield the response to a GET request, after redirects; its status is 2xx or 416.

    The deadline covers the whole exchange: name look-up, connection, all headers and the body.

    Raises:
        RequestError: there is no such response, or its body ends early or too late.
    """

    async def refuse_downgrade(request: httpx.Request) -> None:
        if address.startswith("https:") and request.url.scheme != "https":
            # Without path and query, which may hold a signature.
            target = f"{request.url.scheme}://{request.url.host}"
            raise RequestError(f"redirects from https to {target}", kind="refused")

    client = httpx.AsyncClient(
        headers={**_HEADERS, **headers},
        timeout=None,
        follow_redirects=True,
        event_hooks={"request": [refuse_downgrade]},
        verify=ssl.create_default_context(),  # with the system's certificates, not certifi's
    )
    try:
        async with deadline.timer, client, client.stream("GET", address) as response:
            _check_status(response)
            yield response
    except TimeoutError:
        reason = f"timed out after {deadline.timeout_s:g} s"
        raise RequestError(reason, kind="interrupted") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _describe_failure(error) from None


def read_small(address: str, *, max_bytes: int, timeout_s: float) -> bytes:
    """Return the whole body of an address.

    Raises:
        RequestError: it cannot be read within the timeout, or is longer than `max_bytes`.
    """

    async def read() -> bytes:
        content = b""
        async with open_response(address, Deadline(timeout_s), headers={}) as response:
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > max_bytes:
                    raise RequestError(f"sends more than {max_bytes} bytes", kind="wrong_content")
        return content

    return asyncio.run(read())


def _describe_failure(error: httpx.HTTPError | httpx.InvalidURL) -> RequestError:
    """Return what an error of the library means, in the system's words where it has a cause."""
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.TooManyRedirects):
        return RequestError(f"is or leads to no usable address: {error}", kind="refused")
    cause: BaseException = error
    inner: BaseException | None = error
    while inner := inner.__cause__ or inner.__context__:
        cause = inner if isinstance(inner, OSError) else cause
    if isinstance(cause, ssl.SSLCertVerificationError):
        return RequestError(f"its certificate is not trusted: {cause}", kind="refused")
    reason = f"the connection failed: {str(cause) or type(cause).__name__}"
    return RequestError(reason, kind="interrupted")


def _check_status(response: httpx.Response) -> None:
    if response.is_success or response.status_code == 416:
        return
    reason = f"answers {response.status_code} {response.reason_phrase}"
    if response.status_code not in _TEMPORARY_STATUSES and not response.is_server_error:
        raise RequestError(reason, kind="refused")
    wait_s = _read_retry_after(response.headers.get("Retry-After", ""))
    asked = f", and asks to wait {format_duration(wait_s)}" if wait_s else ""
    raise RequestError(reason + asked, kind="interrupted", retry_after_s=wait_s)


def _read_retry_after(value: str) -> float:
    """Return the pause that a server asks for, in seconds or until a date: 0 s to 30 days."""
    try:
        if value.strip().isdecimal():
            wait_s = float(value)
        else:
            wait_s = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, wait_s), _MAX_RETRY_AFTER_S)
