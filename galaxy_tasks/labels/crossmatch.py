"""Find catalogue entries that are one galaxy, or may be.

Entries are matched by what a catalogue cannot get wrong at once: position, id and content of the
image. Positions of one galaxy in two releases differ by a fraction of an arcsecond, while two
galaxies are hardly ever within two.

Tables here have one row for each labelled galaxy with an image: release, release_index, galaxy_id,
image_name, sky_group, ra_degrees, dec_degrees, label, is_test, image_hash (equal for equal images,
'' for an image without a copy).
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

MOST_COPIES = 10
"""An image or position shared by more entries than this is probably a placeholder: it never
identifies two entries as one galaxy. Entries that share it still stay on one side of the split."""
LARGEST_SHARE = 0.01
"""Our choice: an image or position shared by more than this fraction of all galaxies, and by more
than MOST_COPIES, is certainly a placeholder. As one group they would be too much of the test."""
LEAST_COMPARED = 20
LEAST_KAPPA = 0.5
"""Our choice of Cohen's kappa (1960) below which ids alone are not trusted: 0 where labels agree as
often as by chance, whatever the sizes of the classes, and 1 where they always agree."""

Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]
Links = NDArray[np.int64]
"""(links, 2): pairs of rows of a table, the lower first."""


@dataclass(frozen=True)
class Matches:
    """Which rows are one galaxy, and by what."""

    by_position: Links
    """Pairs within the radius of each other."""
    by_id: Links
    """Pairs of one id, except ids that are found at several positions."""
    by_image: Links
    """Pairs of one image under several names."""
    galaxies: Indices
    """One number for each row, from 0: rows of equal number may be one galaxy."""


@dataclass(frozen=True)
class Crossmatch:
    """Which row represents each galaxy."""

    is_kept: Flags
    kept_as: Indices
    """For each row the row that represents its galaxy; itself if kept."""
    is_contradiction: Flags
    """Rows not kept, whose label is none of those kept for the galaxy."""


def match_positions(
    ra_degrees: NDArray[np.float64], dec_degrees: NDArray[np.float64], *, radius_arcsec: float
) -> Links:
    """Return all pairs of entries within the radius of each other.

    Args:
        ra_degrees: right ascension, NaN where unknown; such an entry matches no other.
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
    """Return pairs that connect what `match_positions` would, but few where many share a position.

    Of entries at exactly one position, only the first is compared with others.
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
    """Return how many entries have exactly the position of each; 0 where it is unknown."""
    is_known = np.isfinite(ra_degrees) & np.isfinite(dec_degrees)
    places = ra_degrees[is_known] + 1j * dec_degrees[is_known]
    _, code, counts = np.unique(places, return_inverse=True, return_counts=True)
    copies = np.zeros(len(ra_degrees), dtype=np.int64)
    copies[is_known] = counts[code]
    return copies


def is_crowd(copies: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which entries have something in common with so many that it is a placeholder.

    Args:
        copies: how many entries have the same as each, itself included; 0: it has none.
    """
    return (copies > MOST_COPIES) & (copies > LARGEST_SHARE * len(copies))


