"""Galaxies of several releases become one table: who is the same galaxy, and who goes with whom.

Tables here have one row for each labelled galaxy with an image: release, release_index, galaxy_id,
image_name, sky_group, ra_degrees, dec_degrees, label, is_test, image_hash (alike for images that
are, '' for one like no other).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from galaxy_tasks.errors import InputError

# Which entries of catalogues are one galaxy, or must stay on one side of the split.
#
# Entries are told apart by what a catalogue cannot get wrong together: the place on the sky, the
# id, and the content of the image. Positions of one galaxy in two releases differ by a fraction
# of an arcsecond; two galaxies are hardly ever within two.


MOST_COPIES = 10
"""What more entries share, an image or a place, may be a placeholder where there was none: it makes
nobody the same galaxy. Those who share it stay on one side of the split all the same."""
LARGEST_SHARE = 0.01
"""Our choice: what more than this share of the galaxies have in common, besides being more than
MOST_COPIES, is a placeholder for certain, and as one group it would weigh too much in a test of a
fifth of them."""

Indices = NDArray[np.int64]
Links = NDArray[np.int64]
"""(links, 2): pairs of positions in a table, the lower first."""


def match_positions(
    ra_degrees: NDArray[np.float64], dec_degrees: NDArray[np.float64], *, radius_arcsec: float
) -> Links:
    """Return all pairs of entries within the radius of each other.

    Args:
        ra_degrees: right ascension, NaN where unknown; such an entry is near no other.
        dec_degrees: declination, likewise.
        radius_arcsec: largest separation, in arcseconds along a great circle.
    """
    from astropy import units
    from astropy.coordinates import SkyCoord, search_around_sky

    known = np.flatnonzero(np.isfinite(ra_degrees) & np.isfinite(dec_degrees))
    if len(known) < 2:
        return no_links()
    places = SkyCoord(ra_degrees[known], dec_degrees[known], unit=units.deg)
    first, second, _, _ = search_around_sky(places, places, radius_arcsec * units.arcsec)
    is_pair = first < second
    return np.stack([known[first[is_pair]], known[second[is_pair]]], axis=1)


def chain_places(
    ra_degrees: NDArray[np.float64], dec_degrees: NDArray[np.float64], *, radius_arcsec: float
) -> Links:
    """Return pairs that chain what `match_positions` ties, few though many share one place.

    Of entries at exactly one place the first alone is compared with others.
    """
    known = np.flatnonzero(np.isfinite(ra_degrees) & np.isfinite(dec_degrees))
    places = ra_degrees[known] + 1j * dec_degrees[known]
    _, first, code = np.unique(places, return_index=True, return_inverse=True)
    rows = np.sort(known[first])
    near = rows[match_positions(ra_degrees[rows], dec_degrees[rows], radius_arcsec=radius_arcsec)]
    chain = np.stack([known[first][code], known], axis=1)
    return np.concatenate([near, chain[chain[:, 0] != chain[:, 1]]])


def count_places(
    ra_degrees: NDArray[np.float64], dec_degrees: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return how many entries are at exactly the place of each; 0 where it is unknown."""
    is_known = np.isfinite(ra_degrees) & np.isfinite(dec_degrees)
    places = ra_degrees[is_known] + 1j * dec_degrees[is_known]
    _, code, counts = np.unique(places, return_inverse=True, return_counts=True)
    copies = np.zeros(len(ra_degrees), dtype=np.int64)
    copies[is_known] = counts[code]
    return copies


def is_crowd(copies: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which entries share something with a large share of all; see LARGEST_SHARE.

    Args:
        copies: how many have the same as each entry, itself included; 0: it has nothing.
    """
    return (copies > MOST_COPIES) & (copies > LARGEST_SHARE * len(copies))


def measure_separations(
    links: Links, *, ra_degrees: NDArray[np.float64], dec_degrees: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far apart the two of each pair are, in arcseconds; NaN where one has no place."""
    from astropy.coordinates import angular_separation

    ra, dec = np.radians(ra_degrees[links]), np.radians(dec_degrees[links])
    radians = angular_separation(ra[:, 0], dec[:, 0], ra[:, 1], dec[:, 1])
    return np.degrees(np.asarray(radians)) * 3600


def link_equals(values: pa.Array | pa.ChunkedArray) -> Links:
    """Return pairs that chain all entries of equal text; null and '' are equal to nothing."""
    is_given = pc.fill_null(pc.not_equal(values, ""), False)  # pyright: ignore[reportAttributeAccessIssue]
    given = np.flatnonzero(is_given.to_numpy(zero_copy_only=False))
    codes = _encode(values.filter(is_given))
    order = np.argsort(codes, kind="stable")
    is_same = codes[order][1:] == codes[order][:-1]
    # Of equals a stable sort keeps the order, so the first of a pair is the lower.
    return np.stack([given[order[:-1][is_same]], given[order[1:][is_same]]], axis=1)


def link_ids(
    ids: pa.Array | pa.ChunkedArray,
    *,
    ra_degrees: NDArray[np.float64],
    dec_degrees: NDArray[np.float64],
    radius_arcsec: float,
) -> Links:
    """Return pairs that chain all entries of an id, unless it stands for several places.

    An id whose entries lie further apart than the radius was given twice, as running numbers are:
    it says nothing of any of them, not even of one without a place.
    """
    links = link_equals(ids)
    if not len(links):
        return links
    groups = group_linked(len(ra_degrees), [links])
    placed = np.flatnonzero(np.isfinite(ra_degrees) & np.isfinite(dec_degrees))
    first_of = np.full(groups.max() + 1, -1)
    first_of[groups[placed][::-1]] = placed[::-1]
    spans = np.stack([first_of[groups[placed]], placed], axis=1)
    apart = measure_separations(spans, ra_degrees=ra_degrees, dec_degrees=dec_degrees)
    is_several = np.zeros(groups.max() + 1, dtype=bool)
    is_several[groups[placed[apart > radius_arcsec]]] = True
    return links[~is_several[groups[links[:, 0]]]]


def drop_placeholders(contents: Sequence[str | None]) -> list[str | None]:
    """Return the hashes, without those that more than MOST_COPIES share: they show no galaxy."""
    copies = Counter(one for one in contents if one)
    return [one if one and copies[one] <= MOST_COPIES else None for one in contents]


def group_linked(count: int, links: Iterable[Links]) -> Indices:
    """Return for each of `count` entries the number, from 0, of the group that links tie it to."""
    pairs = np.concatenate([no_links(), *links])
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    _, groups = connected_components(graph, directed=False)
    return groups.astype(np.int64)


def no_links() -> Links:
    """Return no pairs."""
    return np.empty((0, 2), dtype=np.int64)


def _encode(values: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(whole, pa.ChunkedArray):  # of no chunks there is nothing to combine
        return np.empty(0, dtype=np.int32)
    return whole.dictionary_encode().indices.to_numpy()


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

    A place that more than MOST_COPIES share makes nobody the same galaxy: it may be a placeholder.
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
