"""What is in an archive, and whether it may be written to a disk at all.

Only files and folders below the archive's own root pass, each name once, and together no more than
the caller expects. All is checked before anything is written.
"""

import contextlib
import gzip
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from galaxy_tasks.downloads.progress import format_bytes
from galaxy_tasks.errors import InputError

WORK_FOLDER = ".unpacking"
"""Where a member lies until it is whole; no archive may have one."""

_SMALL_BYTES = 2**20  # below this no ratio is judged: a tar of one small file is mostly zeros
_BLOCK_BYTES = 2**16
_LONGEST_HEADER_BYTES = 2**20
_LONGEST_NAME_BYTES = 255
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,  # how zipfile says that it does not know a compression or a version
    UnicodeError,
)


@dataclass(frozen=True, slots=True)
class Member:
    """One file or folder of an archive."""

    name: str
    """Path below the root, with slashes; empty for the root itself."""
    size_bytes: int
    is_folder: bool
    open: Callable[[], IO[bytes]]
    """Opens its content; of a tar only until the next member is asked for."""
    entry: zipfile.ZipInfo | None = None
    """What the directory of a zip says of it."""


def require_archive(archive: Path) -> None:
    """Raise InputError unless there is a file."""
    if not archive.is_file():
        raise InputError(f"{archive} is no file. Fetch it first, or place it there.")


@contextlib.contextmanager
def name_damage(archive: Path) -> Iterator[None]:
    """Turn what the archive libraries raise about the content into an InputError."""
    try:
        yield
    except _DAMAGE as error:
        raise InputError(
            f"{archive} is damaged, cut short or of an unknown kind "
            f"({str(error) or type(error).__name__}). "
            "Remove it and fetch it again."
        ) from error


def iterate_members(archive: Path, *, max_ratio: float) -> Iterator[Member]:
    """Yield the members in the archive's order, each with a name that is safe below a folder.

    Raises:
        InputError: no zip, tar or gzipped tar; damaged; a member that is no file or folder, or
            whose name leads out of the archive; or more content than `max_ratio` times its size.
    """
    limit_bytes = int(max(_SMALL_BYTES, max_ratio * archive.stat().st_size))
    with archive.open("rb") as file:
        start = file.read(512)
        file.seek(0)
        if start.startswith((b"PK\3\4", b"PK\5\6")):
            with zipfile.ZipFile(file) as opened:
                yield from iterate_zip(archive, opened)
        elif start.startswith(b"\x1f\x8b"):
            with gzip.open(file) as unpacked:
                yield from _iterate_tar(archive, _BoundedReader(archive, unpacked, limit_bytes))
        elif start[257:262] == b"ustar":
            yield from _iterate_tar(archive, _BoundedReader(archive, file, limit_bytes))
        else:
            raise InputError(
                f"{archive}: expected a zip, tar or tar.gz archive, received a file that begins "
                f"with {start[:16]!r}."
            )


def check_members(
    archive: Path, members: Iterable[Member], *, max_total_bytes: int, max_ratio: float
) -> list[tuple[str, int]]:
    """Return name and size of every file; raise InputError if they may not be unpacked together."""
    limit_bytes = max(_SMALL_BYTES, max_ratio * archive.stat().st_size)
    files: dict[str, int] = {}
    folders: set[str] = set()
    total_bytes = 0
    for member in members:
        folder = member.name if member.is_folder else member.name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
        if member.is_folder:
            continue
        if member.name in files:
            raise _unsafe(archive, member.name, "comes twice")
        files[member.name] = member.size_bytes
        total_bytes += member.size_bytes
        if total_bytes > max_total_bytes:
            raise InputError(
                f"{archive} unpacks to more than the {format_bytes(max_total_bytes)} expected "
                f"({format_bytes(total_bytes)} up to {member.name!r}). Do not trust it."
            )
        if total_bytes > limit_bytes:
            raise _too_dense(archive, total_bytes)
    for name in files.keys() & folders:
        raise _unsafe(archive, name, "is a file and a folder")
    return list(files.items())


def iterate_zip(archive: Path, opened: zipfile.ZipFile) -> Iterator[Member]:
    """Yield the members of an opened zip in the order of its directory."""
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _unsafe(archive, info.filename, "is a link or a device")
        if info.flag_bits & 1:
            raise _unsafe(archive, info.filename, "is encrypted")
        # The library ends a name at a zero byte; what is behind it must not be overlooked.
        name = clean_name(archive, info.orig_filename)
        yield Member(name, info.file_size, info.is_dir(), lambda info=info: opened.open(info), info)


def _iterate_tar(archive: Path, reader: "_BoundedReader") -> Iterator[Member]:
    with tarfile.TarFile(fileobj=reader) as opened:  # pyright: ignore[reportArgumentType]
        while (info := opened.next()) is not None:
            # The library would keep them all.
            opened.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
            if not (info.isreg() or info.isdir()) or info.issparse():
                raise _unsafe(archive, info.name, "is a link, a device or sparse")
            name = clean_name(archive, info.name)
            yield Member(name, info.size, info.isdir(), lambda info=info: _open(opened, info))
        # At a header that it cannot read the library ends as if it were the last one.
        reader.seek(opened.offset)
        if reader.read(512) != bytes(512):
            raise tarfile.ReadError(f"no end mark at byte {opened.offset}")
        while reader.read(_BLOCK_BYTES):  # to the end, where gzip has its checksum
            pass


def _open(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = opened.extractfile(info)
    assert stream is not None
    return stream


def clean_name(archive: Path, name: str) -> str:
    """Return a member's name as a relative path; raise InputError if it is not safe as one."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not name or name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise _unsafe(archive, name, "has an absolute or empty name")
    if ".." in parts or "\\" in name or re.search(r"[\x00-\x1f\x7f]", name):
        raise _unsafe(archive, name, "leads out of the folder, or has control characters")
    if parts[:1] == [WORK_FOLDER]:
        raise _unsafe(archive, name, "has the name of the folder for unfinished members")
    if any(len(part.encode(errors="surrogateescape")) > _LONGEST_NAME_BYTES for part in parts):
        raise _unsafe(archive, name[:100], "has a name longer than 255 bytes")
    return "/".join(parts)


def _unsafe(archive: Path, name: str, what: str) -> InputError:
    return InputError(f"{archive}: member {name!r} {what}. Nothing of it is used.")


def _too_dense(archive: Path, total_bytes: int) -> InputError:
    size_bytes = archive.stat().st_size
    return InputError(
        f"{archive} has {format_bytes(size_bytes)} and unpacks to {format_bytes(total_bytes)} or "
        "more, a higher ratio than expected. Do not trust it."
    )


class _BoundedReader:
    """What `tarfile` reads from: refuses giant headers, and content beyond a bound."""

    def __init__(self, archive: Path, file: Any, limit_bytes: int) -> None:
        self._archive = archive
        self._file = file
        self._limit_bytes = limit_bytes

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LONGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        self._check(self._file.tell() + size)
        return self._file.read(size)

    def seek(self, position: int) -> int:
        self._check(position)
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()

    def _check(self, position: int) -> None:
        if position > self._limit_bytes + _BLOCK_BYTES:
            raise _too_dense(self._archive, position)
