"""Processes that prepare and classify batches side by side, each with a network of its own.

With Keras they only prepare, and the calling process classifies: it holds the GPU.
"""

import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from galaxy_tasks.errors import ResourceError
from galaxy_tasks.images import prepare
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.images.workers import end_with_parent
from galaxy_tasks.prediction.classify import Found, Prepared, Serving, classify, prepare_rows
from galaxy_tasks.prediction.engines import RunNetwork, Way, open_network
from galaxy_tasks.prediction.listing import Row

_QUEUED_PER_WORKER = 4


@dataclass(frozen=True)
class Job:
    """All that a process needs to classify any batch; small, as it travels to each."""

    sources: tuple[Path, ...]
    """Folders and archives, by the number that rows have."""
    settings: ImageSettings
    way: Way
    network: Path
    """The exported network; unused with Keras."""
    network_sha256: str
    serving: Serving
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a batch, in its order."""

    refused: list[str]
    """Why an image cannot be used; '' where it can."""
    colours: list[str]
    found: Found | None
    """Of the images that can be used; None without any."""


def work_off(batches: Iterable[Sequence[Row]], job: Job, *, workers: int) -> Iterator[Outcome]:
    """Yield the outcomes of batches in their order, from so many processes.

    Raises:
        ResourceError: a process was killed.
    """
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(job,),
    )
    try:
        yield from _in_order(
            (executor.submit(_work, batch) for batch in batches), _QUEUED_PER_WORKER * workers
        )
    except BrokenProcessPool:
        raise ResourceError(
            "A process that classifies images was killed, most likely because memory ran out. "
            "What is finished is kept: the same command goes on after it. If it happens again, set "
            f"--workers below {workers}."
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


def prepare_beside(
    batches: Iterable[Sequence[Row]], job: Job, run: RunNetwork, *, workers: int
) -> Iterator[Outcome]:
    """Yield the same, where this process runs the network and so many others prepare."""
    for prepared in work_off(batches, replace(job, way=Way("keras", "float32")), workers=workers):
        assert isinstance(prepared, Prepared)
        yield finish(prepared, run, job.serving)


def finish(prepared: Prepared, run: RunNetwork, serving: Serving) -> Outcome:
    """Return the outcome of a batch that is prepared."""
    found = classify(np.stack(prepared.pixels), run, serving) if prepared.pixels else None
    return Outcome(prepared.refused, prepared.colours, found)


def open_worker(job: Job) -> Callable[[Sequence[Row]], Outcome]:
    """Return what a process of its own does with a batch; one thread, one network."""
    prepare.use_one_thread()
    threadpool_limits(1)
    run = open_network(job.way, job.network)
    return lambda rows: finish(prepare_rows(rows, job.sources, job.settings), run, job.serving)


def _in_order(futures: Iterable[Future], most: int) -> Iterator:
    waiting: deque[Future] = deque()
    for future in futures:
        waiting.append(future)
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


_do_work: Callable | None = None


def _start(job: Job) -> None:
    global _do_work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this
    threading.Thread(target=end_with_parent, daemon=True).start()
    if job.way.engine == "keras":
        prepare.use_one_thread()
        _do_work = lambda rows: prepare_rows(rows, job.sources, job.settings)  # noqa: E731
    else:
        _do_work = open_worker(job)


def _work(rows: Sequence[Row]) -> Outcome | Prepared:
    assert _do_work
    return _do_work(rows)
