"""What is fetched, what came of it, and how patiently it is tried."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from galaxy_tasks.errors import InputError

_HEXADECIMAL_DIGITS = {"md5": 32, "sha256": 64}
_OWN_ENDINGS = (".part", ".part.json", ".sha256")


@dataclass(frozen=True)
class RemoteFile:
    """A file that others publish; whatever is known of its content is held against what comes.

    Raises:
        InputError: the name is no plain file name, an address is not http(s), a hash is none.
    """

    name: str
    """The name it gets in the folder; no path."""
    addresses: tuple[str, ...] = ()
    """Where it can be fetched, tried in turn. None: the user has to place the file."""
    size_bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be fetched or compared."""
        if not self.name or self.name != Path(self.name).name or self.name.startswith("."):
            raise InputError(f"A remote file needs a plain file name, received {self.name!r}.")
        if self.name.endswith(_OWN_ENDINGS):
            raise InputError(
                f"{self.name!r} ends as the files beside a download do: {', '.join(_OWN_ENDINGS)}."
            )
        for address in self.addresses:
            parts = urlsplit(address)
            if (
                parts.scheme not in ("http", "https")
                or not parts.hostname
                or re.search(r"[\s\x00-\x1f\x7f]", address)
            ):
                raise InputError(
                    f"{self.name}: expected an address such as https://host/path, "
                    f"received {address!r}."
                )
        for kind, digits in _HEXADECIMAL_DIGITS.items():
            value = getattr(self, kind)
            if value is not None and not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value):
                raise InputError(
                    f"{self.name}: expected {digits} hexadecimal digits as {kind}, "
                    f"received {value!r}."
                )
        if self.size_bytes is not None and self.size_bytes < 0:
            raise InputError(f"{self.name}: a size of {self.size_bytes} bytes cannot be.")

    @property
    def has_hash(self) -> bool:
        """Whether its content can be told from any other."""
        return bool(self.md5 or self.sha256)


@dataclass(frozen=True)
class FetchedFile:
    """A verified file on disk."""

    path: Path
    size_bytes: int
    sha256: str
    origin: Literal["downloaded", "already_there"]
    received_bytes: int = 0
    """What came over the network for it in this call."""


@dataclass(frozen=True)
class DownloadSettings:
    """How patiently a file is fetched; the defaults suit gigabytes from a public archive."""

    timeout_s: float = 60.0
    """For the head of an answer, for each silence, and to judge the slowest rate over."""
    slowest_bytes_per_s: float = 1_000.0
    """A connection slower than this counts as cut."""
    tries: int = 6
    """Tries in a row without a new byte after which an address is given up."""
    shortest_pause_s: float = 1.0
    """Before the second try of an address; it doubles with each try without a new byte."""
    longest_pause_s: float = 120.0
    """Bound of the pauses. A server that asks for a longer one is given up."""
    progress_every_s: float = 5.0
    flush_every_bytes: int = 32 * 2**20
    """What a failure of the machine, not of the process, may cost."""
    reserve_bytes: int = 256 * 2**20
    """Disk space left to others."""
    lock_timeout_s: float = 6 * 3600.0
    """How long another process that fetches the same file is waited for."""
    parallel_files: int = 4
