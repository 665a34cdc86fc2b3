"""What a release holds, as one hash: of its tables' bytes, and of its images' names and sizes."""

import gzip
import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path

from galaxy_tasks.errors import InputError
from galaxy_tasks.releases.files import list_file_names, open_bytes
from galaxy_tasks.zipped_images import find_places, is_zip

_CHUNK_BYTES = 1 << 20


def hash_content(tables: Iterable[Path], *, images: Path) -> str:
    """Return the SHA-256 over the tables' bytes and the images' names and sizes, in hexadecimal.

    A zip has the hash of the folder that it unpacks to.

    Raises:
        InputError: a gzipped table is truncated or damaged.
    """
    digest = hashlib.sha256()
    for table in tables:
        digest.update(_hash_table(table))
    for line in sorted(f"{n}\0{size_bytes}\n" for n, size_bytes in _list_sizes(images)):
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _list_sizes(images: Path) -> list[tuple[str, int]]:
    if is_zip(images):
        return [(name, place.size_bytes) for name, place in find_places(images).items()]
    return [(name, (images / name).stat().st_size) for name in list_file_names(images)]


def _hash_table(path: Path) -> bytes:
    """Hash what a table holds: unpacked, so that a damaged gzip file is found before Spark is."""
    digest = hashlib.sha256()
    try:
        with open_bytes(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} is a damaged or truncated gzip file ({error}). Fetch it again."
        ) from error
    return digest.digest()