def measure_separations(
    links: Links, *, ra_degrees: NDArray[np.float64], dec_degrees: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the separation of each pair, in arcseconds; NaN where a position is unknown."""
    from astropy.coordinates import angular_separation

    ra, dec = np.radians(ra_degrees[links]), np.radians(dec_degrees[links])
    radians = angular_separation(ra[:, 0], dec[:, 0], ra[:, 1], dec[:, 1])
    return np.degrees(np.asarray(radians)) * 3600


def link_equals(values: pa.Array | pa.ChunkedArray) -> Links:
    """Return pairs that connect all entries of equal text; null and '' equal nothing."""
    is_given = pc.fill_null(pc.not_equal(values, ""), False)  # pyright: ignore[reportAttributeAccessIssue]
    given = np.flatnonzero(is_given.to_numpy(zero_copy_only=False))
    codes = _encode(values.filter(is_given))
    order = np.argsort(codes, kind="stable")
    is_same = codes[order][1:] == codes[order][:-1]
    # A stable sort keeps the order of equals, so the first of a pair is the lower.
    return np.stack([given[order[:-1][is_same]], given[order[1:][is_same]]], axis=1)


def link_ids(
    ids: pa.Array | pa.ChunkedArray,
    *,
    ra_degrees: NDArray[np.float64],
    dec_degrees: NDArray[np.float64],
    radius_arcsec: float,
) -> Links:
    """Return pairs that connect all entries of an id, unless it is found at several positions.

    An id whose entries lie further apart than the radius was given twice, as running numbers are.
    It identifies none of them, not even one without a position.
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
    """Return the hashes, with None for those that more than MOST_COPIES images share."""
    copies = Counter(filter(None, contents))
    return [each if each and copies[each] <= MOST_COPIES else None for each in contents]


def group_linked(count: int, links: Iterable[Links]) -> Indices:
    """Return for each of `count` entries the number, from 0, of the group that links put it in."""
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


def find_matches(table: pa.Table, *, radius_arcsec: float) -> Matches:
    """Return which rows are one galaxy by position, id and image, and which may be one.

    Rows that share a position with more than MOST_COPIES are not matched by it, since it may be a
    placeholder. They may be one all the same, since it may be none.

    Args:
        table: rows as described at the top of this module.
        radius_arcsec: entries nearer than this are one galaxy.
    """
    ra, dec = (_floats(table, name) for name in ("ra_degrees", "dec_degrees"))
    is_own = count_places(ra, dec) <= MOST_COPIES
    own = {"ra_degrees": np.where(is_own, ra, np.nan), "dec_degrees": np.where(is_own, dec, np.nan)}
    by_position = match_positions(**own, radius_arcsec=radius_arcsec)
    by_id = link_ids(table["galaxy_id"], **own, radius_arcsec=radius_arcsec)
    by_image = link_equals(table["image_hash"])
    # An id at two positions may have a wrong one: it does not cross the splits either.
    near = chain_places(ra, dec, radius_arcsec=radius_arcsec)
    links = (near, by_image, link_equals(table["galaxy_id"]))
    return Matches(by_position, by_id, by_image, group_linked(len(table), links))


def crossmatch_releases(table: pa.Table, matches: Matches) -> Crossmatch:
    """Return which rows represent their galaxies: those of the first release that lists it.

    Rows of one release never replace each other: a release may list a galaxy twice.
    """
    release = table["release_index"].to_numpy()
    links = np.concatenate([matches.by_position, matches.by_id])
    across = links[release[links[:, 0]] != release[links[:, 1]]]
    galaxies = group_linked(len(table), [across])
    order = np.lexsort((np.arange(len(table)), release, galaxies))
    is_start = np.diff(galaxies[order], prepend=-1) != 0
    first_of = order[is_start]  # by galaxy, the first row of its first release
    kept_as = first_of[galaxies]
    is_kept = release == release[kept_as]
    kept_as = np.where(is_kept, np.arange(len(table)), kept_as)
    labels = table["label"].combine_chunks().dictionary_encode().indices.to_numpy()
    kept_labels = set(zip(galaxies[is_kept].tolist(), labels[is_kept].tolist(), strict=True))
    is_contradiction = np.zeros(len(table), dtype=bool)
    for row in np.flatnonzero(~is_kept):
        is_contradiction[row] = (int(galaxies[row]), int(labels[row])) not in kept_labels
    found = Crossmatch(is_kept, kept_as, is_contradiction)
    _check_ids(table, matches, found)
    return found


def _check_ids(table: pa.Table, matches: Matches, found: Crossmatch) -> None:
    """Raise InputError where ids alone match rows, and their labels contradict it."""
    is_placed = np.isin(np.arange(len(table)), matches.by_position)
    release = table["release_index"].to_numpy()
    labels = table["label"].combine_chunks().dictionary_encode().indices.to_numpy()
    for index in np.unique(release):
        rows = np.flatnonzero(~found.is_kept & ~is_placed & (release == index))
        if len(rows) < LEAST_COMPARED:
            continue
        num_wrong = int(np.count_nonzero(found.is_contradiction[rows]))
        by_chance = measure_chance(labels[rows], labels[found.kept_as[rows]])
        # With one class alone chance is 1, and kappa undefined: no contradiction, no doubt.
        if num_wrong and 1 - num_wrong / len(rows) < by_chance + LEAST_KAPPA * (1 - by_chance):
            raise InputError(
                f"{len(rows):,} galaxies of the combined releases match by id alone, and the "
                f"labels of {num_wrong:,} of them differ, where {1 - by_chance:.0%} would by "
                f"chance: the ids of {table['release'][int(rows[0])]} seem to be numbered "
                "independently. Expected: ids of one numbering, or positions (columns that "
                "'ra_column' and 'dec_column' name). Add positions, or make the ids differ."
            )


def measure_chance(first: Indices, second: Indices) -> float:
    """Return how often labels would agree by chance, 0 to 1, given how often each occurs.

    Args:
        first: integers from 0, one for each galaxy.
        second: other labels of the same galaxies.
    """
    size = int(max(first.max(), second.max())) + 1
    shares = [np.bincount(labels, minlength=size) / len(labels) for labels in (first, second)]
    return float(shares[0] @ shares[1])


def count_matches(matches: Matches, found: Crossmatch) -> dict[str, int]:
    """Return how many pairs match by position, id and image, and how many rows are not kept."""
    return {
        "pairs_by_position": len(matches.by_position),
        "pairs_by_id": len(matches.by_id),
        "pairs_by_image": len(matches.by_image),
        "crossmatched": int(np.count_nonzero(~found.is_kept)),
        "contradictions": int(np.count_nonzero(found.is_contradiction)),
    }


def format_matches(counts: Mapping[str, int]) -> str:
    """Return a line for the log."""
    return (
        f"Crossmatch: {counts['pairs_by_position']:,} pairs by position, "
        f"{counts['pairs_by_id']:,} by id, {counts['pairs_by_image']:,} by image. "
        f"{counts['crossmatched']:,} rows are of galaxies that an earlier release lists, and "
        f"{counts['contradictions']:,} of them have another label."
    )


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    return table[name].to_numpy(zero_copy_only=False).astype(np.float64)
