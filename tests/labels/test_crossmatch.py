import numpy as np
import pyarrow as pa

from galaxy_tasks.labels.crossmatch import (
    LARGEST_SHARE,
    MOST_COPIES,
    chain_places,
    count_places,
    group_linked,
    is_crowd,
    link_equals,
    link_ids,
    match_positions,
    measure_separations,
)

ARCSEC = 1 / 3600


def pairs(links):
    return {tuple(pair) for pair in links.tolist()}


def test_entries_within_the_radius_are_pairs_also_across_zero_and_near_the_pole():
    places = [
        (150.0, 2.0),
        (150.0, 2.0 + 1.9 * ARCSEC),
        (150.0, 2.0 + 4.0 * ARCSEC),
        (359.9999, 0.0),
        (0.0001, 0.0),  # 0.72 arcseconds further on
        (10.0, 89.9999),
        (190.0, 89.9999),  # over the pole, 0.72 arcseconds
        (np.nan, np.nan),
        (np.nan, np.nan),
    ]
    ra, dec = (np.array(column) for column in zip(*places, strict=True))
    links = match_positions(ra, dec, radius_arcsec=2.0)
    assert pairs(links) == {(0, 1), (3, 4), (5, 6)}
    apart = measure_separations(links, ra_degrees=ra, dec_degrees=dec)
    assert dict(zip(map(tuple, links.tolist()), apart.round(3), strict=True)) == {
        (0, 1): 1.9,
        (3, 4): 0.72,
        (5, 6): 0.72,
    }
    assert np.isnan(measure_separations(np.array([[0, 7]]), ra_degrees=ra, dec_degrees=dec)).all()


def test_right_ascension_shrinks_with_declination():
    # 3 arcseconds of right ascension are 1.5 on the sky at 60 degrees, and 3 at the equator.
    ra = np.array([10.0, 10.0 + 3 * ARCSEC, 10.0, 10.0 + 3 * ARCSEC])
    dec = np.array([60.0, 60.0, 0.0, 0.0])
    assert pairs(match_positions(ra, dec, radius_arcsec=2.0)) == {(0, 1)}


def test_equal_texts_are_chained_and_nothing_equals_nothing():
    values = pa.array(["a", None, "b", "a", "", "", None, "a"])
    assert pairs(link_equals(values)) == {(0, 3), (3, 7)}
    assert pairs(link_equals(pa.chunked_array([values.slice(0, 3), values.slice(3)]))) == {
        (0, 3),
        (3, 7),
    }
    assert pairs(link_equals(pa.array([], pa.string()))) == set()
    assert pairs(link_equals(pa.array([None, ""], pa.string()))) == set()


def test_an_id_of_several_places_ties_nobody_whatever_the_order():
    ids = pa.array(["X", "X", "X", "Y", "Y", "Z", "Z"])
    ra = np.array([10.0, np.nan, 50.0, 20.0, np.nan, 30.0, 30.0 + 0.5 * ARCSEC])
    for order in ([0, 1, 2, 3, 4, 5, 6], [2, 1, 0, 4, 3, 6, 5], [1, 0, 2, 6, 5, 4, 3]):
        places = ra[order]
        links = link_ids(
            ids.take(pa.array(order)),
            ra_degrees=places,
            dec_degrees=np.where(np.isnan(places), np.nan, 0.0),
            radius_arcsec=2.0,
        )
        tied = {frozenset((order[a], order[b])) for a, b in links.tolist()}
        assert tied == {frozenset((3, 4)), frozenset((5, 6))}


def test_links_of_several_kinds_make_one_group():
    groups = group_linked(6, [np.array([[0, 1]]), np.array([[1, 4]]), np.array([[2, 3]])])
    assert groups[0] == groups[1] == groups[4]
    assert groups[2] == groups[3]
    assert len(set(groups.tolist())) == 3
    assert group_linked(3, []).tolist() == [0, 1, 2]


def test_a_place_that_many_share_is_chained_with_all_that_is_near_it():
    places = [(20.0, 5.0), *[(10.0, 0.0)] * 5000, (10.0, ARCSEC), (np.nan, 0.0), (20.0, 5.0)]
    ra, dec = (np.array(column) for column in zip(*places, strict=True))
    links = chain_places(ra, dec, radius_arcsec=2.0)
    assert len(links) == 5001
    assert (links[:, 0] < links[:, 1]).all()
    groups = group_linked(len(ra), [links])
    assert set(groups[1:5002]) == {groups[1]}
    assert groups[0] == groups[-1] != groups[1]
    assert groups[5002] not in (groups[0], groups[1])
    counts = count_places(ra, dec)
    assert counts[[0, 1, 5001, 5002, 5003]].tolist() == [2, 5000, 1, 0, 2]


def test_a_crowd_is_many_and_a_large_share():
    few, many = MOST_COPIES, MOST_COPIES + 1
    assert not is_crowd(np.full(few, few)).any()
    assert is_crowd(np.full(many, many)).all()
    total = round(many / LARGEST_SHARE)
    copies = np.zeros(total, dtype=np.int64)
    copies[:many] = many
    assert not is_crowd(copies).any()
    assert is_crowd(copies[:-1]).sum() == many
