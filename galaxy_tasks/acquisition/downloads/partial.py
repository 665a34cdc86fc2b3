"""The part of a file that has come, and which content of which address it is a part of.

`NAME.part` holds bytes from the first on, without gaps; `NAME.part.json` says whose. Both outlive
the process. Every chunk goes to the system at once, so that a killed process loses none; after a
failure of the machine only what was flushed to the disk before is believed.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO

from galaxy_tasks.acquisition.downloads.connection import Answer, Version
from galaxy_tasks.acquisition.downloads.failures import TryError
from galaxy_tasks.acquisition.downloads.progress import say
from galaxy_tasks.storage.atomic_io import flush, read_json, write_json

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def part_path(target: Path) -> Path:
    """Return where the part of a file is kept."""
    return target.with_name(f"{target.name}.part")


class PartialFile:
    """The beginning of a file; only the holder of the file's lock may use it."""

    def __init__(self, target: Path) -> None:
        """Find what earlier attempts left."""
        self.path = part_path(target)
        self._sidecar = target.with_name(f"{target.name}.part.json")
        self.version: Version | None = None
        self.is_doubtful = self.length_bytes > 0
        """Whether its bytes may be of two versions, or cut short: then another try may help."""
        self._flushed_bytes = 0
        if self.is_doubtful:
            self._recall()

    @property
    def length_bytes(self) -> int:
        """How much of the file is there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def total_bytes(self) -> int | None:
        """The size of the whole file as the server told it."""
        return self.version.total_bytes if self.version else None

    def discard(self) -> None:
        """Forget all that has come."""
        self.path.unlink(missing_ok=True)
        self._sidecar.unlink(missing_ok=True)
        self.version = None
        self.is_doubtful = False
        self._flushed_bytes = 0

    def publish(self, target: Path) -> None:
        """Make the part, complete and verified, the file itself."""
        flush(self.path)
        self.path.replace(target)
        flush(target.parent)
        self._sidecar.unlink(missing_ok=True)

    def find_start(self, address: str, *, may_mix: bool) -> tuple[int, str | None]:
        """Return from which byte on to ask an address, and the validator for If-Range.

        Bytes of another address, or of a server that marks no versions, are kept only where they
        `may_mix` with what comes: a hash will tell whether they fit.
        """
        length_bytes = self.length_bytes
        if self.version and self.version.address == address and self.version.validator:
            return length_bytes, self.version.validator
        return (length_bytes, None) if may_mix else (0, None)

    def begin(self, answer: Answer) -> None:
        """Make the part one of the version that is coming.

        Raises:
            TryError: the server sends the rest of another version; the part was discarded.
        """
        old, new = self.version, answer.version
        is_same = old is not None and _is_same(old, new)
        if answer.start_byte and old and not is_same and not _may_fit(old, new):
            self.discard()
            raise TryError("the file has changed since its first part came", kind="interrupted")
        if answer.start_byte:
            self.is_doubtful = True
        elif not is_same and self.length_bytes:
            # The whole file instead of the rest. If it is the same one, the bytes are written over
            # what is there, and another cut does not cost what was already here.
            self.discard()
        if answer.start_byte and old and old.address == new.address:
            # The answer with the rest may leave out what the first one said.
            new = Version(
                new.address,
                new.etag or old.etag,
                new.last_modified or old.last_modified,
                new.total_bytes or old.total_bytes,
            )
        self.version = new
        self.path.touch()
        self._remember()

    @contextlib.contextmanager
    def open_at(self, start_byte: int) -> Iterator[IO[bytes]]:
        """Yield the part opened for writing from a byte on."""
        with self.path.open("r+b") as file:
            file.seek(start_byte)
            yield file

    def save_flushed(self, file: IO[bytes], *, position_bytes: int) -> None:
        """Bring all up to a position to the disk, and remember that it is there."""
        file.flush()
        os.fsync(file.fileno())
        self._flushed_bytes = max(self._flushed_bytes, position_bytes)
        self._remember()

    def end_at(self, total_bytes: int, *, address: str) -> None:
        """Learn the size of the whole file from its end; the address that told it."""
        version = self.version or Version(address, None, None, None)
        self.version = replace(version, total_bytes=total_bytes)
        os.truncate(self.path, total_bytes)
        self._remember()

    def _remember(self) -> None:
        assert self.version is not None
        write_json(
            self._sidecar,
            {
                **asdict(self.version),
                "flushed_bytes": self._flushed_bytes,
                "boot_id": _boot_id(),
            },
        )

    def _recall(self) -> None:
        if not self._sidecar.is_file():
            return
        try:
            known = read_json(self._sidecar)
            is_same_boot = bool(known["boot_id"]) and known["boot_id"] == _boot_id()
            self._flushed_bytes = int(known["flushed_bytes"])
            self.version = Version(
                *(known[key] for key in ("address", "etag", "last_modified", "total_bytes"))
            )
        except (ValueError, KeyError, TypeError) as error:
            say(f"{self._sidecar} cannot be read ({error!r}); starting afresh.")
            self.discard()
            return
        if not is_same_boot and self._flushed_bytes < self.length_bytes:
            os.truncate(self.path, self._flushed_bytes)


def _is_same(old: Version, new: Version) -> bool:
    """Return whether the server vouches for both being the same content."""
    return bool(
        old.address == new.address
        and old.validator
        and old.validator == new.validator
        and old.total_bytes == new.total_bytes
    )


def _may_fit(old: Version, new: Version) -> bool:
    """Return whether nothing known speaks against both being the same content."""
    if old.total_bytes and new.total_bytes and old.total_bytes != new.total_bytes:
        return False
    if old.address != new.address:
        return True
    if old.etag and new.etag:
        return old.etag == new.etag
    return not (old.last_modified and new.last_modified and old.last_modified != new.last_modified)


def _boot_id() -> str:
    """Return what changes when the machine starts; empty where the system does not tell."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.is_file() else ""
