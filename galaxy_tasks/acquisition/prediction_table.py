"""The table that `predict` writes: its columns, and how it is told from a catalogue by them."""

from collections.abc import Iterable, Sequence

FIRST = ("id", "path", "ra", "dec", "class")
LAST = ("prediction_set", "entropy", "distance", "is_unlike", "refused")
PROBABILITY = "p_"
SET_SEPARATOR = "|"
"""Between the classes of a prediction set."""


def name_columns(classes: Iterable[str]) -> list[str]:
    """Return the columns of the table of a model's predictions, in order.

    `class` is the network's choice, p_… are calibrated probabilities, and `prediction_set` has the
    classes that the true one is among with a stated probability; see `prediction.calibration`.
    """
    return [*FIRST, *(PROBABILITY + name for name in classes), *LAST]


def is_prediction_table(columns: Sequence[str]) -> bool:
    """Return whether a table of these columns was written by `predict`."""
    is_whole = tuple(columns[: len(FIRST)]) == FIRST and set(LAST) <= set(columns)
    return is_whole and any(name.startswith(PROBABILITY) for name in columns)
