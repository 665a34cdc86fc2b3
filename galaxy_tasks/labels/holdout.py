"""Galaxies that earlier runs of this home had in the test, and that stay there: it only grows.

By itself a galaxy's side follows from its place, or its id where that is unknown. A position that
is given only later, or that crosses the border of a cell, would move it: into the training of a
network that is compared with one that was tested on it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galaxy_tasks.config import RunConfig
from galaxy_tasks.labels import split
from galaxy_tasks.labels.crossmatch import chain_places, group_linked, link_equals
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.cache_keys import ReleaseFiles

KNOWN_BY = ("ra_degrees", "dec_degrees", "image_print")
COLUMNS = ("published_id", *KNOWN_BY)
"""What a galaxy is known again by. `published_id` names the release, too; '' where the release is
anybody's table, whose ids say nothing of those in another."""

_OWN_TABLES = ("class_table", "simulated")


@dataclass(frozen=True)
class Sides:
    """Which galaxies are for the test, one flag each."""

    is_test: NDArray[np.bool_]
    is_kept: NDArray[np.bool_]
    """Those of them that are there only since earlier runs had them, or others of their group."""
    kept_digest: str
    """16 hexadecimal digits that change with the names of these; '' without any."""


def find_labels(config: RunConfig, release_files: ReleaseFiles) -> Artifact | None:
    """Return the labels that these settings made from this release first, or None.

    What was published since makes no others of them: the same run again finds the same labels.
    """
    own = artifacts.key_of(cache_keys.labels_made_from(config, release_files))
    found = []
    for artifact in artifacts.list_published("labels"):
        if manifest := _read_manifest(artifact):
            made_from = {**manifest["made_from"], cache_keys.KEPT_IN_TEST: ""}
            if artifacts.key_of(made_from) == own:
                found.append((manifest["published"], artifact.key, artifact))
    return min(found)[2] if found else None


def read_holdout() -> pd.DataFrame:
    """Return COLUMNS of the galaxies that any published labels have in the test.

    Simulated ones do not count. Labels that cannot be read are passed over, and named in the log.
    """
    tables = [pd.DataFrame({name: pd.Series(dtype=_dtype(name)) for name in COLUMNS})]
    for artifact in artifacts.list_published("labels"):
        if manifest := _read_manifest(artifact):
            releases = manifest["made_from"]["releases"]
            if not any(one["release"] == "simulated" for one in releases):
                tables.append(_read_test(artifact, releases))
    whole = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    return whole.drop_duplicates(ignore_index=True)


def name_published_ids(ids: Iterable[tuple[str, int]], releases: list[dict]) -> list[str]:
    """Return ids that name their release and the column they are from; '' for anybody's table.

    Args:
        ids: each as its release has it, and the position of the release.
        releases: `release` and `id_column` of each release.
    """
    starts = [
        "" if one["release"] in _OWN_TABLES else f"{one['release']} {one['id_column']} "
        for one in releases
    ]
    return [starts[index] and starts[index] + galaxy_id for galaxy_id, index in ids]


def find_kept(
    galaxies: pd.DataFrame, earlier: pd.DataFrame, *, radius_arcsec: float
) -> NDArray[np.bool_]:
    """Return which galaxies are one that earlier runs had in the test.

    Args:
        galaxies: COLUMNS; places are NaN, other values '' where unknown.
        earlier: likewise, the test galaxies of earlier runs.
        radius_arcsec: entries nearer than this are one galaxy.
    """
    whole = pd.concat([galaxies, earlier], ignore_index=True) if len(earlier) else galaxies
    places = [whole[name].to_numpy(np.float64) for name in ("ra_degrees", "dec_degrees")]
    links = [
        chain_places(*places, radius_arcsec=radius_arcsec),
        *(link_equals(pa.array(whole[n], pa.string())) for n in ("published_id", "image_print")),
    ]
    own, theirs = np.split(group_linked(len(whole), links), [len(galaxies)])
    return np.isin(own, theirs)


def choose_test(
    galaxies: pa.Table,
    config: RunConfig,
    *,
    groups: NDArray[np.int64],
    earlier: pd.DataFrame | None,
) -> Sides:
    """Return which galaxies are for the test: by themselves, or since earlier runs had them there.

    Args:
        galaxies: release, release_index, galaxy_id, ra_degrees, dec_degrees, image_print, and
            is_test, which says where a galaxy is by itself.
        config: names the releases, and the radius.
        groups: integers, one a galaxy, alike for galaxies that may not be parted.
        earlier: COLUMNS of the test galaxies of earlier runs; None: they do not count.
    """
    is_own = galaxies["is_test"].to_numpy(zero_copy_only=False).astype(bool)
    is_test = split.spread_test(is_own, groups)
    if earlier is None or earlier.empty:
        return Sides(is_test, np.zeros_like(is_test), "")
    known = galaxies.select(list(KNOWN_BY)).to_pandas()
    releases = [{"release": one.release, "id_column": one.id_column} for one in config.parts()]
    ids = [galaxies[name].to_pylist() for name in ("galaxy_id", "release_index", "release")]
    known["published_id"] = name_published_ids(zip(*ids[:2], strict=True), releases)
    is_earlier = find_kept(known, earlier, radius_arcsec=config.match_radius_arcsec)
    is_whole = split.spread_test(is_own | is_earlier, groups)
    is_kept = is_whole & ~is_test
    names = sorted(f"{ids[2][row]}:{ids[0][row]}" for row in np.flatnonzero(is_kept))
    if not names:
        return Sides(is_test, is_kept, "")
    print(
        f"Kept in the test: {len(names):,} galaxies that an earlier run had there, or that belong "
        "to one, and that by themselves would not be (setting 'holdout').",
        flush=True,
    )
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
    return Sides(is_whole, is_kept, digest)


def _read_manifest(artifact: Artifact) -> dict | None:
    try:
        manifest = artifact.manifest
        _ = (manifest["published"], [one["release"] for one in manifest["made_from"]["releases"]])
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(
            f"Note: {artifact.path} is passed over, its manifest is damaged: {error!r}", flush=True
        )
        return None
    return manifest


def _read_test(artifact: Artifact, releases: list[dict]) -> pd.DataFrame:
    wanted = ("own_id", "release_index", "split", *COLUMNS)
    try:
        path = artifact.path / "labels.parquet"
        names = [name for name in pq.read_schema(path).names if name in wanted]
        table = pq.read_table(path, columns=names, filters=[("split", "=", "test")]).to_pandas()
        pairs = zip(table["own_id"], table["release_index"], strict=True)
        ids = name_published_ids(pairs, releases)
    except (OSError, pa.ArrowException, KeyError) as error:
        print(f"Note: the test of {artifact.path} is not known again: {error!r}", flush=True)
        return pd.DataFrame()
    table = table.assign(published_id=ids).reindex(columns=list(COLUMNS))
    return table.fillna({"image_print": ""}).astype({name: _dtype(name) for name in COLUMNS})


def _dtype(name: str) -> str:
    return "float64" if name.endswith("_degrees") else "object"
