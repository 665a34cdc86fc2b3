"""The part of a file that has arrived, and which version from which address it belongs to.

`NAME.part` holds bytes from the first on, without gaps; `NAME.part.json` says whose. Both outlive
the process. Every chunk goes to the system at once, so that a killed process loses none; after a
power failure only what was flushed to the disk before is used.
"""

import logging
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from galaxy_tasks.storage.atomic_io import flush, read_json, write_json

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """Which content of an address some bytes belong to; None is what the server does not state."""

    address: str
    etag: str | None = None
    last_modified: str | None = None
    total_bytes: int | None = None

    @property
    def validator(self) -> str | None:
        """What If-Range takes: a strong ETag, else the date, else None."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def may_continue(self, other: "Version") -> bool:
        """Return whether nothing known speaks against both being of the same content."""
        names = ["total_bytes"]
        if self.address == other.address:
            names.append("etag" if self.etag and other.etag else "last_modified")
        pairs = ((getattr(self, name), getattr(other, name)) for name in names)
        return all(None in pair or pair[0] == pair[1] for pair in pairs)


def part_path(target: Path) -> Path:
    """Return where the part of a file is kept."""
    return target.with_name(f"{target.name}.part")


class PartialFile:
    """The beginning of a file; only the holder of the file's lock may use it."""

    def __init__(self, target: Path) -> None:
        """Take up what earlier calls left."""
        self.path = part_path(target)
        self._sidecar = target.with_name(f"{target.name}.part.json")
        self.version: Version | None = None
        self.is_doubtful = self.length_bytes > 0
        """Whether it may be of several versions or cut short, so that another try may help."""
        self._flushed_bytes = 0
        if self.is_doubtful and self._sidecar.is_file():
            self._read_sidecar()

    @property
    def length_bytes(self) -> int:
        """How much of the file is there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def discard(self) -> None:
        """Remove all that has arrived."""
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

        Bytes from another address, or from a server that states no version, are kept only where
        they `may_mix` with what comes: a hash will show whether they fit.
        """
        if self.version and self.version.address == address and self.version.validator:
            return self.length_bytes, self.version.validator
        return (self.length_bytes if may_mix else 0), None

    def begin(self, version: Version, *, start_byte: int) -> bool:
        """Prepare for the bytes of a version from `start_byte` on.

        Returns False, with the part discarded, if they do not continue what is there.
        """
        old = self.version
        if not start_byte:
            self.discard()
        elif old and not old.may_continue(version):
            self.discard()
            return False
        elif old and old.address == version.address:
            version = replace(old, total_bytes=old.total_bytes or version.total_bytes)
        self.is_doubtful = start_byte > 0
        self.version = version
        self.path.touch()
        self._write_sidecar()
        return True

    def save_flushed(self, file: IO[bytes]) -> None:
        """Bring all that was written to the disk, and note how much that is."""
        os.fsync(file.fileno())
        self._flushed_bytes = file.tell()
        self._write_sidecar()

    def _write_sidecar(self) -> None:
        assert self.version is not None
        known = {"flushed_bytes": self._flushed_bytes, "boot_id": _read_boot_id()}
        write_json(self._sidecar, {**asdict(self.version), **known})

    def _read_sidecar(self) -> None:
        try:
            known = read_json(self._sidecar)
            boot_id = known.pop("boot_id")
            self._flushed_bytes = int(known.pop("flushed_bytes"))
            self.version = Version(**known)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _logger.warning("%s cannot be read (%r): starting over.", self._sidecar, error)
            self.discard()
            return
        is_same_boot = bool(boot_id) and boot_id == _read_boot_id()
        if not is_same_boot and self._flushed_bytes < self.length_bytes:
            os.truncate(self.path, self._flushed_bytes)


def _read_boot_id() -> str:
    """Return what changes when the machine starts; empty where the system has no such file."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.is_file() else ""
