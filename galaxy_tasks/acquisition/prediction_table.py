"""The table that `predict` writes: its columns, and how it is told from a catalogue by them."""

from collections.abc import Iterable, Sequence

_FIRST, _LAST = ("id", "path", "class"), ("prediction_set", "trained_on", "rejected")
_PROBABILITY = "p_"
SET_SEPARATOR = "|"
"""Between the classes of a prediction set."""


def name_columns(classes: Iterable[str]) -> list[str]:
    """Return the columns of the table of a model's predictions, in order.

    `class` is the network's choice, p_… are calibrated probabilities, and `prediction_set` has the
    classes that the true one is among with a stated probability; see `prediction.calibration`.
    """
    return [*_FIRST, *(_PROBABILITY + name for name in classes), *_LAST]


def is_prediction_table(columns: Sequence[str]) -> bool:
    """Return whether a table of these columns was written by `predict`."""
    is_whole = tuple(columns[: len(_FIRST)]) == _FIRST and set(_LAST) <= set(columns)
    return is_whole and any(name.startswith(_PROBABILITY) for name in columns)
