"""What a release holds, as one hash: of its tables' bytes, and of its images' names and content."""

import gzip
import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path

from galaxy_tasks.errors import InputError
from galaxy_tasks.releases.checksums import checksum_images
from galaxy_tasks.releases.files import open_bytes

_CHUNK_BYTES = 1 << 20


def hash_content(tables: Iterable[Path], *, images: Path, checksums: Path | None = None) -> str:
    """Return the SHA-256 over the tables' bytes and the images' names, sizes and CRC-32s, as hex.

    A zip has the hash of the folder that it unpacks to.

    Args:
        tables: the release's tables.
        images: the folder or the zip with its images.
        checksums: where CRC-32s found before are kept; None: nowhere.

    Raises:
        InputError: a gzipped table is truncated or damaged.
    """
    digest = hashlib.sha256()
    for table in tables:
        digest.update(_hash_table(table))
    found = checksum_images(images, cache=checksums)
    each = zip(found.names, found.size_bytes.tolist(), found.crc32.tolist(), strict=True)
    for line in sorted(f"{name}\0{size_bytes}\0{crc32}\n" for name, size_bytes, crc32 in each):
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


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
