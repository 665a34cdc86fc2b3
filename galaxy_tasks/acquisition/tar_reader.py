"""Read a tar in place, if it is not compressed: files by their paths in it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.acquisition.archives import iterate_tar, limit_size, name_damage
from galaxy_tasks.acquisition.disk import name_disk_trouble
from galaxy_tasks.errors import InputError

_SUFFIXES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True)
class TarEntry:
    """Where in a tar a file's content is."""

    first_byte: int
    size_bytes: int


class TarReader:
    """The files of a tar; use it as a context manager."""

    def __init__(self, archive: Path) -> None:
        """Open the archive."""
        self.archive = archive
        self._file = archive.open("rb", buffering=0)

    def __enter__(self) -> "TarReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, entry: TarEntry) -> bytes:
        """Return the content of an entry, which a tar has no checksum of.

        Raises:
            InputError: the archive ends before it does.
        """
        with name_disk_trouble(self.archive), name_damage(self.archive):
            content = os.pread(self._file.fileno(), entry.size_bytes, entry.first_byte)
            if len(content) != entry.size_bytes:
                raise EOFError(f"ends before byte {entry.first_byte + entry.size_bytes}")
        return content


def is_tar(path: Path) -> bool:
    """Return whether this is a file named as a tar, compressed or not."""
    return path.name.lower().endswith(_SUFFIXES) and path.is_file()


def list_tar_entries(archive: Path) -> Mapping[str, TarEntry]:
    """Return the entries of an uncompressed tar by their paths in it; of one path, the last counts.

    Raises:
        InputError: it is not a tar, is damaged, or is unsafe.
    """
    with name_disk_trouble(archive), name_damage(archive), archive.open("rb") as file:
        members = list(limit_size(archive, iterate_tar(archive, file)))
    if not members:
        raise InputError(f"{archive} has no files, or is no tar.")
    return {one.name: TarEntry(one.first_byte, one.size_bytes) for one in members}
