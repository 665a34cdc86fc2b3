"""The table that `predict` writes: its columns, and how it is told from a catalogue by them."""

from collections.abc import Iterable, Sequence

_FIRST, _LAST = ("id", "path", "class"), ("trained_on", "rejected")
_PROBABILITY = "p_"


def name_columns(classes: Iterable[str]) -> list[str]:
    """Return the columns of the table of a model's predictions, in order."""
    return [*_FIRST, *(_PROBABILITY + name for name in classes), *_LAST]


def is_prediction_table(columns: Sequence[str]) -> bool:
    """Return whether a table of these columns was written by `predict`."""
    is_whole = tuple(columns[: len(_FIRST)]) == _FIRST and set(_LAST) <= set(columns)
    return is_whole and any(name.startswith(_PROBABILITY) for name in columns)
