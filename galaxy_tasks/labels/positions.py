"""Read positions on the sky, in the spellings that surveys, programs and people use.

Degrees are decimal (150.25, 150.25°) or sexagesimal (±dd:mm:ss); hours of right ascension are
sexagesimal (hh:mm:ss) or decimal with an h. Units are separated by colons, white space, or their
marks: h m s, d m s, ° ' ". Without a mark, sexagesimal right ascension is in hours.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from galaxy_tasks.labels.cells import CellCheck

RA, DEC = "ra", "dec"
"""Columns of the positions, as text or numbers."""

_RA_DEGREES, _DEC_DEGREES = "ra as degrees", "dec as degrees"
_DEGREE_MARKS, _HOUR_MARKS = "d|deg|degrees?|[°º]", "h|hours?|ʰ"
_MINUTE_MARKS, _SECOND_MARKS = "m|min|ᵐ|['′’]", "s|sec|ˢ|[\"″”]|''|′′|’’"
# Sign, number and mark; groups 1 to 3.
_DECIMAL = rf"(?iU)^([+-]?)\s*(\d+(?:\.\d*)?)\s*({_HOUR_MARKS}|{_DEGREE_MARKS})$"
# Sign, degrees or hours, mark, minutes, seconds; groups 1 to 5.
_SEXAGESIMAL = (
    rf"(?iU)^([+-]?)\s*(\d{{1,3}})\s*({_HOUR_MARKS}|{_DEGREE_MARKS}|:|\s)\s*"
    rf"([0-5]?\d(?:\.\d*)?)\s*(?:{_MINUTE_MARKS}|(?:{_MINUTE_MARKS}|:|\s)\s*"
    rf"((?:[0-5]?\d(?:\.\d*)?)|60(?:\.0*)?)\s*(?:{_SECOND_MARKS})?)?$"
)
_PARTS = {_DECIMAL: "$1;$2;$3", _SEXAGESIMAL: "$1;$2;$3;$4;$5"}


def parse_positions(rows: DataFrame) -> DataFrame:
    """Return the rows with their position parsed into degrees beside it.

    What is absent or cannot be read is null. Each coordinate is parsed once, not in every
    expression that uses it, and only what is no plain number is held against the other spellings.

    Args:
        rows: with the columns ra and dec; some count right ascension from -180 to 180 degrees.
    """
    ra, dec = F.col(_RA_DEGREES), F.col(_DEC_DEGREES)
    return rows.withColumns(
        {_RA_DEGREES: _parse(RA, degrees_per_hour=15), _DEC_DEGREES: _parse(DEC)}
    ).withColumns(
        {
            _RA_DEGREES: F.when(ra.between(0, 360), ra).when(ra.between(-180, 0), ra + 360),
            _DEC_DEGREES: F.when(dec.between(-90, 90), dec),
        }
    )


def degrees() -> tuple[Column, Column]:
    """Return right ascension and declination of rows from `parse_positions`: both, or both null."""
    ra, dec = F.col(_RA_DEGREES), F.col(_DEC_DEGREES)
    return F.when(dec.isNotNull(), ra), F.when(ra.isNotNull(), dec)


def check_positions() -> tuple[CellCheck, CellCheck]:
    """Return what is wrong with the position of rows from `parse_positions`.

    Both coordinates may be absent; one of them may not.
    """
    ra, dec = F.col(RA), F.col(DEC)
    return (
        CellCheck(
            column=RA,
            is_missing=ra.isNull() & dec.isNotNull(),
            is_unreadable=ra.isNotNull() & F.col(_RA_DEGREES).isNull(),
            expected="degrees from 0 to 360 or -180 to 180 (150.25), or hours (10:01:00, "
            "10 01 00, 10h01m00s)",
        ),
        CellCheck(
            column=DEC,
            is_missing=dec.isNull() & ra.isNotNull(),
            is_unreadable=dec.isNotNull() & F.col(_DEC_DEGREES).isNull(),
            expected="degrees from -90 to 90 (-2.5, -02:30:00, -02 30 00, -02°30'00\")",
        ),
    )


def _parse(name: str, *, degrees_per_hour: int | None = None) -> Column:
    """Return a coordinate in degrees, of any size; null for what is no coordinate."""
    text = F.col(name).cast("string")
    sexagesimal = _scale(text, _SEXAGESIMAL, degrees_per_hour)
    decimal = _scale(text, _DECIMAL, degrees_per_hour)
    other = F.when(text.rlike(_SEXAGESIMAL), sexagesimal).when(text.rlike(_DECIMAL), decimal)
    number = F.col(name).try_cast("double")
    return F.when(number.isNotNull(), number).otherwise(other)


def _scale(text: Column, spelling: str, degrees_per_hour: int | None) -> Column:
    """Return the degrees of a text that has this spelling."""
    parts = F.split(F.regexp_replace(text, spelling, _PARTS[spelling]), ";")
    sign, number, mark = (F.get(parts, F.lit(n)) for n in range(3))
    minutes, seconds = (
        F.coalesce(F.get(parts, F.lit(n)).try_cast("double"), F.lit(0.0)) for n in (3, 4)
    )
    size = number.try_cast("double") + minutes / 60 + seconds / 3600
    if degrees_per_hour is None:
        size = F.when(~mark.rlike(rf"(?i)^({_HOUR_MARKS})$"), size)
    else:
        is_in_degrees = mark.rlike(rf"(?i)^({_DEGREE_MARKS})$")
        size = F.when(is_in_degrees, size).otherwise(size * degrees_per_hour)
    # The sign is apart: the number of '-00:30:00' has lost it.
    return F.when(sign == "-", -size).otherwise(size)
