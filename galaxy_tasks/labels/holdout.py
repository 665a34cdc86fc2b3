"""The holdout: the galaxies that are in the test for good. It grows, unless a run is forgotten.

By itself a galaxy's split follows from its position, or its id where that is unknown. A position
that is published only later, or that crosses the border of a cell, would move the galaxy: into the
training of a network that is compared with another that was tested on it. So the labels of a run
are made with the holdout as it was when the run began, and their test galaxies enter the next one
where 'holdout' is 'join'.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galaxy_tasks.config import ReleaseSettings, RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels import split
from galaxy_tasks.labels.crossmatch import chain_places, group_linked, link_equals
from galaxy_tasks.labels.neighbours import Sides
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.content import hash_rows
from galaxy_tasks.storage.latest_holdout import find_latest_holdout
from galaxy_tasks.storage.locks import hold_lock
from galaxy_tasks.storage.pruning import remove_at_once

_logger = logging.getLogger(__name__)

KNOWN_BY = ("ra_degrees", "dec_degrees", "image_fingerprint")
COLUMNS = ("published_id", *KNOWN_BY)
"""What identifies a galaxy again. `published_id` names the release, too; '' where the release is a
table of somebody's own, whose ids mean nothing in another."""

_GALAXIES = "galaxies.parquet"
_OWN_TABLES = ("class_table", "simulated")
_SCHEMA = pa.schema(
    [(n, pa.float64() if n.endswith("_degrees") else pa.string()) for n in (*COLUMNS, "entry")]
)
_LOCK_TIMEOUT_S = 3600


@dataclass(frozen=True)
class ChosenTest:
    """Which galaxies are for the test, one flag each."""

    is_test: NDArray[np.bool_]
    is_held: NDArray[np.bool_]
    """Those that are in the test only because they, or others of their group, are held out."""


def read_holdout(holdout: Artifact | None) -> pd.DataFrame:
    """Return COLUMNS of the galaxies of a holdout: positions NaN, other values '' if unknown."""
    return _read(holdout)[list(COLUMNS)]


def _read(holdout: Artifact | None) -> pd.DataFrame:
    table = pq.read_table(holdout.path / _GALAXIES) if holdout else _SCHEMA.empty_table()
    return table.to_pandas()


def list_entries() -> dict[str, dict[str, Any]]:
    """Return what each run added to the latest holdout: galaxies, release, test_fraction, joined.

    The names are those that `forget_entry` takes.
    """
    latest = find_latest_holdout()
    return latest.manifest["summary"]["entries"] if latest else {}


def forget_entry(name: str) -> int:
    """Take the galaxies that a run added out of the holdout, and return how many these are.

    Older holdouts that have them are removed, too.

    Raises:
        InputError: no entry has this name.
    """
    with hold_lock(artifacts.home() / "holdouts" / ".lock", timeout_s=_LOCK_TIMEOUT_S):
        entries = list_entries()
        if name not in entries:
            known = ", ".join(entries) or "none: the holdout is empty"
            raise InputError(f"The holdout has no entry {name!r}. Its entries: {known}")
        rows = _read(find_latest_holdout())
        left = rows[rows["entry"] != name]
        if len(left):
            _publish(left, {other: entries[other] for other in entries if other != name})
        for holdout in artifacts.list_published("holdouts"):
            if name in holdout.manifest["summary"]["entries"]:
                remove_at_once(holdout.path)
    return len(rows) - len(left)


def _publish(rows: pd.DataFrame, entries: dict[str, dict[str, Any]]) -> Artifact:
    table = pa.Table.from_pandas(
        rows.sort_values([*COLUMNS, "entry"]), schema=_SCHEMA, preserve_index=False
    )
    counts = rows["entry"].value_counts()
    entries = {name: {**entry, "galaxies": int(counts[name])} for name, entry in entries.items()}
    with artifacts.open_draft("holdouts", cache_keys.holdout_made_from(hash_rows(table))) as draft:
        if draft.published:
            return draft.published
        pq.write_table(table, draft.path / _GALAXIES)
        return draft.publish({"galaxies": len(table), "entries": entries})


