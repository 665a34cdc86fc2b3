import pytest

from galaxy_tasks.formatting import (
    format_bytes,
    format_duration,
    format_millions,
    format_p_value,
    format_signed,
)


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        *((4.25, "4.2 s"), (9.97, "10 s"), (45, "45 s"), (59.7, "1 min 00 s")),
        *((125, "2 min 05 s"), (3599.6, "1 h 00 min"), (11_100, "3 h 05 min")),
    ],
)
def test_a_duration_has_its_two_largest_units(duration_s, expected):
    assert format_duration(duration_s) == expected


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (3.4e9, "3.4 GB")],
)
def test_a_size_has_decimal_units(size_bytes, expected):
    assert format_bytes(size_bytes) == expected


def test_a_small_count_of_parameters_stands_in_full():
    assert [format_millions(count) for count in (23_500_000, 99_999)] == ["23.5 M", "99,999"]


def test_a_p_value_is_never_written_as_nothing():
    assert [format_p_value(p) for p in (0.5, 0.0124, 0.001, 1e-9)] == [
        *("0.500", "0.012", "0.001", "< 0.001")
    ]


def test_a_difference_has_a_true_sign_and_none_where_it_is_nothing():
    differences = (0.0123, -0.0123, 0.0004, -0.0004, 0)
    assert [format_signed(one) for one in differences] == [
        *("+0.012", "−0.012", "0.000", "0.000", "0.000")
    ]
    assert format_signed(-0.0004, 4) == "−0.0004"
