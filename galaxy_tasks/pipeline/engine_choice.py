"""Which program runs a model on this machine: the fastest that says what Keras does.

On each kind of processor each is timed once, and what it says is compared with Keras on prepared
images before it is used.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np

from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.export_champion import NETWORK, Check, check_way, find_prepared
from galaxy_tasks.prediction.classify import BATCH
from galaxy_tasks.prediction.engines import (
    Engine,
    Precision,
    Way,
    list_ways,
    open_network,
)
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json, write_json
from galaxy_tasks.surroundings import name_processor

_TIMED_S = 2.0
KERAS = Way("keras", "float32")
_logger = logging.getLogger(__name__)


def choose_way(
    export: Artifact,
    model: Path,
    *,
    engine: Engine | Literal["auto"],
    precision: Precision | Literal["auto"],
    image_size_px: int,
) -> Way:
    """Return how to run an exported model on this machine's processor.

    Where the images for a check are gone, only float32 is taken, which differs by rounding. A way
    that is asked for by engine and precision is taken, with a warning if it fails the check.

    Raises:
        InputError: no way is as asked.
    """
    known = [_recall(way, export) for way in _list_asked(engine, precision)]
    for one in known:
        one.rate = one.rate or measure_rate(
            one.way, export.path / NETWORK, image_size_px=image_size_px
        )
        one.keep()
    for one in sorted(known, key=lambda one: one.rate, reverse=True):
        one.check = one.check or _check(one.way, export, model)
        one.keep()
        is_good = one.check.is_good if one.check else one.way.precision == "float32"
        is_asked = "auto" not in (engine, precision)
        if not is_good:
            said = one.check.describe() if one.check else "The images for its check are gone."
            what = "used, as it was asked for" if is_asked else "not used"
            _logger.warning("%s fails the check and is %s. %s", one.way, what, said)
        if is_good or is_asked:
            _log_choice(one, known)
            return one.way
    return KERAS


@dataclass
class _Known:
    """What was found out about a way on this kind of machine, kept in a file."""

    way: Way
    path: Path
    rate: float = 0.0
    """Images a second of one core; 0 before it is measured."""
    check: Check | None = None

    def keep(self) -> None:
        """Write it down."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        check = asdict(self.check) if self.check else None
        write_json(self.path, {"way": str(self.way), "rate": self.rate, "check": check})


def _recall(way: Way, export: Artifact) -> _Known:
    """Return what is known of a way to run an export, with this version of its program."""
    facts = {"way": asdict(way), "version": version(way.engine), "on": name_processor()}
    path = artifacts.home() / "engines" / f"{export.key}-{artifacts.key_of(facts)}.json"
    if not path.is_file():
        return _Known(way, path)
    kept = read_json(path)
    return _Known(way, path, kept["rate"], Check(**kept["check"]) if kept["check"] else None)


def _list_asked(engine: str, precision: str) -> list[Way]:
    """Return the ways that are as asked; raise InputError without one."""
    asked = {"engine": engine, "precision": precision}
    found = [
        way
        for way in list_ways()
        if all(value in ("auto", getattr(way, name)) for name, value in asked.items())
    ]
    if found:
        return found
    raise InputError(
        f"No way to run the network is --engine {engine} with --precision {precision} on this "
        f"machine. Ways: {', '.join(map(str, [*list_ways(), KERAS]))}."
    )


def measure_rate(way: Way, path: Path, *, image_size_px: int, timed_s: float = _TIMED_S) -> float:
    """Return how many images a second one thread runs through an exported network, at its best."""
    run = open_network(way, path)
    random = np.random.default_rng(0)
    images = random.integers(0, 64, (BATCH, image_size_px, image_size_px, 3), dtype=np.uint8)
    run(images[:1])
    best_s, started_s = float("inf"), time.perf_counter()
    while time.perf_counter() - started_s < timed_s:
        before_s = time.perf_counter()
        run(images)
        best_s = min(best_s, time.perf_counter() - before_s)
    return BATCH / best_s


def _check(way: Way, export: Artifact, model: Path) -> Check | None:
    """Return how the way compares with Keras; None where the prepared images are gone."""
    galaxies = find_prepared(model)
    return check_way(way, export.path, galaxies) if galaxies else None


def _log_choice(chosen: _Known, known: Sequence[_Known]) -> None:
    speeds = ", ".join(f"{one.way} {one.rate:,.0f}" for one in known)
    said = f" {chosen.check.describe()}" if chosen.check else ""
    _logger.info("Using %s. Images a second of one core: %s.%s", chosen.way, speeds, said)
