"""Galaxies of several releases become one table: who is the same galaxy, and who goes with whom.

Tables here have one row for each labelled galaxy with an image: release, release_index, galaxy_id,
image_name, sky_group, ra_degrees, dec_degrees, label, is_test, image_hash (alike for images that
are, '' for one like no other).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galaxy_tasks.errors import InputError
from galaxy_tasks.matching import (
    MOST_COPIES,
    Indices,
    Links,
    chain_places,
    count_places,
    group_linked,
    link_equals,
    link_ids,
    match_positions,
)

LEAST_JUDGED = 20
LEAST_KAPPA = 0.5
"""Our choice of Cohen's kappa (1960), below which ids alone are not believed: 0 where labels agree
as often as chance makes them, whatever the sizes of the classes, and 1 where they always do."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Sameness:
    """What is known of rows being one galaxy."""

    by_position: Links
    """Pairs that are within the radius of each other."""
    by_id: Links
    """Pairs of one id, but for ids that stand for several places."""
    by_image: Links
    """Pairs of one image under several names."""
    groups: Indices
    """One number a row: rows of one number may not be parted by the split."""


@dataclass(frozen=True)
class Merged:
    """Which rows stand for their galaxy, and what becomes of the others."""

    is_kept: Flags
    kept_as: Indices
    """For each row the row that stands for its galaxy; itself if kept."""
    is_contradiction: Flags
    """Rows not kept, whose label is none of those kept for the galaxy."""


def find_sameness(table: pa.Table, *, radius_arcsec: float) -> Sameness:
    """Return which rows are one galaxy by place, id and image, and which must stay together.

    A place that more than MOST_COPIES share makes nobody the same galaxy: it may be a stand-in.
    If it is none they are, so that they stay together all the same.

    Args:
        table: rows as the module says.
        radius_arcsec: entries nearer than this are one galaxy.
    """
    ra, dec = (_floats(table, name) for name in ("ra_degrees", "dec_degrees"))
    is_own = count_places(ra, dec) <= MOST_COPIES
    own = {"ra_degrees": np.where(is_own, ra, np.nan), "dec_degrees": np.where(is_own, dec, np.nan)}
    by_position = match_positions(**own, radius_arcsec=radius_arcsec)
    by_id = link_ids(table["galaxy_id"], **own, radius_arcsec=radius_arcsec)
    by_image = link_equals(table["image_hash"])
    # An id given twice may still be an id with a wrong position: it does not cross the splits.
    links = (
        *(chain_places(ra, dec, radius_arcsec=radius_arcsec), by_image),
        *(link_equals(table[name]) for name in ("galaxy_id", "sky_group")),
    )
    return Sameness(by_position, by_id, by_image, group_linked(len(table), links))


def merge_releases(table: pa.Table, sameness: Sameness) -> Merged:
    """Return which rows stand for their galaxies: those of the first release that has it.

    Rows of one release are never merged: it may list a galaxy twice, and then it says so twice.
    """
    release = table["release_index"].to_numpy()
    links = np.concatenate([sameness.by_position, sameness.by_id])
    across = links[release[links[:, 0]] != release[links[:, 1]]]
    galaxies = group_linked(len(table), [across])
    order = np.lexsort((np.arange(len(table)), release, galaxies))
    is_start = np.diff(galaxies[order], prepend=-1) != 0
    first_of = order[is_start]  # by galaxy, the first row of its first release
    kept_as = first_of[galaxies]
    is_kept = release == release[kept_as]
    kept_as = np.where(is_kept, np.arange(len(table)), kept_as)
    labels = table["label"].combine_chunks().dictionary_encode().indices.to_numpy()
    said = set(zip(galaxies[is_kept].tolist(), labels[is_kept].tolist(), strict=True))
    is_contradiction = np.zeros(len(table), dtype=bool)
    for row in np.flatnonzero(~is_kept):
        is_contradiction[row] = (int(galaxies[row]), int(labels[row])) not in said
    merged = Merged(is_kept, kept_as, is_contradiction)
    _check_ids(table, sameness, merged)
    return merged


def _check_ids(table: pa.Table, sameness: Sameness, merged: Merged) -> None:
    """Raise InputError where ids alone tie rows together whose labels do not bear it out."""
    is_placed = np.isin(np.arange(len(table)), sameness.by_position)
    release = table["release_index"].to_numpy()
    labels = table["label"].combine_chunks().dictionary_encode().indices.to_numpy()
    for one in np.unique(release):
        rows = np.flatnonzero(~merged.is_kept & ~is_placed & (release == one))
        if len(rows) < LEAST_JUDGED:
            continue
        num_wrong = int(np.count_nonzero(merged.is_contradiction[rows]))
        by_chance = measure_chance(labels[rows], labels[merged.kept_as[rows]])
        # Without a contradiction there is nothing to doubt, though there be one class alone.
        if num_wrong and 1 - num_wrong / len(rows) < by_chance + LEAST_KAPPA * (1 - by_chance):
            raise InputError(
                f"{len(rows):,} galaxies of the combined releases are known by their ids alone, "
                f"and {num_wrong:,} of them have other labels, where {1 - by_chance:.0%} would by "
                f"chance: the ids of {table['release'][int(rows[0])]} seem to be numbered anew. "
                "Expected: ids of one numbering, or positions (columns that 'ra_column' and "
                "'dec_column' name). Give positions, or make the ids differ."
            )


def measure_chance(first: Indices, second: Indices) -> float:
    """Return how often labels would agree by chance, 0 to 1, from how often each occurs.

    Args:
        first: integers from 0, one a galaxy.
        second: other labels of the same galaxies.
    """
    size = int(max(first.max(), second.max())) + 1
    shares = [np.bincount(labels, minlength=size) / len(labels) for labels in (first, second)]
    return float(shares[0] @ shares[1])


def count_sameness(table: pa.Table, sameness: Sameness, merged: Merged) -> dict[str, int]:
    """Return how many pairs were found by place, id and image, and how many rows were merged."""
    return {
        "pairs_by_position": len(sameness.by_position),
        "pairs_by_id": len(sameness.by_id),
        "pairs_by_image": len(sameness.by_image),
        "groups": int(sameness.groups.max(initial=-1)) + 1,
        "merged": int(np.count_nonzero(~merged.is_kept)),
        "contradictions": int(np.count_nonzero(merged.is_contradiction)),
    }


def format_sameness(counts: Mapping[str, int]) -> str:
    """Return a line for the log."""
    return (
        f"Same galaxy: {counts['pairs_by_position']:,} pairs by position, "
        f"{counts['pairs_by_id']:,} by id, {counts['pairs_by_image']:,} by image; "
        f"{counts['merged']:,} rows merged, of which {counts['contradictions']:,} have another "
        f"label. {counts['groups']:,} groups, none of which crosses the splits."
    )


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    return table[name].to_numpy(zero_copy_only=False).astype(np.float64)
