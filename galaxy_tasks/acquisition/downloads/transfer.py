"""From the network to the partial file: try, keep what came, wait, go on from there."""

import threading
import time

from galaxy_tasks.acquisition.downloads.connection import Answer, ask
from galaxy_tasks.acquisition.downloads.disk import SpaceClaim
from galaxy_tasks.acquisition.downloads.failures import RangeRefusedError, TryError
from galaxy_tasks.acquisition.downloads.mirrors import Mirror, Mirrors
from galaxy_tasks.acquisition.downloads.partial import PartialFile
from galaxy_tasks.acquisition.downloads.patience import Patience
from galaxy_tasks.acquisition.downloads.progress import Progress, say
from galaxy_tasks.acquisition.downloads.records import DownloadSettings, RemoteFile
from galaxy_tasks.acquisition.downloads.verification import check_content
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.formatting import format_bytes

_MOST_BYTES = 10**15
"""No disk has room for more; a server that states it says nothing of the file."""


class Transfer:
    """Fills the partial file of one remote file, from whichever address answers."""

    def __init__(
        self,
        remote: RemoteFile,
        part: PartialFile,
        mirrors: Mirrors,
        *,
        settings: DownloadSettings,
        space: SpaceClaim,
        stop: threading.Event,
    ) -> None:
        """Bind what belongs to one download."""
        self.remote = remote
        self.part = part
        self.mirrors = mirrors
        self.settings = settings
        self.space = space
        self.stop = stop
        self.may_mix = remote.has_hash
        """Whether the rest may come from another address: a hash will tell if it fits."""
        self.progress = Progress(remote.name, every_s=settings.progress_every_s)
        self._counted_bytes = part.length_bytes

    @property
    def _total_bytes(self) -> int | None:
        known = self.remote.size_bytes
        return self.part.total_bytes if known is None else known

    def complete(self) -> None:
        """Return when the part has as many bytes as the file; what they are is not checked here.

        Raises:
            InputError, ResourceError: no address is left to try (see Mirrors.choose).
        """
        while self.part.length_bytes != self._total_bytes or not self.part.path.is_file():
            if self._total_bytes is not None and self.part.length_bytes > self._total_bytes:
                self.part.discard()
            version = None if self.may_mix else self.part.version
            mirror = self.mirrors.choose(preferred=version.address if version else None)
            self._wait_for(mirror)
            try:
                self._receive(mirror)
            except TryError as failure:
                self._raise_if_stopped()
                self.mirrors.note_failure(mirror, failure, has_progressed=self._has_progressed())

    def _has_progressed(self) -> bool:
        """Return whether the part is longer than ever, by more than the slowest server sends.

        A server that sends a few bytes and breaks, or the beginning over and over, is given up.
        """
        step_bytes = self.settings.slowest_bytes_per_s * self.settings.timeout_s
        length_bytes = self.part.length_bytes
        if length_bytes < self._counted_bytes + step_bytes:
            return False
        self._counted_bytes = length_bytes
        return True

    def _wait_for(self, mirror: Mirror) -> None:
        self.stop.wait(max(0.0, mirror.ready_at_s - time.monotonic()))
        self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        if self.stop.is_set():
            raise ResourceError(f"{self.remote.name}: stopped; what has come is kept.")

    def _receive(self, mirror: Mirror) -> None:
        start_byte, validator = self.part.find_start(mirror.address, may_mix=self.may_mix)
        try:
            answer = ask(
                mirror.address,
                from_byte=start_byte,
                validator=validator,
                patience=Patience(self.settings.timeout_s, stop=self.stop),
            )
        except RangeRefusedError as failure:
            is_end = self._total_bytes is None and failure.total_bytes == start_byte
            if (is_end and self.part.version) or self._is_whole():
                self.part.end_at(start_byte, address=mirror.address)
                return
            self.part.discard()
            raise
        length_bytes = self.part.length_bytes
        with answer:
            self._check_size(answer)
            self._check_kind(answer)
            self.part.begin(answer)
            total_bytes = self._total_bytes
            if total_bytes is not None:
                self.space.claim(max(0, total_bytes - self.part.length_bytes))
            size = "unknown size" if total_bytes is None else format_bytes(total_bytes)
            here = f", {format_bytes(answer.start_byte)} already here" if answer.start_byte else ""
            say(f"{self.remote.name}: fetching from {mirror.address} ({size}{here})")
            end_byte = self._copy(answer)
        if self._total_bytes != end_byte == length_bytes and self._is_whole():
            # It ended there before too, and not where the server said: what it said may be wrong.
            self.part.end_at(end_byte, address=mirror.address)
        self._judge_end(answer, end_byte)

    def _is_whole(self) -> bool:
        """Return whether a hash says that the part is the file, whatever its server says."""
        if not self.remote.has_hash or not self.part.length_bytes:
            return False
        try:
            check_content(self.part.path, self.remote, recorded=None, source=str(self.part.path))
        except InputError:
            return False
        return True

    def _check_size(self, answer: Answer) -> None:
        expected, received = self.remote.size_bytes, answer.version.total_bytes
        if received is not None and received > _MOST_BYTES:
            raise TryError(f"states a size of {received} bytes", kind="wrong_content")
        if None not in (expected, received) and expected != received:
            raise TryError(
                f"offers another file: expected {expected} bytes, received {received} bytes",
                kind="wrong_content",
            )
        if expected is None and not answer.has_visible_end and not self.remote.has_hash:
            raise TryError(
                "states no length, and neither a size nor a hash is known: "
                "a cut could not be told from the end",
                kind="wrong_content",
            )

    def _check_kind(self, answer: Answer) -> None:
        """Raise TryError for a web page that no hash would tell, or that would cost what is here.

        With a hash and nothing here it may come: the server may only misname its kind.
        """
        is_told = self.remote.has_hash and (answer.start_byte or not self.part.length_bytes)
        if not is_told and not self.remote.name.endswith((".html", ".htm")) and answer.is_page():
            raise TryError("sends a web page in place of the file", kind="wrong_content")

    def _copy(self, answer: Answer) -> int:
        """Write what comes, and return the position after the last byte."""
        total_bytes, position = self._total_bytes, answer.start_byte
        flushed_at = position
        pace = _Pace(self.settings)
        with self.part.open_at(position) as file:
            while chunk := answer.read_chunk():
                if total_bytes is not None and position + len(chunk) > total_bytes:
                    self.part.discard()
                    raise TryError(
                        f"sends more than the {total_bytes} bytes of the file", kind="wrong_content"
                    )
                if total_bytes is None:
                    self.space.claim(len(chunk))
                file.write(chunk)
                file.flush()
                position += len(chunk)
                if total_bytes is not None:
                    self.space.note_left(total_bytes - max(position, self.part.length_bytes))
                self.progress.add(len(chunk), position_bytes=position, total_bytes=total_bytes)
                if position - flushed_at >= self.settings.flush_every_bytes:
                    self.part.save_flushed(file, position_bytes=position)
                    flushed_at = position
                pace.add(len(chunk))
                self._raise_if_stopped()
        return position

    def _judge_end(self, answer: Answer, end_byte: int) -> None:
        total_bytes = self._total_bytes
        if not answer.has_visible_end:
            self.part.is_doubtful = True
        if not (end_byte or total_bytes or self.remote.has_hash or self.remote.size_bytes == 0):
            self.part.discard()
            raise TryError("sends an empty file", kind="wrong_content")
        if total_bytes is None and (answer.has_visible_end or self.remote.has_hash):
            self.part.end_at(end_byte, address=answer.version.address)
        elif end_byte != total_bytes:
            raise TryError(
                f"ended after byte {end_byte} of {total_bytes or 'unknown'}", kind="interrupted"
            )


class _Pace:
    """Tells a server that sends a byte now and then from one that sends a file."""

    def __init__(self, settings: DownloadSettings) -> None:
        self._settings = settings
        self._since_s = time.monotonic()
        self._bytes = 0

    def add(self, chunk_bytes: int) -> None:
        """Raise TryError if over a whole timeout too little has come."""
        self._bytes += chunk_bytes
        passed_s = time.monotonic() - self._since_s
        if passed_s < self._settings.timeout_s:
            return
        if self._bytes < self._settings.slowest_bytes_per_s * passed_s:
            raise TryError(
                f"sent {self._bytes} bytes in {passed_s:.0f} s, which is too slow",
                kind="interrupted",
            )
        self._since_s, self._bytes = time.monotonic(), 0
