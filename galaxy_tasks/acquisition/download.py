"""Files from the network into a folder: whole and verified, or not there.

Publishers often give an MD5 only. At the first verified download the SHA-256 is written beside
the file, as `NAME.sha256` in the form that `sha256sum --check` reads, and compared with the file
whenever it is used again.
"""

import asyncio
import contextlib
import functools
import hashlib
import logging
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from galaxy_tasks.acquisition.disk import name_disk_trouble
from galaxy_tasks.acquisition.transfer import Download, DownloadSettings, SpaceClaims, Transfer
from galaxy_tasks.errors import GalaxyMorphologyError, InputError, ResourceError
from galaxy_tasks.formatting import format_bytes
from galaxy_tasks.storage.atomic_io import write_durably
from galaxy_tasks.storage.locks import hold_lock

_CHUNK_BYTES = 2**20
_LARGE_BYTES = 500_000_000
_DEFAULTS = DownloadSettings()

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchedFile:
    """A verified file on disk."""

    path: Path
    size_bytes: int
    sha256: str
    origin: Literal["downloaded", "already_there"]
    received_bytes: int = 0
    """What came over the network for it in this call."""


def fetch_file(
    download: Download, *, folder: Path, settings: DownloadSettings = _DEFAULTS
) -> FetchedFile:
    """Return a file of the folder that is the right one, fetching it where it is missing.

    A file that is there already, from an earlier call or placed by the user, is verified and never
    overwritten. What an interrupted call received is kept, and the next one continues there. Of
    several calls for one file, in whatever process, one fetches and the others wait for it.

    Raises:
        InputError: the file there, or what every address sends, is another one.
        ResourceError: network, disk or another process failed; a later call continues.
    """
    return fetch_files([download], folder=folder, settings=settings)[0]


def fetch_files(
    downloads: Iterable[Download], *, folder: Path, settings: DownloadSettings = _DEFAULTS
) -> list[FetchedFile]:
    """Fetch several files, a few at a time, and return them in the order given.

    One that fails does not end the others: at the end one error names all that failed.

    Raises:
        InputError, ResourceError: see `fetch_file`; an InputError if any of them is one.
    """
    # Whole files side by side: over four connections for one file, a server on the same machine
    # was no faster.
    results = asyncio.run(_fetch_all(list(downloads), folder, settings))
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if len(errors) == 1 or not isinstance(error, GalaxyMorphologyError):
            raise error
    if errors:
        is_input = any(isinstance(error, InputError) for error in errors)
        kind = InputError if is_input else ResourceError
        raise kind(f"{len(errors)} files failed: " + " | ".join(map(str, errors)))
    return [result for result in results if isinstance(result, FetchedFile)]


def check_file(download: Download, *, folder: Path) -> FetchedFile:
    """Return the file of the folder if it is the right one; change nothing.

    Raises:
        InputError: it is missing, or differs from what is published or from its recorded SHA-256.
    """
    target = folder / download.name
    if not target.exists():
        raise InputError(f"{target} is not there. Fetch it first, or place it there.")
    with name_disk_trouble(folder):
        return _accept(download, target, is_recorded=False)


def sha256_path(target: Path) -> Path:
    """Return the path of the recorded SHA-256 of a file."""
    return target.with_name(f"{target.name}.sha256")


def read_sha256(target: Path) -> str | None:
    """Return the recorded SHA-256 of a file, None if there is none.

    Raises:
        InputError: it is not in the form that `sha256sum` writes.
    """
    path = sha256_path(target)
    if not path.is_file():
        return None
    text = path.read_text(errors="replace").strip()
    if not re.match(r"[0-9a-fA-F]{64}(\s|$)", text):
        raise InputError(
            f"{path}: expected 'SHA-256  file name', received {text[:100]!r}. "
            "Remove it if the file beside it can be trusted."
        )
    return text[:64].lower()


