"""Which entries of catalogues are one galaxy, or must stay on one side of the split.

Entries are told apart by what a catalogue cannot get wrong together: the place on the sky, the id,
and the content of the image. Positions of one galaxy in two releases differ by a fraction of an
arcsecond; two galaxies are hardly ever within two.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

MOST_COPIES = 10
"""What more entries share, an image or a place, may be a stand-in where there was none: it makes
nobody the same galaxy. Those who share it stay on one side of the split all the same."""
LARGEST_SHARE = 0.01
"""Our choice: what more than this share of the galaxies have in common, besides being more than
MOST_COPIES, is a stand-in for certain, and as one group it would weigh too much in a test of a
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


def drop_stand_ins(contents: Sequence[str | None]) -> list[str | None]:
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
