"""One request for a file, or for the rest of it, and what the answer means.

Only the standard library: what a download needs of HTTP is one GET, and every byte that has come
must be kept when the connection ends, which `read1` does.
"""

import contextlib
import http.client
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from galaxy_tasks import __version__
from galaxy_tasks.acquisition.downloads.failures import (
    TryError,
    name_bad_status,
    name_broken,
    name_host,
)
from galaxy_tasks.acquisition.downloads.patience import (
    Patience,
    PatientHTTPHandler,
    PatientHTTPSHandler,
)

_CHUNK_BYTES = 2**20
_SHORT_BYTES = 64
_PAGES = {"text/html", "application/xhtml+xml"}
_BEFORE_MARKUP = b"\xef\xbb\xbf \t\r\n"


@dataclass(frozen=True)
class Version:
    """Which content of an address an answer belongs to."""

    address: str
    etag: str | None
    last_modified: str | None
    total_bytes: int | None

    @property
    def validator(self) -> str | None:
        """What If-Range takes: a strong ETag, else the date; None if the server gives neither."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified


class Answer:
    """The bytes of a file from `start_byte` on, as they come."""

    def __init__(
        self,
        response: Any,
        version: Version,
        *,
        start_byte: int,
        has_visible_end: bool,
        patience: Patience,
    ) -> None:
        """Wrap an open response."""
        self.version = version
        self.start_byte = start_byte
        self.has_visible_end = has_visible_end
        """Whether an end of the bytes can be told from a cut."""
        self._response = response
        self._patience = patience

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def is_page(self) -> bool:
        """Return whether it calls itself a web page, and begins as one; it stays unread."""
        if self._response.headers.get_content_type() not in _PAGES:
            return False
        self._patience.begin_step()
        try:
            return self._response.peek(_SHORT_BYTES).lstrip(_BEFORE_MARKUP).startswith(b"<")
        except (OSError, http.client.HTTPException) as error:
            raise name_broken(error, "the connection broke") from None

    def read_chunk(self) -> bytes:
        """Return what has come, at most a MiB; nothing at the end, which may be a cut."""
        self._patience.begin_step()
        try:
            return self._response.read1(_CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise name_broken(error, "the connection broke") from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str):
        """Follow to another host, but never from https to what anybody on the way can change."""
        fp.close()  # the library would read the page of a redirect to its end, if it has one
        if urlsplit(newurl).scheme not in ({"https"} if req.type == "https" else {"http", "https"}):
            raise TryError(f"redirects from {req.type} to {name_host(newurl)}", kind="refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def ask(address: str, *, from_byte: int, validator: str | None, patience: Patience) -> Answer:
    """Return the answer to a request for a file from `from_byte` on; close it after use.

    Connecting takes at most the patience's timeout for each address that the host's name has.

    Raises:
        TryError: no usable answer came.
    """
    headers = {
        "User-Agent": f"galaxy-morphology/{__version__}",
        "Accept-Encoding": "identity",
        **({"Range": f"bytes={from_byte}-"} if from_byte else {}),
        **({"If-Range": validator} if from_byte and validator else {}),
    }
    request = urllib.request.Request(address, headers=headers)
    try:
        response = _opener(patience).open(request, timeout=patience.timeout_s)
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            raise name_bad_status(error) from None
    except (OSError, http.client.HTTPException) as error:
        raise name_broken(error, "no answer") from None
    except ValueError as error:  # a redirect to what is no address, say
        what = f"its answer cannot be understood: {type(error).__name__}"
        raise TryError(what, kind="wrong_content") from None
    try:
        return _understand(response, address, from_byte=from_byte, patience=patience)
    except TryError:
        response.close()
        raise


def _opener(patience: Patience) -> urllib.request.OpenerDirector:
    # Not build_opener: that would also open ftp:, file: and data: addresses after a redirect.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        PatientHTTPHandler(patience),
        PatientHTTPSHandler(patience),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _understand(response: Any, address: str, *, from_byte: int, patience: Patience) -> Answer:
    encoding = (response.headers.get("Content-Encoding") or "identity").lower()
    path = urlsplit(address).path
    # Some servers state how a .gz file was made, and mean the file as it is.
    is_gzip_itself = encoding in ("gzip", "x-gzip") and path.endswith((".gz", ".tgz"))
    if encoding != "identity" and not is_gzip_itself:
        raise TryError(
            f"expected the file as it is, received it as Content-Encoding {encoding!r}",
            kind="wrong_content",
        )
    length = response.length  # None if the body is chunked or ends with the connection
    total_bytes = length
    start_byte = 0
    if response.status == 206:
        start_byte, total_bytes = _read_content_range(response, from_byte)
    elif response.status != 200:
        raise TryError(f"expected status 200, received {response.status}", kind="wrong_content")
    version = Version(
        address, response.headers.get("ETag"), response.headers.get("Last-Modified"), total_bytes
    )
    is_chunked = bool(getattr(response, "chunked", False))
    return Answer(
        response,
        version,
        start_byte=start_byte,
        has_visible_end=is_chunked or length is not None,
        patience=patience,
    )


def _read_content_range(response: Any, from_byte: int) -> tuple[int, int | None]:
    stated = response.headers.get("Content-Range") or ""
    match = re.fullmatch(r"bytes\s+(\d{1,18})-\d{1,18}/(\d{1,18}|\*)", stated.strip())
    if not match or int(match[1]) != from_byte:
        raise TryError(
            f"expected the bytes from {from_byte}, received Content-Range {stated!r}",
            kind="wrong_content",
        )
    return from_byte, None if match[2] == "*" else int(match[2])
