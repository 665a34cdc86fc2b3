"""Whether a file is what it should be, and the record by which it is known ever after.

Publishers often give an MD5 only. At the first verified download the SHA-256 is written beside
the file, as `NAME.sha256` in the form that `sha256sum --check` reads, and held against the file
whenever it is used again.
"""

import hashlib
from pathlib import Path

from galaxy_tasks.acquisition.downloads.progress import say
from galaxy_tasks.acquisition.downloads.records import RemoteFile
from galaxy_tasks.errors import InputError
from galaxy_tasks.formatting import format_bytes
from galaxy_tasks.storage.atomic_io import write_durably

_CHUNK_BYTES = 2**20
_LONG_BYTES = 500_000_000


def record_path(target: Path) -> Path:
    """Return the path of the recorded SHA-256 of a file."""
    return target.with_name(f"{target.name}.sha256")


def read_record(target: Path) -> str | None:
    """Return the SHA-256 recorded for a file, None if there is no record.

    Raises:
        InputError: the record is not in the form that `sha256sum` writes.
    """
    path = record_path(target)
    if not path.is_file():
        return None
    words = path.read_text(errors="replace").split()
    if not words or len(words[0]) != 64 or not set(words[0].lower()) <= set("0123456789abcdef"):
        raise InputError(
            f"{path}: expected 'SHA-256  file name', received {' '.join(words)[:100]!r}. "
            "Remove it if the file beside it can be trusted."
        )
    return words[0].lower()


def write_record(target: Path, sha256: str) -> None:
    """Write the SHA-256 of a file beside it, durably."""
    text = f"{sha256}  {target.name}\n"
    write_durably(record_path(target), lambda file: file.write(text.encode()))


def check_content(path: Path, remote: RemoteFile, *, recorded: str | None, source: str) -> str:
    """Return the SHA-256 of a file that is what `remote` and the record say; read it once.

    Raises:
        InputError: its size or a hash differs; `source` says where it came from.
    """
    size_bytes = path.stat().st_size
    if remote.size_bytes is not None and size_bytes != remote.size_bytes:
        raise InputError(
            f"{source}: expected {remote.size_bytes} bytes, received {size_bytes} bytes."
        )
    if size_bytes > _LONG_BYTES:
        say(f"{remote.name}: checking {format_bytes(size_bytes)}")
    sha256 = hashlib.sha256()
    md5 = hashlib.md5(usedforsecurity=False) if remote.md5 else None
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
            if md5:
                md5.update(chunk)
    if md5 and remote.md5:
        _compare("MD5", remote.md5, md5.hexdigest(), source=source)
    if remote.sha256:
        _compare("SHA-256", remote.sha256, sha256.hexdigest(), source=source)
    if recorded:
        _compare(
            "SHA-256",
            recorded,
            sha256.hexdigest(),
            source=source,
            remedy=f" That is what {remote.name}.sha256 recorded when the file was first "
            "verified; remove that record only if its publisher says the file was replaced.",
        )
    return sha256.hexdigest()


def _compare(kind: str, expected: str, received: str, *, source: str, remedy: str = "") -> None:
    if expected.lower() != received:
        raise InputError(f"{source}: expected {kind} {expected}, received {received}.{remedy}")
