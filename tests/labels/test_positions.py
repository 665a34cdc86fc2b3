"""Positions are read as people write them, and what cannot be read is told from what is absent."""

import pytest
from fixtures.label_inputs import make_rows

from galaxy_tasks.labels import positions, vote_rules
from galaxy_tasks.releases.schema import GivenScheme

DEGREE, PRIME, DOUBLE_PRIME = "\u00b0", "\u2032", "\u2033"
RIGHT_ASCENSIONS = {
    "150.5": 150.5,
    "+1.505e2": 150.5,
    "-170": 190.0,
    "0": 0.0,
    "360": 360.0,
    f"150.5{DEGREE}": 150.5,
    "150.5 deg": 150.5,
    "10.5h": 157.5,
    "10:02:00.00": 150.5,
    "10 02 00": 150.5,
    "10:02": 150.5,
    "10h02m00.0s": 150.5,
    "10h 02m": 150.5,
    "10\u02b002\u1d5000\u02e2": 150.5,
    "10:01:60": 150.5,
    f"150{DEGREE}30{PRIME}00{DOUBLE_PRIME}": 150.5,
    "150d30m00s": 150.5,
    "150:30:00": None,  # too many hours
    "10:62:00": None,
    "10:0200": None,
    "361": None,
    "-999": None,
    "Infinity": None,
    "1.505,0": None,
    "10:02:00 +02:00:00": None,
}
DECLINATIONS = {
    "-0.5": -0.5,
    "-00:30:00": -0.5,
    "+00 30 00.0": 0.5,
    "- 0 30 00": -0.5,
    f"-0{DEGREE}30'00.0\"": -0.5,
    "-00d30m00s": -0.5,
    f"89{DEGREE}": 89.0,
    "-89:59:60": -90.0,
    "0h30m": None,
    "90:00:01": None,
    "-9999": None,
    "south": None,
}


def read(spark, cells):
    """Return for each (ra, dec) its position, or the reason and detail where there is none."""
    rows = [(f"{n}", "spiral", *position) for n, position in enumerate(cells)]
    frame = make_rows(spark, ("galaxy_id", "class", "ra", "dec"), rows)
    found = vote_rules.label_rows(
        frame, GivenScheme(column="class"), minimum_votes=0, ignored_classes=()
    ).collect()
    return [
        (row["reason"], row["detail"]) if row["reason"] else (row["ra_degrees"], row["dec_degrees"])
        for row in sorted(found, key=lambda row: int(row["galaxy_id"]))
    ]


@pytest.mark.parametrize(
    ("place", "expected"), [(0, RIGHT_ASCENSIONS), (1, DECLINATIONS)], ids=["ra", "dec"]
)
def test_a_position_is_read_in_every_spelling_or_quarantined_with_its_value(spark, place, expected):
    found = read(spark, [("10", text)[:: 1 if place else -1] for text in expected])
    name = (positions.RA, positions.DEC)[place]
    for text, result in zip(expected, found, strict=True):
        if expected[text] is None:
            assert result == ("unreadable", f"{name}={text}")
        else:
            assert (text, result[place]) == (text, pytest.approx(expected[text], abs=1e-9))


def test_an_absent_position_is_no_fault_and_half_of_one_is(spark):
    assert read(spark, [(None, None), ("10", None), (None, "x")]) == [
        (None, None),
        ("missing_value", "dec is empty"),
        ("unreadable", "dec=x"),
    ]
