"""Files from the network into a folder: whole and verified, or not there."""

import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from galaxy_tasks.acquisition.downloads.disk import SpaceClaim, check_free_space, name_disk_trouble
from galaxy_tasks.acquisition.downloads.mirrors import Mirrors
from galaxy_tasks.acquisition.downloads.partial import PartialFile, part_path
from galaxy_tasks.acquisition.downloads.progress import say
from galaxy_tasks.acquisition.downloads.records import DownloadSettings, FetchedFile, RemoteFile
from galaxy_tasks.acquisition.downloads.transfer import Transfer
from galaxy_tasks.acquisition.downloads.verification import check_content, read_record, write_record
from galaxy_tasks.errors import GalaxyMorphologyError, InputError, ResourceError
from galaxy_tasks.formatting import format_bytes
from galaxy_tasks.storage.locks import hold_lock

_DEFAULTS = DownloadSettings()


def fetch_file(
    remote: RemoteFile,
    *,
    folder: Path,
    settings: DownloadSettings = _DEFAULTS,
    stop: threading.Event | None = None,
) -> FetchedFile:
    """Return a file of the folder that is what `remote` says, fetching it where it is missing.

    A file that is there already, from an earlier call or placed by the user, is verified and never
    overwritten. What an interrupted call received is kept, and the next one goes on from there. Of
    several calls for one file, in whatever process, one fetches and the others wait for it.

    Args:
        stop: when set, from another thread, the call ends with a ResourceError.

    Raises:
        InputError: the file there, or what every address sends, is another one.
        ResourceError: network, disk or another process failed; a later call goes on.
    """
    target = folder / remote.name
    with name_disk_trouble(folder):
        if target.exists() and not os.access(folder, os.W_OK):
            return _accept(remote, target, is_recorded=False)
        folder.mkdir(parents=True, exist_ok=True)
        lock_path = folder / f".{remote.name}.lock"
        stop = stop or threading.Event()
        with hold_lock(lock_path, timeout_s=settings.lock_timeout_s, stop=stop):
            if target.exists():
                return _accept(remote, target, is_recorded=True)
            with SpaceClaim(folder, reserve_bytes=settings.reserve_bytes) as space:
                return _download(remote, target, settings=settings, space=space, stop=stop)


def fetch_files(
    remotes: Iterable[RemoteFile], *, folder: Path, settings: DownloadSettings = _DEFAULTS
) -> list[FetchedFile]:
    """Fetch several files, a few at a time, and return them in the order given.

    One that fails does not end the others: at the end one error names all that failed.

    Raises:
        InputError, ResourceError: see `fetch_file`; an InputError if any of them is one.
    """
    # Whole files side by side, not ranges of one: 600 MB from a server on the same machine took
    # 1.7 to 2.4 s over one connection and 2.0 to 2.2 s over four.
    remotes = list(remotes)
    names = [remote.name for remote in remotes]
    if len(set(names)) < len(names):
        raise InputError(f"Expected files of different names, received {sorted(names)}.")
    missing = [remote for remote in remotes if not (folder / remote.name).exists()]
    if missing:
        with name_disk_trouble(folder):
            folder.mkdir(parents=True, exist_ok=True)
            needed_bytes = sum(_missing_bytes(remote, folder) for remote in missing)
            check_free_space(folder, needed_bytes, reserve_bytes=settings.reserve_bytes)
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=settings.parallel_files) as pool:
        try:
            futures = [
                pool.submit(fetch_file, remote, folder=folder, settings=settings, stop=stop)
                for remote in remotes
            ]
            errors = [error for future in futures if (error := future.exception())]
        except BaseException:  # the user or the system ends this process: end the threads first
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    _raise_together(errors)
    return [future.result() for future in futures]


def check_file(remote: RemoteFile, *, folder: Path) -> FetchedFile:
    """Return the file of the folder if it is what `remote` and its record say; change nothing.

    Raises:
        InputError: it is missing or another one.
    """
    target = folder / remote.name
    if not target.exists():
        raise InputError(f"{target} is not there. Fetch it first, or place it there.")
    with name_disk_trouble(folder):
        return _accept(remote, target, is_recorded=False)


def _accept(remote: RemoteFile, target: Path, *, is_recorded: bool) -> FetchedFile:
    if not target.is_file():
        raise InputError(f"{target}: expected a file, found a folder or device. Move it away.")
    recorded = read_record(target)
    try:
        sha256 = check_content(target, remote, recorded=recorded, source=str(target))
    except InputError as error:
        raise InputError(
            f"{error} Move it away to have it fetched, or place the right file there."
        ) from None
    if recorded is None and is_recorded:
        if not remote.has_hash:
            say(f"{remote.name}: no hash is published; what is there now counts from here on.")
        write_record(target, sha256)
    return FetchedFile(target, target.stat().st_size, sha256, "already_there")


def _download(
    remote: RemoteFile,
    target: Path,
    *,
    settings: DownloadSettings,
    space: SpaceClaim,
    stop: threading.Event,
) -> FetchedFile:
    space.claim(_missing_bytes(remote, target.parent))
    part = PartialFile(target)
    mirrors = Mirrors(remote, settings)
    transfer = Transfer(remote, part, mirrors, settings=settings, space=space, stop=stop)
    recorded = read_record(target)
    while True:
        transfer.complete()
        address = part.version.address if part.version else ""
        source = address or str(part.path)
        try:
            sha256 = check_content(part.path, remote, recorded=recorded, source=source)
            break
        except InputError as error:
            mirrors.note_wrong_file(address, error, is_doubtful=part.is_doubtful)
            part.discard()
            transfer.may_mix = False  # a wrong beginning from one address spoils the rest of others
    if recorded is None:
        write_record(target, sha256)
    part.publish(target)
    size_bytes = target.stat().st_size
    say(f"{remote.name}: complete and verified, {format_bytes(size_bytes)}, SHA-256 {sha256}")
    received_bytes = transfer.progress.received_bytes
    return FetchedFile(target, size_bytes, sha256, "downloaded", received_bytes)


def _missing_bytes(remote: RemoteFile, folder: Path) -> int:
    if remote.size_bytes is None:
        return 0  # checked when the server has told
    part = part_path(folder / remote.name)
    return max(0, remote.size_bytes - (part.stat().st_size if part.is_file() else 0))


def _raise_together(errors: list[BaseException]) -> None:
    if not errors:
        return
    for error in errors:
        if len(errors) == 1 or not isinstance(error, GalaxyMorphologyError):
            raise error
    kind = InputError if any(isinstance(error, InputError) for error in errors) else ResourceError
    raise kind(f"{len(errors)} files failed: " + " | ".join(map(str, errors)))
