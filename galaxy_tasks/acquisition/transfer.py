"""One file on its way from its addresses, through its part, to its place."""

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from galaxy_tasks.acquisition.disk import check_free_space
from galaxy_tasks.acquisition.http_client import Deadline, RequestError, open_response
from galaxy_tasks.acquisition.partial_file import PartialFile, Version, part_path
from galaxy_tasks.acquisition.progress import ProgressLog
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.formatting import format_bytes

_BEFORE_MARKUP = b"\xef\xbb\xbf \t\r\n"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Download:
    """A file to fetch; what is known of its content is compared with what arrives."""

    name: str
    """The name it gets in the folder; no path."""
    addresses: tuple[str, ...] = ()
    """Where it can be fetched, tried in turn. None: the user has to place the file."""
    size_bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None

    @property
    def has_hash(self) -> bool:
        """Whether its content can be told from any other."""
        return bool(self.md5 or self.sha256)


@dataclass(frozen=True)
class DownloadSettings:
    """When to wait, to retry and to give up; the defaults suit gigabytes from a public archive."""

    timeout_s: float = 60.0
    """For the head of a response, and then for each `least_bytes` of its body."""
    least_bytes: int = 60_000
    """A connection that brings less within a timeout is cut."""
    tries: int = 6
    """Tries in a row with less than `least_bytes` after which an address is given up."""
    shortest_pause_s: float = 1.0
    """Before the second try; it doubles with each further one without progress."""
    longest_pause_s: float = 120.0
    """Bound of the pauses. A server that asks for a longer one is given up."""
    progress_every_s: float = 5.0
    flush_every_bytes: int = 32 * 2**20
    """What a power failure may cost."""
    reserve_bytes: int = 256 * 2**20
    """Disk space left to other programs."""
    lock_timeout_s: float = 6 * 3600.0
    """How long to wait for another process that fetches the same file."""
    parallel_files: int = 4


@dataclass
class SpaceClaims:
    """The disk space that the downloads of one call into a folder will fill."""

    folder: Path
    reserve_bytes: int
    total_bytes: dict[Path, int]
    """Sizes of the files that are still to come, as far as they are known, by their paths."""

    def check(self) -> None:
        """Raise ResourceError unless there is room for what all files lack."""
        needed_bytes = 0
        for path, total_bytes in self.total_bytes.items():
            part = part_path(path)
            there_bytes = part.stat().st_size if part.is_file() else 0
            needed_bytes += max(0, total_bytes - there_bytes)
        check_free_space(self.folder, needed_bytes, reserve_bytes=self.reserve_bytes)

    def claim(self, path: Path, total_bytes: int) -> None:
        """Note the size of a file; raise ResourceError unless there is room for it, too."""
        self.total_bytes[path] = total_bytes
        self.check()

    def release(self, path: Path) -> None:
        """Give back what was claimed for a file: it is there, or will not come."""
        self.total_bytes.pop(path, None)


