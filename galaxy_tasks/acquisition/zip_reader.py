"""Read a zip in place: files by name, so that its content need not exist twice on the disk.

A zip with images stands for the folder that it would be unpacked to.
"""

import functools
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.acquisition.archives import iterate_zip, limit_size, name_damage
from galaxy_tasks.acquisition.disk import name_disk_trouble
from galaxy_tasks.errors import InputError

_LOCAL_HEADER = struct.Struct("<4s22xHH")


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """Where in a zip a file is, and what its content must be."""

    offset: int
    packed_bytes: int
    size_bytes: int
    crc32: int
    is_packed: bool


class ZipReader:
    """The files of a zip by name; use it as a context manager.

    Reads share no position: threads, and processes forked after opening, may read at the same time.
    """

    def __init__(self, archive: Path, entries: Mapping[str, ZipEntry]) -> None:
        """Open the archive, of which `list_entries` gives the entries."""
        self.archive = archive
        self.entries = entries
        self._file = archive.open("rb", buffering=0)

    def __enter__(self) -> "ZipReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, name: str) -> bytes:
        """Return the content of one of the entries, verified by its checksum.

        Raises:
            InputError: it is damaged.
        """
        entry = self.entries[name]
        with name_disk_trouble(self.archive), name_damage(self.archive):
            header = self._read_at(entry.offset, _LOCAL_HEADER.size)
            signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
            if signature != b"PK\3\4":
                raise zipfile.BadZipFile(f"no member at byte {entry.offset}")
            start = entry.offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
            content = self._read_at(start, entry.packed_bytes)
            if entry.is_packed:
                # One byte more than stated reveals a longer content without unpacking all of it.
                content = zlib.decompressobj(-15).decompress(content, entry.size_bytes + 1)
            if len(content) != entry.size_bytes or zlib.crc32(content) != entry.crc32:
                raise zipfile.BadZipFile(f"wrong size or CRC-32 of {name!r}")
        return content

    def _read_at(self, offset: int, size_bytes: int) -> bytes:
        content = os.pread(self._file.fileno(), size_bytes, offset)
        if len(content) != size_bytes:
            raise EOFError(f"ends before byte {offset + size_bytes}")
        return content


def is_zip(path: Path) -> bool:
    """Return whether this is a file named as a zip."""
    return path.suffix.lower() == ".zip" and path.is_file()


def list_entries(archive: Path) -> Mapping[str, ZipEntry]:
    """Return the entries of a zip by their paths in it.

    Raises:
        InputError: it is not a zip, is damaged, is compressed by a method other than deflate,
            has two files of one path, or would be refused by `unpack_archives`.
    """
    with name_disk_trouble(archive):
        status = archive.stat()
    return _list_entries(archive, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _list_entries(archive: Path, _size_bytes: int, _changed_ns: int) -> Mapping[str, ZipEntry]:
    """Read the directory once for all callers; a quarter of a million files take some seconds."""
    with (
        name_disk_trouble(archive),
        name_damage(archive),
        zipfile.ZipFile(archive) as opened,
    ):
        entries: dict[str, ZipEntry] = {}
        for member in limit_size(archive, iterate_zip(archive, opened)):
            assert member.entry is not None
            if member.name in entries:
                raise InputError(f"{archive} has two files named {member.name!r}.")
            entries[member.name] = _describe_entry(archive, member.entry)
        return entries


def _describe_entry(archive: Path, entry: zipfile.ZipInfo) -> ZipEntry:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(
            f"{archive}: {entry.filename!r} is compressed by method {entry.compress_type}; only "
            "stored and deflated files can be read in place. Unpack the archive."
        )
    return ZipEntry(
        entry.header_offset,
        entry.compress_size,
        entry.file_size,
        entry.CRC,
        entry.compress_type == zipfile.ZIP_DEFLATED,
    )