def extend_holdout(labels: Artifact, config: RunConfig) -> Artifact | None:
    """Publish the latest holdout with the test galaxies of these labels, and return it.

    Does nothing where it has them all, or where the labels are those of simulated galaxies.
    """
    if any(part.release == "simulated" for part in config.parts()):
        return find_latest_holdout()
    test = read_split(labels, config.parts(), split="test")
    with hold_lock(artifacts.home() / "holdouts" / ".lock", timeout_s=_LOCK_TIMEOUT_S):
        latest = find_latest_holdout()
        known, name = _read(latest), f"{config.release}-{labels.key[:8]}"
        both = pd.concat([known, test.assign(entry=name)], ignore_index=True)
        both = both.drop_duplicates(list(COLUMNS))  # the first run that had a galaxy keeps it
        if len(both) == len(known):
            return latest
        entry = {
            "release": config.release_title,
            "test_fraction": config.test_fraction,
            "joined": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        }
        _logger.info(
            "%s galaxies of this run's test joined the holdout as %s. To take them out again: "
            "galaxy-morphology holdout forget %s",
            f"{len(both) - len(known):,}",
            *(name, name),
        )
        return _publish(both, list_entries() | {name: entry})


def name_published_ids(
    ids: Iterable[tuple[str, int]], releases: Sequence[ReleaseSettings]
) -> list[str]:
    """Return ids that name their release and the column they are from; '' for an own table.

    Args:
        ids: each as its release has it, and the index of the release.
        releases: the releases of the run.
    """
    starts = [
        "" if one.release in _OWN_TABLES else f"{one.release} {one.id_column} " for one in releases
    ]
    return [starts[index] and starts[index] + galaxy_id for galaxy_id, index in ids]


def find_held(
    galaxies: pd.DataFrame, holdout: pd.DataFrame, *, radius_arcsec: float
) -> NDArray[np.bool_]:
    """Return which galaxies are in the holdout.

    Args:
        galaxies: COLUMNS; positions are NaN, other values '' where unknown.
        holdout: likewise, the galaxies that are held out.
        radius_arcsec: entries nearer than this are one galaxy.
    """
    whole = pd.concat([galaxies, holdout], ignore_index=True) if len(holdout) else galaxies
    places = [whole[name].to_numpy(np.float64) for name in ("ra_degrees", "dec_degrees")]
    links = [
        chain_places(*places, radius_arcsec=radius_arcsec),
        *(
            link_equals(pa.array(whole[n], pa.string()))
            for n in ("published_id", "image_fingerprint")
        ),
    ]
    own, theirs = np.split(group_linked(len(whole), links), [len(galaxies)])
    return np.isin(own, theirs)


def identify(galaxies: pa.Table, config: RunConfig) -> pd.DataFrame:
    """Return COLUMNS of a run's galaxies: release_index, galaxy_id (its release's), KNOWN_BY."""
    known = galaxies.select(list(KNOWN_BY)).to_pandas()
    ids = zip(*(galaxies[n].to_pylist() for n in ("galaxy_id", "release_index")), strict=True)
    known["published_id"] = name_published_ids(ids, config.parts())
    return known


def choose_test(
    galaxies: pa.Table, config: RunConfig, *, sides: Sides, holdout: pd.DataFrame
) -> ChosenTest:
    """Return which galaxies are for the test: by their cell, or because they are held out.

    Args:
        galaxies: release_index, galaxy_id, ra_degrees, dec_degrees, image_fingerprint, and
            is_test, where a galaxy belongs by its cell alone.
        config: names the releases, and the radius.
        sides: which galaxies must not be separated.
        holdout: COLUMNS of the galaxies that are held out.
    """
    is_own = galaxies["is_test"].to_numpy(zero_copy_only=False).astype(bool)
    is_test = split.settle_test(is_own, sides.groups, cells=sides.cells)
    if holdout.empty:
        return ChosenTest(is_test, np.zeros_like(is_test))
    known = identify(galaxies, config)
    is_held = find_held(known, holdout, radius_arcsec=config.match_radius_arcsec)
    is_whole = split.spread_test(is_test | is_held, sides.groups)
    is_only_held = is_whole & ~is_test
    if is_only_held.any():
        _logger.info(
            "Kept in the test: %s galaxies that are in the holdout, or in a group with one that "
            "is, and would not be in the test by themselves (setting 'holdout').",
            f"{np.count_nonzero(is_only_held):,}",
        )
    return ChosenTest(is_whole, is_only_held)


def read_split(
    labels: Artifact, releases: Sequence[ReleaseSettings], *, split: str
) -> pd.DataFrame:
    """Return COLUMNS of the galaxies of a split of a run's labels, made from these releases."""
    table = pq.read_table(
        labels.path / "labels.parquet",
        columns=["own_id", "release_index", *KNOWN_BY],
        filters=[("split", "=", split)],
    ).to_pandas()
    pairs = zip(table["own_id"], table["release_index"], strict=True)
    table["published_id"] = name_published_ids(pairs, releases)
    return table[list(COLUMNS)]
