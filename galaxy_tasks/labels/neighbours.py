"""Keep galaxies that appear in each other's cutouts on one side of the split.

No galaxy for training or validation lies within reach of a test galaxy, the reach being the side of
a cutout on the sky. Two rules do that. Galaxies within reach of each other form chains, and a chain
has one side. In a deep field a chain may hold the whole release: where it has more than
LARGEST_SHARE of all galaxies, its members go by cells of the sky instead, and what is left for
training within reach of a test galaxy is quarantined.

The cost grows with the galaxies, not with their pairs. In a crowd only the MOST_NEIGHBOURS nearest
link a chain; a pair that this parts is found by `find_near_test`, which compares with all.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial import KDTree

from galaxy_tasks.labels.crossmatch import Flags, Indices, group_linked, is_crowd
from galaxy_tasks.releases import RELEASES

ARCMINUTE_ARCSEC = 60.0
"""The reach where cutouts have no common size; most of Galaxy Zoo 2 are about as large."""
MOST_NEIGHBOURS = 16
_ROWS_AT_ONCE = 250_000


@dataclass(frozen=True)
class NearTest:
    """Galaxies that are too near to a test galaxy to learn from; arrays of equal length."""

    rows: Indices
    nearest: Indices
    """The row of the nearest test galaxy."""
    separations_arcsec: NDArray[np.float64]
    """How far that is."""


@dataclass(frozen=True)
class Sides:
    """Which galaxies must stay on one side of the split, and what decides on which."""

    groups: Indices
    """One number for each row, from 0: rows of equal number stay on one side."""
    cells: Indices
    """The rank of each row's cell on the sky: a group goes by the last of its cells."""


def find_reach_arcsec(releases: Iterable[str]) -> float:
    """Return the largest side of a cutout of these releases on the sky, in arcseconds."""
    sides = (RELEASES[name].cutout_arcsec for name in releases)
    return max(side or ARCMINUTE_ARCSEC for side in sides)


def find_sides(galaxies: pa.Table, *, same: Indices, reach_arcsec: float) -> Sides:
    """Return which galaxies must stay on one side of the split.

    Args:
        galaxies: columns sky_group, ra_degrees and dec_degrees (null where unknown) among others.
        same: integers from 0, equal for rows that may be one galaxy.
        reach_arcsec: the side of a cutout, in arcseconds.
    """
    cells = _rank(galaxies["sky_group"])
    groups = group_neighbours(
        read_vectors(galaxies), cells=cells, same=same, reach_arcsec=reach_arcsec
    )
    return Sides(groups, cells)


def _rank(sky_groups: pa.ChunkedArray) -> Indices:
    """Return the place of each name in the order of names, from 0; equal names have equal ones."""
    encoded = pa.concat_arrays([pa.array([], pa.string()), *sky_groups.chunks]).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()  # pyright: ignore[reportAttributeAccessIssue]
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return ranks[encoded.indices.to_numpy()]


def group_neighbours(
    vectors: NDArray[np.float64], *, cells: Indices, same: Indices, reach_arcsec: float
) -> Indices:
    """Return one number for each row, from 0: rows of equal number have one side of the split.

    Rows that may be one galaxy count in the last of their cells, by rank.

    Args:
        vectors: positions, as `read_vectors` returns them.
        cells: the rank of each row's cell of the sky.
        same: integers from 0, equal for rows that may be one galaxy.
        reach_arcsec: the side of a cutout, in arcseconds.
    """
    last_cell = np.zeros(same.max(initial=-1) + 1, dtype=np.int64)
    np.maximum.at(last_cell, same, cells)
    _, by_cell = np.unique(last_cell[same], return_inverse=True)
    known = np.flatnonzero(np.isfinite(vectors[:, 0]))
    links = _link_neighbours(vectors[known], by_cell[known], reach_arcsec=reach_arcsec)
    num_cells = by_cell.max(initial=-1) + 1
    chains = group_linked(num_cells, links)[by_cell]
    is_too_long = is_crowd(np.bincount(chains, minlength=1)[chains])
    return np.unique(np.where(is_too_long, by_cell, num_cells + chains), return_inverse=True)[1]


def _link_neighbours(
    points: NDArray[np.float64], groups: Indices, *, reach_arcsec: float
) -> list[NDArray[np.int64]]:
    """Return pairs of groups with points within reach of each other."""
    if not len(points):
        return []
    tree = KDTree(points)
    pairs = []
    for start in range(0, len(points), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        _, found = tree.query(
            points[rows], k=MOST_NEIGHBOURS, distance_upper_bound=_to_chord(reach_arcsec)
        )
        near = np.asarray(found)
        row, place = np.nonzero(near < len(points))
        # In a crowd only one of two may have the other among its nearest.
        both = np.sort(np.stack([groups[rows][row], groups[near[row, place]]], axis=1), axis=1)
        pairs.append(np.unique(both[both[:, 0] != both[:, 1]], axis=0))
    return pairs


def find_near_test(
    vectors: NDArray[np.float64], *, is_test: Flags, is_other: Flags, reach_arcsec: float
) -> NearTest:
    """Return the galaxies within reach of one in the test.

    Args:
        vectors: positions, as `read_vectors` returns them.
        is_test: which galaxies are in the test.
        is_other: which are compared with them.
        reach_arcsec: the side of a cutout, in arcseconds.
    """
    is_known = np.isfinite(vectors[:, 0])
    test, others = np.flatnonzero(is_known & is_test), np.flatnonzero(is_known & is_other)
    chord, place = KDTree(vectors[test]).query(
        vectors[others], distance_upper_bound=_to_chord(reach_arcsec)
    )
    is_found = np.isfinite(chord)
    separation = np.degrees(2 * np.arcsin(chord[is_found] / 2)) * 3600
    return NearTest(others[is_found], test[np.asarray(place)[is_found]], separation)


def read_vectors(galaxies: pa.Table) -> NDArray[np.float64]:
    """Return positions as unit vectors, (galaxies, 3), NaN where unknown.

    They have no edge at 0 and 360 degrees and no poles.

    Args:
        galaxies: columns ra_degrees and dec_degrees among others, null where unknown.
    """
    ra, dec = (
        np.radians(galaxies[name].to_numpy(zero_copy_only=False).astype(np.float64))
        for name in ("ra_degrees", "dec_degrees")
    )
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def _to_chord(arcsec: float) -> float:
    """Return the distance of unit vectors that far apart, and a little more: a bound excludes."""
    return 2 * np.sin(np.radians(arcsec / 3600) / 2) * (1 + 1e-9)
