"""A zip is read in place: members by name, so that its content need not exist twice on the disk."""

import functools
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.acquisition.archives import (
    Layout,
    arrange,
    check_members,
    iterate_zip,
    name_damage,
    require_archive,
)
from galaxy_tasks.acquisition.downloads.disk import name_disk_trouble
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
    """The files of a zip by name, in the archive's order; use it as a context manager.

    Reading has no position that could be shared: threads, and processes forked after opening, may
    read at the same time.
    """

    def __init__(self, archive: Path, entries: Mapping[str, ZipEntry]) -> None:
        """Open the archive; `open_members` checks it first, and finds the entries."""
        self.archive = archive
        self.entries = entries
        self._file = archive.open("rb", buffering=0)

    def __enter__(self) -> "ZipReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def size_bytes(self, name: str) -> int:
        """Return the size of a file's content."""
        return self._find(name).size_bytes

    def read(self, name: str) -> bytes:
        """Return a file's content, verified by its checksum.

        Raises:
            InputError: there is no such file, or its content is damaged.
        """
        entry = self._find(name)
        with name_disk_trouble(self.archive), name_damage(self.archive):
            header = self._read_at(entry.offset, _LOCAL_HEADER.size)
            signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
            if signature != b"PK\3\4":
                raise zipfile.BadZipFile(f"no member at byte {entry.offset}")
            start = entry.offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
            content = self._read_at(start, entry.packed_bytes)
            if entry.is_packed:
                # One byte more than stated, so that more than stated is noticed and no more comes.
                content = zlib.decompressobj(-15).decompress(content, entry.size_bytes + 1)
            if len(content) != entry.size_bytes or zlib.crc32(content) != entry.crc32:
                raise zipfile.BadZipFile(f"wrong size or CRC-32 of {name!r}")
        return content

    def _find(self, name: str) -> ZipEntry:
        try:
            return self.entries[name]
        except KeyError:
            some = ", ".join(list(self.entries)[:3])
            raise InputError(
                f"{self.archive} has no file {name!r}; it has {len(self)}, such as {some}."
            ) from None

    def _read_at(self, offset: int, size_bytes: int) -> bytes:
        content = os.pread(self._file.fileno(), size_bytes, offset)
        if len(content) != size_bytes:
            raise EOFError(f"ends before byte {offset + size_bytes}")
        return content


def open_members(
    archive: Path,
    *,
    max_total_bytes: int,
    max_ratio: float,
    max_member_bytes: int = 2**28,
    layout: Layout = "as_archived",
) -> ZipReader:
    """Return the files of a zip, to be read by name; nothing is written.

    The names are the same and as safe, and the bounds the same, as in `unpack_archive`; a single
    file, which is read into memory, has a bound of its own.

    Raises:
        InputError: no zip, damaged, unsafe, larger than allowed, or packed by a method other than
            deflate.
    """
    require_archive(archive)
    with name_disk_trouble(archive), name_damage(archive):
        if not zipfile.is_zipfile(archive):
            raise InputError(f"{archive} is no zip; only a zip can be read in place. Unpack it.")
        with zipfile.ZipFile(archive) as opened:
            members = list(arrange(archive, iterate_zip(archive, opened), layout))
            check_members(archive, members, max_total_bytes=max_total_bytes, max_ratio=max_ratio)
            entries = {
                member.name: _describe_entry(
                    archive, member.entry, max_member_bytes=max_member_bytes
                )
                for member in members
                if member.entry and not member.is_folder
            }
        return ZipReader(archive, entries)


def _describe_entry(archive: Path, info: zipfile.ZipInfo, *, max_member_bytes: int) -> ZipEntry:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(
            f"{archive}: {info.filename!r} is packed by method {info.compress_type}; only stored "
            "and deflated files can be read in place. Unpack the archive."
        )
    largest_bytes = max(info.file_size, info.compress_size)
    if largest_bytes > max_member_bytes:
        raise InputError(
            f"{archive}: {info.filename!r} has {largest_bytes} bytes, more than the "
            f"{max_member_bytes} that are read into memory. Unpack the archive."
        )
    return ZipEntry(
        info.header_offset,
        info.compress_size,
        info.file_size,
        info.CRC,
        info.compress_type == zipfile.ZIP_DEFLATED,
    )


# A zip with images stands for the folder that it would be unpacked into.
#
# Its files are known by their names without folders, as unpacking lays them into one folder.


MAX_UNPACKED_BYTES = 400 * 10**9
"""More than any release publishes; the largest are the 100 GB of DECaLS."""
MAX_RATIO = 20
"""JPEG and PNG hardly shrink any more; a table of zeros does."""


def is_zip(path: Path) -> bool:
    """Return whether this is a zip, by its name, and no folder."""
    return path.suffix.lower() == ".zip" and path.is_file()


def list_entries(archive: Path) -> Mapping[str, ZipEntry]:
    """Return where in a zip each file is, by its name without folders; hidden files are left out.

    Raises:
        InputError: no zip, damaged, encrypted, unsafe or larger than allowed, as `open_members`
            says; or two images of one name in different folders.
    """
    status = archive.stat()
    return _list_entries(archive, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _list_entries(archive: Path, _size_bytes: int, _changed_ns: int) -> Mapping[str, ZipEntry]:
    """Read the directory, some seconds for a quarter of a million files, once for all who ask."""
    limits = {"max_total_bytes": MAX_UNPACKED_BYTES, "max_ratio": MAX_RATIO}
    with open_members(archive, layout="flat", **limits) as members:
        return members.entries
