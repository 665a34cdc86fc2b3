"""Archives are unpacked member by member: each is whole under its name, or not there."""

import contextlib
import gzip
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

from galaxy_tasks.acquisition.downloads.disk import check_free_space, name_disk_trouble
from galaxy_tasks.acquisition.downloads.progress import Progress, say
from galaxy_tasks.acquisition.downloads.records import DownloadSettings
from galaxy_tasks.errors import InputError
from galaxy_tasks.formatting import format_bytes
from galaxy_tasks.storage.locks import hold_lock

# What is in an archive, and whether it may be written to a disk at all.
#
# Only files and folders below the archive's own root pass, each name once, and together no more
# than the caller expects. All is checked before anything is written.


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


# Where the files of an archive go: as the archive has them, or all into one folder.
#
# Unpacked flat or read in place, an archive gives the same files under the same names.


Layout = Literal["as_archived", "flat"]
"""Where files go: where the archive has them, or all into one folder."""

AMBIGUOUS = (
    "A name that comes twice does not say which image is meant. Unpack it yourself, one of them "
    "renamed, into a folder that 'images_folder' names."
)
"""Why two images of one name are refused, and what to do about them."""

_IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".fits", ".fit")
)
_OF_SYSTEMS = frozenset(("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"))
"""What file managers put beside images, in lower case; what begins with a dot comes to it."""


def arrange(
    archive: Path, members: Iterable[Member], layout: Layout, *, others: Container[str] = ()
) -> Iterator[Member]:
    """Yield the members under the names that they get in this layout.

    Flat are files only, without those that are hidden or that systems leave. An image's name must
    be the only one of its kind; of other files, such as a readme in each folder, the first counts,
    also among several archives: `others` are the names that came before this one's.

    Raises:
        InputError: flat, two images have one name.
    """
    if layout == "as_archived":
        yield from members
        return
    known: set[str] = set()
    for member in members:
        if member.is_folder or _is_ignored(member.name):
            continue
        name = member.name.rpartition("/")[2]
        is_image = Path(name).suffix.lower() in _IMAGE_SUFFIXES
        if name not in known and (is_image or name not in others):
            known.add(name)
            yield replace(member, name=name)
        elif is_image:
            raise InputError(
                f"{archive} has two files named {name!r} in different folders. {AMBIGUOUS}"
            )


def _is_ignored(path: str) -> bool:
    return any(part.startswith(".") or part.lower() in _OF_SYSTEMS for part in path.split("/"))


_CHUNK_BYTES = 2**18
_BLOCK_BYTES = 4096
_DEFAULTS = DownloadSettings()
_ALONE: Mapping[str, Path] = {}


@dataclass(frozen=True)
class UnpackedArchive:
    """What lies in the folder now."""

    folder: Path
    names: tuple[str, ...]
    """Its files, below the folder."""
    total_bytes: int
    written_files: int
    """Those that were not there yet, or not as the archive has them."""


def unpack_archive(
    archive: Path,
    folder: Path,
    *,
    max_total_bytes: int,
    max_ratio: float,
    layout: Layout = "as_archived",
    others: Mapping[str, Path] = _ALONE,
    settings: DownloadSettings = _DEFAULTS,
) -> UnpackedArchive:
    """Unpack a zip, tar or tar.gz into a folder; what is there already and the same stays.

    Every member is compared with what an earlier, interrupted call wrote, and a member whose
    checksum does not fit (zip, gzip) never gets its name. Other files of the folder are left alone.
    Owners, times and permissions of the archive are not used.

    Args:
        archive: the file; its kind is told by its first bytes.
        folder: created where it is missing.
        max_total_bytes: most that all files may have together.
        max_ratio: most that they may have for each byte of the archive; not judged below 1 MiB.
        layout: 'flat' puts all files into `folder` itself, without the archive's own folders and
            without hidden files (see `arrange`).
        others: names of files in the folder, and the archive that each came from: a further part
            of the same release may have them too, but not with another content.
        settings: of these `reserve_bytes`, `lock_timeout_s` and `progress_every_s` count.

    Raises:
        InputError: the archive is damaged, unsafe or larger than allowed (before anything is
            written, but for damage inside a member), or something else is in a member's place.
        ResourceError: the disk is full or fails; a later call goes on.
    """
    require_archive(archive)

    def iterate() -> Iterable[Member]:
        members = iterate_members(archive, max_ratio=max_ratio)
        return arrange(archive, members, layout, others=others)

    with name_disk_trouble(folder), name_damage(archive):
        files = check_members(
            archive,
            iterate(),
            max_total_bytes=max_total_bytes,
            max_ratio=max_ratio,
        )
        folder.mkdir(parents=True, exist_ok=True)
        lock_path = folder.parent / f".{folder.name}.unpack.lock"
        with hold_lock(lock_path, timeout_s=settings.lock_timeout_s):
            missing_bytes = sum(_missing_bytes(folder / name, size) for name, size in files)
            check_free_space(folder, missing_bytes, reserve_bytes=settings.reserve_bytes)
            total_bytes = sum(size for _, size in files)
            unpacking = _Unpacking(
                archive, folder, total_bytes, settings.progress_every_s, others=others
            )
            unpacking.bring_all(iterate())
    say(
        f"{archive.name}: {len(files)} files, {format_bytes(unpacking.total_bytes)}, "
        f"{unpacking.written_files} of them new"
    )
    names = tuple(name for name, _ in files)
    return UnpackedArchive(folder, names, unpacking.total_bytes, unpacking.written_files)


