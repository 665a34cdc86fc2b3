"""Processes that prepare images side by side, each writing its results where they belong.

Workers are spawned, never forked: OpenCV's threads do not survive a fork. They receive file names
and return what they found; the pixels go straight into the output file, so that neither pipes nor
memory grow with the number of images. When the parent ends, for whatever reason, so do they.
"""

import contextlib
import hashlib
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joblib import cpu_count

from galaxy_tasks.acquisition.image_folder import ImagePlace
from galaxy_tasks.errors import ResourceError
from galaxy_tasks.images import prepare
from galaxy_tasks.images.headers import read_header
from galaxy_tasks.images.rejected import RejectedImage
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.images.source import ReadImage, open_images

_YIELD_EVERY_S = 0.5
"""Finished chunks are flushed together: each flush costs some hundredths of a second."""
_QUEUED_PER_WORKER = 8
"""Chunks handed out ahead, so that no worker waits while the parent flushes."""


@dataclass(frozen=True)
class Chunk:
    """Images that are prepared, written and recorded together; `first_slot` is where they go."""

    number: int
    first_slot: int
    image_names: tuple[str, ...]
    folder: int
    """Where they are, as the position in WorkOrder.image_folders."""
    places: Mapping[str, ImagePlace]
    """Where in it they are, so that no worker has to list it."""


@dataclass
class ChunkOutcome:
    """What became of a chunk's images, in order; None where a value does not apply."""

    number: int
    sha256: list[str | None] = field(default_factory=list)
    width_px: list[int | None] = field(default_factory=list)
    height_px: list[int | None] = field(default_factory=list)
    colours: list[str | None] = field(default_factory=list)
    reason: list[str | None] = field(default_factory=list)
    detail: list[str | None] = field(default_factory=list)


@dataclass(frozen=True)
class WorkOrder:
    """What all chunks share. Slot n of the output begins at first_byte + n × slot_bytes."""

    image_folders: tuple[Path, ...]
    """Folders, or zips."""
    output: Path
    first_byte: int
    settings: ImageSettings

    @property
    def slot_bytes(self) -> int:
        """Size of one prepared image."""
        return self.settings.image_size_px**2 * 3


def count_workers(wanted: int) -> int:
    """Return the number of processes; 0 means one for each core that this process may use."""
    return wanted or cpu_count()


def prepare_chunks(
    chunks: Iterable[Chunk], *, order: WorkOrder, workers: int
) -> Iterator[list[ChunkOutcome]]:
    """Yield finished chunks, in any order, about twice a second; the list may be empty.

    Raises:
        ResourceError: a worker was killed or could not read or write a file.
    """
    try:
        with open_pool(workers, start=_start_worker, argument=order) as executor:
            yield from _collect(executor, iter(chunks), _QUEUED_PER_WORKER * workers)
    except BrokenProcessPool:
        raise ResourceError(
            "A process that prepares images was killed, most likely because memory ran out "
            "(see the lines above). Finished images are kept, and the next attempt continues after "
            f"them. If it happens again, set image_workers below {workers}."
        ) from None


@contextlib.contextmanager
def open_pool(
    workers: int, *, start: Callable[[Any], None], argument: Any
) -> Iterator[ProcessPoolExecutor]:
    """Yield so many processes, each begun by `start(argument)`; an error ends them at once."""
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(start, argument),
    )
    try:
        yield executor
    except BrokenProcessPool:
        raise
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _begin(start: Callable[[Any], None], argument: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare.use_one_thread()
    start(argument)


def _collect(
    executor: ProcessPoolExecutor, chunks: Iterator[Chunk], max_queued: int
) -> Iterator[list[ChunkOutcome]]:
    queued: set[Future[ChunkOutcome]] = set()
    finished: list[ChunkOutcome] = []
    yielded_s = time.monotonic()
    while True:
        for chunk in itertools.islice(chunks, max_queued - len(queued)):
            queued.add(executor.submit(_prepare_chunk, chunk))
        done, queued = wait(queued, timeout=_YIELD_EVERY_S, return_when=FIRST_COMPLETED)
        finished += [future.result() for future in done]
        if not queued or time.monotonic() - yielded_s >= _YIELD_EVERY_S:
            yield finished
            finished, yielded_s = [], time.monotonic()
        if not queued:
            return


_worker_order: WorkOrder | None = None


def _start_worker(order: WorkOrder) -> None:
    global _worker_order
    _worker_order = order


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _prepare_chunk(chunk: Chunk) -> ChunkOutcome:
    order = _worker_order
    assert order is not None
    outcome = ChunkOutcome(chunk.number)
    max_side_px = order.settings.max_source_side_px
    try:
        folder = order.image_folders[chunk.folder]
        with (
            open_images(folder, chunk.places, max_side_px=max_side_px) as read,
            order.output.open("r+b", buffering=0) as output,
        ):
            for slot, name in enumerate(chunk.image_names, chunk.first_slot):
                output.seek(order.first_byte + slot * order.slot_bytes)
                _prepare_file(name, read, order.settings, output, outcome)
    except OSError as error:  # a disk that is full or fails; a later attempt may succeed
        raise ResourceError(f"{error.filename or order.output}: {error.strerror}") from None
    return outcome


def _prepare_file(
    name: str, read: ReadImage, settings: ImageSettings, output, outcome: ChunkOutcome
) -> None:
    """Prepare one file, write it at the output's position, and add a row to the outcome."""
    sha256 = header = rejected = None
    try:
        data = read(name)
        sha256 = hashlib.sha256(data).hexdigest()
        header = read_header(data, max_side_px=settings.max_source_side_px)
        pixels = prepare.prepare_image(data, settings)
    except RejectedImage as error:
        rejected = error
    else:
        remaining = pixels.data.cast("B")
        while remaining:  # a raw write may take only a part
            remaining = remaining[output.write(remaining) :]
    outcome.sha256.append(sha256)
    outcome.width_px.append(header.width_px if header else None)
    outcome.height_px.append(header.height_px if header else None)
    outcome.colours.append(header.colours if header else None)
    outcome.reason.append(rejected.reason if rejected else None)
    outcome.detail.append(rejected.detail if rejected else None)