async def _fetch_all(
    downloads: list[Download], folder: Path, settings: DownloadSettings
) -> list[FetchedFile | BaseException]:
    missing = [each for each in downloads if not (folder / each.name).exists()]
    known = {folder / each.name: each.size_bytes for each in missing if each.size_bytes is not None}
    space = SpaceClaims(folder, settings.reserve_bytes, known)
    if missing:
        with name_disk_trouble(folder):
            folder.mkdir(parents=True, exist_ok=True)
            space.check()
    stop, slots = threading.Event(), asyncio.Semaphore(settings.parallel_files)

    async def fetch(download: Download) -> FetchedFile:
        target = folder / download.name
        async with slots:
            with name_disk_trouble(folder), contextlib.ExitStack() as stack:
                if target.exists() and not os.access(folder, os.W_OK):
                    return await asyncio.to_thread(_accept, download, target, is_recorded=False)
                lock_path = folder / f".{download.name}.lock"
                lock = hold_lock(lock_path, timeout_s=settings.lock_timeout_s, stop=stop)
                await asyncio.to_thread(stack.enter_context, lock)
                if target.exists():
                    return await asyncio.to_thread(_accept, download, target, is_recorded=True)
                return await _transfer(download, target, settings=settings, space=space)

    try:
        return await asyncio.gather(*map(fetch, downloads), return_exceptions=True)
    finally:
        stop.set()  # ends the waits for locks, which are in threads


async def _transfer(
    download: Download, target: Path, *, settings: DownloadSettings, space: SpaceClaims
) -> FetchedFile:
    recorded = read_sha256(target)
    verify = functools.partial(_verify, download=download, recorded_sha256=recorded)
    transfer = Transfer(download, target, settings=settings, space=space, verify=verify)
    sha256 = await transfer.run()
    if recorded is None:
        _write_sha256(target, sha256)
    transfer.part.publish(target)
    size_bytes = target.stat().st_size
    size = format_bytes(size_bytes)
    _logger.info("%s: complete and verified, %s, SHA-256 %s", download.name, size, sha256)
    received_bytes = transfer.progress.received_bytes
    return FetchedFile(target, size_bytes, sha256, "downloaded", received_bytes)


def _accept(download: Download, target: Path, *, is_recorded: bool) -> FetchedFile:
    """Return a file that is in its place already; record its SHA-256 if that is wanted."""
    if not target.is_file():
        raise InputError(f"{target}: expected a file, found a folder or device. Move it away.")
    recorded = read_sha256(target)
    try:
        sha256 = _verify(target, download=download, recorded_sha256=recorded)
    except InputError as error:
        raise InputError(
            f"{target}: {error} Move it away to have it fetched, or place the right file there."
        ) from None
    if recorded is None and is_recorded:
        if not download.has_hash:
            _logger.info("%s: no hash is published; recording that of this file", download.name)
        _write_sha256(target, sha256)
    return FetchedFile(target, target.stat().st_size, sha256, "already_there")


def _verify(path: Path, *, download: Download, recorded_sha256: str | None) -> str:
    """Return the SHA-256 of a file; raise InputError if it is not the one that is expected."""
    size_bytes = path.stat().st_size
    if download.size_bytes not in (None, size_bytes):
        raise InputError(f"expected {download.size_bytes} bytes, received {size_bytes} bytes.")
    if size_bytes > _LARGE_BYTES:
        _logger.info("%s: verifying %s", download.name, format_bytes(size_bytes))
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha256.update(chunk)
            if download.md5:
                md5.update(chunk)
    received = sha256.hexdigest()
    if download.md5 and download.md5.lower() != md5.hexdigest():
        raise InputError(f"expected MD5 {download.md5}, received {md5.hexdigest()}.")
    if download.sha256 and download.sha256.lower() != received:
        raise InputError(f"expected SHA-256 {download.sha256}, received {received}.")
    if recorded_sha256 not in (None, received):
        raise InputError(
            f"expected SHA-256 {recorded_sha256}, received {received}. The first is what "
            f"{download.name}.sha256 recorded when the file was first verified; remove that record "
            "only if its publisher says that the file was replaced."
        )
    return received


def _write_sha256(target: Path, sha256: str) -> None:
    text = f"{sha256}  {target.name}\n"
    write_durably(sha256_path(target), lambda file: file.write(text.encode()))