class _Unpacking:
    """One pass over an archive, writing what is missing."""

    def __init__(
        self,
        archive: Path,
        folder: Path,
        total_bytes: int,
        progress_every_s: float,
        *,
        others: Mapping[str, Path],
    ) -> None:
        self.archive = archive
        self.folder = folder
        self.others = others
        self.total_bytes = total_bytes
        self.written_files = 0
        self._done_bytes = 0
        self._temporary = folder / WORK_FOLDER / "member"
        self._progress = Progress(archive.name, every_s=progress_every_s)
        self._root = folder.resolve()
        self._known_folders: set[Path] = set()

    def bring_all(self, members: Iterable[Member]) -> None:
        """Bring every member into the folder, and all of them to the disk."""
        shutil.rmtree(self._temporary.parent, ignore_errors=True)
        self._temporary.parent.mkdir()
        try:
            for member in members:
                path = self.make_folder(member.name, is_folder=member.is_folder)
                if not member.is_folder:
                    with member.open() as stream:
                        self.bring(stream, path, size_bytes=member.size_bytes)
        finally:
            shutil.rmtree(self._temporary.parent)
        # One wait for the disk: 1,934 cutouts took 0.2 s so, and 5.5 s with an fsync for each.
        os.sync()

    def make_folder(self, name: str, *, is_folder: bool) -> Path:
        """Return the path of a member, its folder being there and inside the root."""
        path = self.folder / name
        needed = path if is_folder else path.parent
        if needed not in self._known_folders:
            try:
                needed.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise self._in_the_way(needed, "a folder") from None
            if not needed.resolve().is_relative_to(self._root):
                raise self._in_the_way(needed, "a folder inside, not a link out of it,")
            self._known_folders.add(needed)
        return path

    def bring(self, stream: IO[bytes], path: Path, *, size_bytes: int) -> None:
        """Make a file's content that of the stream; write only if it is not already."""
        is_same = path.is_file() and not path.is_symlink() and path.stat().st_size == size_bytes
        if path.is_dir() and not path.is_symlink():
            raise self._in_the_way(path, "a file")
        copied_bytes = 0
        if is_same:
            with path.open("rb") as there:
                while chunk := stream.read(_CHUNK_BYTES):
                    self._count(len(chunk))
                    if there.read(len(chunk)) != chunk:
                        self._write(stream, path, beginning_bytes=copied_bytes, chunk=chunk)
                        break
                    copied_bytes += len(chunk)
                else:
                    self._check_length(path, copied_bytes, size_bytes)
                    return
        else:
            self._write(stream, path, beginning_bytes=0, chunk=b"")
        self._check_length(path, self._temporary.stat().st_size, size_bytes)
        self._temporary.replace(path)
        self.written_files += 1

    def _write(self, stream: IO[bytes], path: Path, *, beginning_bytes: int, chunk: bytes) -> None:
        """Write the equal beginning of `path`, the chunk that differs, and the rest.

        Raises:
            InputError: `path` is there and came from another archive of the release.
        """
        other = self.others.get(path.relative_to(self.folder).as_posix())
        if other and path.exists():
            while stream.read(_CHUNK_BYTES):  # one that is damaged says so at its end
                pass
            raise InputError(
                f"{self.archive} has another file named {path.name!r} than {other}. {AMBIGUOUS}"
            )
        with self._temporary.open("wb") as file:
            if beginning_bytes:
                with path.open("rb") as there:
                    while file.tell() < beginning_bytes:
                        file.write(there.read(min(_CHUNK_BYTES, beginning_bytes - file.tell())))
            file.write(chunk)
            while chunk := stream.read(_CHUNK_BYTES):
                file.write(chunk)
                self._count(len(chunk))

    def _count(self, chunk_bytes: int) -> None:
        self._done_bytes += chunk_bytes
        self._progress.add(
            chunk_bytes, position_bytes=self._done_bytes, total_bytes=self.total_bytes
        )

    def _check_length(self, path: Path, received_bytes: int, expected_bytes: int) -> None:
        if received_bytes != expected_bytes:
            raise InputError(
                f"{self.archive}: member {path.name!r} ends after {received_bytes} of "
                f"{expected_bytes} bytes. Remove the archive and fetch it again."
            )

    def _in_the_way(self, path: Path, expected: str) -> InputError:
        return InputError(
            f"{path}: the archive {self.archive.name} needs {expected} here, and something else "
            "is there. Move it away, or choose another folder."
        )


def _missing_bytes(path: Path, size_bytes: int) -> int:
    if path.is_file() and path.stat().st_size == size_bytes:
        return 0
    return -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
