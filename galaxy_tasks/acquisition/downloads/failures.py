"""What a try that brought no file means: whether another may, and when."""

import email.utils
import re
import ssl
import time
import urllib.error
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["interrupted", "wrong_content", "refused"]

_LONGEST_REASON = 300
_LONGEST_WAIT_S = 30 * 24 * 3600.0
_MAY_PASS = {408, 425, 429}  # and every 5xx


class TryError(Exception):
    """One try that brought no whole file.

    `kind` says what may help: 'interrupted' another try, 'wrong_content' hardly, 'refused' nothing.
    """

    def __init__(self, reason: str, *, kind: Kind, retry_after_s: float = 0.0) -> None:
        """Keep the reason, and how long the server wants to be left alone."""
        # Some of it may be the server's own words, of any length, and for a terminal to obey.
        printable = "".join(letter if letter.isprintable() else " " for letter in reason)
        super().__init__(printable[:_LONGEST_REASON])
        self.kind: Kind = kind
        self.retry_after_s = retry_after_s


class RangeRefusedError(TryError):
    """The server has nothing from that byte on; `total_bytes` is the size it claims, if any."""

    def __init__(self, total_bytes: int | None) -> None:
        """Keep the size."""
        super().__init__("has nothing from there on (416)", kind="interrupted")
        self.total_bytes = total_bytes


def name_bad_status(error: urllib.error.HTTPError) -> TryError:
    """Return what an answer with a status of refusal means."""
    if error.code == 416:
        stated = error.headers.get("Content-Range") or ""
        match = re.fullmatch(r"bytes\s+\*/(\d{1,18})", stated.strip())
        return RangeRefusedError(int(match[1]) if match else None)
    if 300 <= error.code < 400:
        # The library's own words name the whole target, which may hold a signature.
        return TryError(
            f"redirects ({error.code}) in circles or to {name_host(error.headers.get('Location'))}",
            kind="refused",
        )
    reason = f"answers {error.code} {error.reason}"
    if error.code in _MAY_PASS or error.code >= 500:
        wait_s = _read_retry_after(error.headers.get("Retry-After"))
        return TryError(reason, kind="interrupted", retry_after_s=wait_s)
    return TryError(reason, kind="refused")


def name_broken(error: Exception, what: str) -> TryError:
    """Return what an error of the network means."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TryError(f"its certificate is not trusted: {cause}", kind="refused")
    return TryError(f"{what}: {cause or type(cause).__name__}", kind="interrupted")


def _read_retry_after(value: str | None) -> float:
    """Return the pause that a server asks for: seconds, or until a date; 0 if it asks for none.

    A month at most, however much is asked for.
    """
    try:
        if value and value.strip().isdecimal():
            wait_s = float(value)
        else:
            wait_s = email.utils.parsedate_to_datetime(value or "").timestamp() - time.time()
    except (ValueError, OverflowError, TypeError):
        return 0.0
    return min(max(0.0, wait_s), _LONGEST_WAIT_S)


def name_host(address: str | None) -> str:
    """Return scheme and host of an address, without the path, which may hold a signature."""
    try:
        parts = urlsplit(address or "")
    except ValueError:
        return "what is no address"
    return f"{parts.scheme}://{parts.hostname or ''}"
