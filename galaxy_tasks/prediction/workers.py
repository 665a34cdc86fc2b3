"""Processes that prepare and classify batches side by side, each with a network of its own.

With Keras they only prepare, and the calling process classifies: it holds the GPU.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from galaxy_tasks.errors import ResourceError
from galaxy_tasks.images import prepare
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.images.workers import open_pool
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

    @property
    def answers(self) -> tuple[str, ...]:
        """The answers of a network that has learned votes."""
        return self.serving.votes.answers if self.serving.votes else ()


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
    return _run(batches, workers=workers, start=_start_classifying, job=job)


def prepare_beside(
    batches: Iterable[Sequence[Row]], job: Job, run: RunNetwork, *, workers: int
) -> Iterator[Outcome]:
    """Yield the same, where this process runs the network and so many others prepare."""
    for prepared in _run(batches, workers=workers, start=_start_preparing, job=job):
        yield finish(prepared, run, job.serving)


def _run(
    batches: Iterable[Sequence[Row]], *, workers: int, start: Callable[[Job], None], job: Job
) -> Iterator[Any]:
    """Yield what the processes return of batches, in their order."""
    waiting: deque[Future] = deque()
    try:
        with open_pool(workers, start=start, argument=job) as executor:
            for batch in batches:
                waiting.append(executor.submit(_work, batch))
                if len(waiting) >= _QUEUED_PER_WORKER * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    except BrokenProcessPool:
        raise ResourceError(
            "A process that classifies images was killed, most likely because memory ran out. "
            "What is finished is kept: the same command goes on after it. If it happens again, set "
            f"--workers below {workers}."
        ) from None


def finish(prepared: Prepared, run: RunNetwork, serving: Serving) -> Outcome:
    """Return the outcome of a batch that is prepared."""
    found = classify(np.stack(prepared.pixels), run, serving) if prepared.pixels else None
    return Outcome(prepared.refused, prepared.colours, found)


def open_alone(job: Job) -> RunNetwork:
    """Return the network for a process of its own, which uses one thread from now on."""
    prepare.use_one_thread()
    threadpool_limits(1)
    return open_network(job.way, job.network)


def open_worker(job: Job, run: RunNetwork) -> Callable[[Sequence[Row]], Outcome]:
    """Return what a process does with a batch, whose network `run` is."""
    return lambda rows: finish(prepare_rows(rows, job.sources, job.settings), run, job.serving)


_do_work: Callable[[Sequence[Row]], Outcome | Prepared] | None = None


def _start_classifying(job: Job) -> None:
    global _do_work
    _do_work = open_worker(job, open_alone(job))


def _start_preparing(job: Job) -> None:
    global _do_work
    _do_work = partial(prepare_rows, sources=job.sources, settings=job.settings)


def _work(rows: Sequence[Row]) -> Outcome | Prepared:
    assert _do_work
    return _do_work(rows)
