"""The table that `predict` writes: its columns, and how it is told from a catalogue by them."""

import re
from collections.abc import Sequence

FIRST = ("id", "path", "ra", "dec", "class")
LAST = ("prediction_set", "entropy", "distance", "is_unlike", "refused")
_PROBABILITY = "p_"
SET_SEPARATOR = "|"
"""Between the classes of a prediction set."""


def name_columns(classes: Sequence[str], answers: Sequence[str] = ()) -> list[str]:
    """Return the columns of the table of a model's predictions, in order.

    `class` is the network's choice, p_… are calibrated probabilities, and `prediction_set` has the
    classes that the true one is among with a stated probability; see `prediction.calibration`.
    `answers` are those of a model that has learned votes; see `name_fractions`.
    """
    return [*FIRST, *name_probabilities(classes), *name_fractions(answers), *LAST]


def name_fractions(answers: Sequence[str]) -> list[str]:
    """Return three columns for each answer: its expected share, and the bounds of that."""
    return [f"f_{name}{bound}" for name in answers for bound in ("", "_low", "_high")]


def name_probabilities(classes: Sequence[str]) -> list[str]:
    """Return the column of each class's probability, of letters, digits and underscores alone.

    FITS and VOTable have no other names; classes that become alike are numbered.
    """
    names = [_PROBABILITY + re.sub(r"[^0-9A-Za-z]", "_", name) for name in classes]
    is_unique = len({name.casefold() for name in names}) == len(names)
    return names if is_unique else [f"{name}_{n}" for n, name in enumerate(names, start=1)]


def is_prediction_table(columns: Sequence[str]) -> bool:
    """Return whether a table of these columns was written by `predict`."""
    is_whole = tuple(columns[: len(FIRST)]) == FIRST and set(LAST) <= set(columns)
    return is_whole and any(name.startswith(_PROBABILITY) for name in columns)
