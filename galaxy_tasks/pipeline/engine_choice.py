"""Which program runs a model on this machine: the fastest that says what Keras does.

Each is timed for a moment. What it says is compared with Keras on prepared images before it is used
on a kind of processor for the first time.
"""

import logging
import time
from dataclasses import asdict
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
    name_version,
    open_network,
)
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json, write_json
from galaxy_tasks.surroundings import name_processor

_TIMED_S = 1.0
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
    found = _list_asked(engine, precision)
    path = export.path / NETWORK
    rates = {way: measure_rate(way, path, image_size_px=image_size_px) for way in found}
    for way in sorted(found, key=lambda way: rates[way], reverse=True):
        check = _check(way, export, model)
        is_good = check.is_good if check else way.precision == "float32"
        is_asked = "auto" not in (engine, precision)
        if not is_good:
            said = check.describe() if check else "The images that it is checked on are gone."
            what = "used, as it was asked for" if is_asked else "not used"
            _logger.warning("%s fails the check and is %s. %s", way, what, said)
        if is_good or is_asked:
            _log_choice(way, check, rates)
            return way
    return KERAS


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


def measure_rate(way: Way, path: Path, *, image_size_px: int) -> float:
    """Return how many images a second one thread runs through an exported network, at its best."""
    run = open_network(way, path)
    random = np.random.default_rng(0)
    images = random.integers(0, 64, (BATCH, image_size_px, image_size_px, 3), dtype=np.uint8)
    run(images[:1])
    best_s, started_s = float("inf"), time.perf_counter()
    while time.perf_counter() - started_s < _TIMED_S:
        before_s = time.perf_counter()
        run(images)
        best_s = min(best_s, time.perf_counter() - before_s)
    return BATCH / best_s


def _check(way: Way, export: Artifact, model: Path) -> Check | None:
    """Return how the way compares with Keras; None where the prepared images are gone."""
    facts = {"way": asdict(way), "version": name_version(way.engine), "on": name_processor()}
    name = f"{export.key}-{artifacts.key_of(facts)}.json"
    path = artifacts.home() / "engine_checks" / name
    if path.is_file():
        return Check(**read_json(path)["check"])
    galaxies = find_prepared(model)
    if galaxies is None:
        return None
    check = check_way(way, export.path, galaxies)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**facts, "check": asdict(check)})
    return check


def _log_choice(way: Way, check: Check | None, rates: dict[Way, float]) -> None:
    speeds = ", ".join(f"{one} {rate:,.0f}" for one, rate in sorted(rates.items()))
    said = f" {check.describe()}" if check else ""
    _logger.info("Using %s. Images a second of one core: %s.%s", way, speeds, said)