class Transfer:
    """Fills the part of one file from whichever of its addresses answers."""

    def __init__(
        self,
        download: Download,
        target: Path,
        *,
        settings: DownloadSettings,
        space: SpaceClaims,
        verify: Callable[[Path], str],
    ) -> None:
        """Take up what earlier calls left.

        Args:
            download: what to fetch.
            target: where it will be; the caller holds the file's lock.
            settings: when to wait, to retry and to give up.
            space: shared by all that are fetched at a time.
            verify: returns the SHA-256 of the right file, and raises InputError for another one.
        """
        self.download = download
        self.target = target
        self.settings = settings
        self.space = space
        self.part = PartialFile(target)
        self.progress = ProgressLog(download.name, every_s=settings.progress_every_s)
        self._verify = verify
        self._may_mix = download.has_hash
        """Whether the rest may come from another address: a hash will show if it fits."""
        self._living = list(download.addresses)
        self._failures: dict[str, RequestError] = {}
        self._fruitless_rounds = 0
        self._longest_bytes = self.part.length_bytes

    async def run(self) -> str:
        """Return the SHA-256 of the part when that is the whole, right file.

        Raises:
            InputError: every address refuses the file or sends another one.
            ResourceError: every address was given up, and another call may help.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(RequestError),
            wait=self._choose_pause,
            stop=lambda _: not self._living,
            before_sleep=self._log_pause,
            reraise=True,
        )
        try:
            return await retrying(self._ask_each)
        except RequestError:
            raise self._describe_failures() from None
        finally:
            self.space.release(self.target)

    @property
    def _total_bytes(self) -> int | None:
        if self.download.size_bytes is None and self.part.version:
            return self.part.version.total_bytes
        return self.download.size_bytes

    async def _ask_each(self) -> str:
        """Ask each address once, until the part is the file, and return its SHA-256.

        Raises:
            RequestError: none has sent all of it; some may have been given up.
        """
        asked = []
        for address in list(self._living):
            begun = self.part.version
            if begun and not self._may_mix and begun.address in set(self._living) - {address}:
                continue  # the rest must come from where the beginning came
            asked.append(address)
            try:
                if not self.part.path.is_file() or self.part.length_bytes != self._total_bytes:
                    await self._receive(address)
                return await self._verify_part()
            except RequestError as failure:
                self._note_failure(address, failure)
        # A server that sends a few bytes and breaks off, or the beginning over and over, is given
        # up: progress is a part longer than ever.
        self._fruitless_rounds += 1
        if self.part.length_bytes >= self._longest_bytes + self.settings.least_bytes:
            self._longest_bytes = self.part.length_bytes
            self._fruitless_rounds = 0
        elif self._fruitless_rounds >= self.settings.tries:
            self._living = [address for address in self._living if address not in asked]
            self._fruitless_rounds = 0
        raise RequestError("no address has sent the file", kind="interrupted")

    def _note_failure(self, address: str, failure: RequestError) -> None:
        self._failures[address] = failure
        is_long = failure.retry_after_s > self.settings.longest_pause_s
        is_given_up = failure.kind == "refused" or is_long
        if is_given_up:
            self._living.remove(address)
        end = "; given up" if is_given_up else ""
        _logger.warning("%s: %s %s%s", self.download.name, address, failure, end)

    def _choose_pause(self, _: RetryCallState) -> float:
        settings = self.settings
        backoff_s = settings.shortest_pause_s * 2 ** max(0, self._fruitless_rounds - 1)
        # With some chance, so that many who wait for one server do not all come back at once.
        pause_s = random.uniform(0.75, 1.0) * min(backoff_s, settings.longest_pause_s)
        failures = (self._failures.get(address) for address in self._living)
        return max([pause_s, *(failure.retry_after_s for failure in failures if failure)])

    def _log_pause(self, state: RetryCallState) -> None:
        _logger.info(
            "%s: next try in %.1f s (%d of %d without progress)",
            self.download.name,
            state.upcoming_sleep,
            self._fruitless_rounds,
            self.settings.tries,
        )

    def _describe_failures(self) -> InputError | ResourceError:
        name, failures = self.download.name, self._failures
        if not failures:
            return InputError(f"{name} is not there and has no address. Place it in the folder.")
        reasons = "; ".join(f"{address} {failure}" for address, failure in failures.items())
        if any(failure.kind == "interrupted" for failure in failures.values()):
            return ResourceError(
                f"{name} could not be fetched: {reasons}. What has arrived is kept; run again to "
                "continue."
            )
        return InputError(
            f"{name} cannot be fetched: {reasons}. Correct the addresses or what is stated of the "
            "file, or place the file in the folder."
        )

    async def _receive(self, address: str) -> None:
        """Append what an address has beyond the part; raise RequestError if the end is missing."""
        start_byte, validator = self.part.find_start(address, may_mix=self._may_mix)
        headers = {"Range": f"bytes={start_byte}-"} if start_byte else {}
        if start_byte and validator:
            headers["If-Range"] = validator
        deadline = Deadline(self.settings.timeout_s)
        async with open_response(address, deadline, headers=headers) as response:
            if response.status_code == 416:
                self.part.discard()
                raise RequestError(f"has nothing from byte {start_byte} on", kind="interrupted")
            _check_encoding(response, address)
            start_byte, total_bytes = _read_extent(response, start_byte)
            self._check_size(response, total_bytes)
            body = response.aiter_raw()
            first = await anext(body, b"")
            self._check_not_page(response, first)
            marks = response.headers.get("ETag"), response.headers.get("Last-Modified")
            if not self.part.begin(Version(address, *marks, total_bytes), start_byte=start_byte):
                raise RequestError("has another file than before", kind="interrupted")
            self.part.is_doubtful |= not _has_visible_end(response)
            self._log_start(address, start_byte)
            deadline.extend()
            await self._copy(first, body, position=start_byte, deadline=deadline)
        length, total = self.part.length_bytes, self._total_bytes
        if not length and not self.download.has_hash and self.download.size_bytes != 0:
            self.part.discard()
            raise RequestError("sends an empty file", kind="wrong_content")
        if total not in (None, length):
            raise RequestError(f"ended after byte {length} of {total}", kind="interrupted")

    def _check_size(self, response: httpx.Response, received_bytes: int | None) -> None:
        expected_bytes = self.download.size_bytes
        if None not in (expected_bytes, received_bytes) and expected_bytes != received_bytes:
            raise RequestError(
                f"offers another file: expected {expected_bytes} bytes, received {received_bytes}",
                kind="wrong_content",
            )
        is_known = expected_bytes is not None or self.download.has_hash
        if not is_known and not _has_visible_end(response):
            raise RequestError(
                "states no length, and neither a size nor a hash is known: a cut could not be told "
                "from the end",
                kind="wrong_content",
            )

    def _check_not_page(self, response: httpx.Response, first: bytes) -> None:
        is_html = "html" in response.headers.get("Content-Type", "")
        is_wanted = self.download.name.endswith((".html", ".htm"))
        if is_html and first.lstrip(_BEFORE_MARKUP).startswith(b"<") and not is_wanted:
            raise RequestError("sends a web page in place of the file", kind="wrong_content")

    def _log_start(self, address: str, start_byte: int) -> None:
        total = self._total_bytes
        if total is not None:
            self.space.claim(self.target, total)
        size = "unknown size" if total is None else format_bytes(total)
        there = f", {format_bytes(start_byte)} already here" if start_byte else ""
        _logger.info("%s: fetching from %s (%s%s)", self.download.name, address, size, there)

    async def _copy(
        self, chunk: bytes, body: AsyncIterator[bytes], *, position: int, deadline: Deadline
    ) -> None:
        """Write a chunk, and the rest of the body, into the part from a position on."""
        total = self._total_bytes
        unflushed_bytes = timely_bytes = 0
        with self.part.path.open("r+b") as file:
            file.seek(position)
            while chunk:
                position += len(chunk)
                if total is None:
                    self.space.claim(self.target, position)
                elif position > total:
                    self.part.discard()
                    raise RequestError(f"sends more than {total} bytes", kind="wrong_content")
                file.write(chunk)
                file.flush()
                self.progress.add(len(chunk), position_bytes=position, total_bytes=total)
                unflushed_bytes += len(chunk)
                if unflushed_bytes >= self.settings.flush_every_bytes:
                    self.part.save_flushed(file)
                    unflushed_bytes = 0
                timely_bytes += len(chunk)
                if timely_bytes >= self.settings.least_bytes:
                    deadline.extend()
                    timely_bytes = 0
                chunk = await anext(body, b"")

    async def _verify_part(self) -> str:
        """Return the SHA-256 of the part, or discard it and raise RequestError."""
        try:
            return await asyncio.to_thread(self._verify, self.part.path)
        except InputError as error:
            # Pieces may not have fitted: once, all of it may come from one address.
            is_final = not (self.part.is_doubtful and self._may_mix)
            self._may_mix = False
            self.part.discard()
            kind = "refused" if is_final else "wrong_content"
            raise RequestError(f"sent another file: {error}", kind=kind) from None


def _has_visible_end(response: httpx.Response) -> bool:
    """Return whether the end of a body can be told from a cut."""
    return "Content-Length" in response.headers or "Transfer-Encoding" in response.headers


def _check_encoding(response: httpx.Response, address: str) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    # Some servers state how a .gz file was made, and mean the file as it is.
    is_gzip_itself = "gzip" in encoding and urlsplit(address).path.endswith((".gz", ".tgz"))
    if encoding != "identity" and not is_gzip_itself:
        raise RequestError(
            f"expected the file as it is, received Content-Encoding {encoding!r}",
            kind="wrong_content",
        )


def _read_extent(response: httpx.Response, from_byte: int) -> tuple[int, int | None]:
    """Return at which byte a body begins, and how many the whole file has, if that is stated.

    Raises:
        RequestError: it is neither the file from its beginning on nor the rest that was asked for.
    """
    if response.status_code == 200:
        length = response.headers.get("Content-Length")
        return 0, None if length is None else int(length)
    stated = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes\s+(\d{1,18})-\d{1,18}/(\d{1,18}|\*)", stated.strip())
    if response.status_code != 206 or not match or int(match[1]) != from_byte:
        raise RequestError(
            f"expected the bytes from {from_byte} on, received status {response.status_code} and "
            f"Content-Range {stated!r}",
            kind="wrong_content",
        )
    return from_byte, None if match[2] == "*" else int(match[2])
