"""Which entries of catalogues are one galaxy, or must stay on one side of the split.

Entries are told apart by what a catalogue cannot get wrong together: the place on the sky, the id,
and the content of the image. Positions of one galaxy in two releases differ by a fraction of an
arcsecond; two galaxies are hardly ever within two.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Indices = NDArray[np.int64]
Links = NDArray[np.int64]
"""(links, 2): pairs of positions in a table, the lower first."""

MOST_COPIES = 10
_TAIL_BYTES = 512


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


def group_linked(count: int, links: Iterable[Links]) -> Indices:
    """Return for each of `count` entries the number, from 0, of the group that links tie it to."""
    pairs = np.concatenate([no_links(), *links])
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    _, groups = connected_components(graph, directed=False)
    return groups.astype(np.int64)


def hash_repeated_images(paths: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of each image whose content others have, too, and '' for all others.

    Only files alike in size and in their last bytes are read whole: of compressed images that
    leaves hardly any but true copies. A file that cannot be read is like no other. What more than
    MOST_COPIES have is taken for a stand-in where there was no image: it makes nobody the same.
    """
    heads = [_read_size_and_tail(path) for path in paths]
    num_alike = Counter(heads)
    hashes = [
        _hash(path) if head is not None and num_alike[head] > 1 else ""
        for path, head in zip(paths, heads, strict=True)
    ]
    copies = Counter(hashes)
    for content, count in copies.items():
        if content and count > MOST_COPIES:
            name = paths[hashes.index(content)].name
            print(f"Note: {count:,} images have the content of {name}: a stand-in?", flush=True)
    return [one if one and 1 < copies[one] <= MOST_COPIES else "" for one in hashes]


def no_links() -> Links:
    """Return no pairs."""
    return np.empty((0, 2), dtype=np.int64)


def _encode(values: pa.Array | pa.ChunkedArray) -> NDArray[np.int32]:
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(whole, pa.ChunkedArray):  # of no chunks there is nothing to combine
        return np.empty(0, dtype=np.int32)
    return whole.dictionary_encode().indices.to_numpy()


def _read_size_and_tail(path: Path) -> tuple[int, bytes] | None:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            return (size, hashlib.blake2b(file.read(), digest_size=8).digest())
    except OSError:
        return None


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
