"""What can go wrong, as a tree: whoever catches an error decides by it whether a retry can help.

GalaxyMorphologyError
├── InputError     the data or the settings are wrong: a retry cannot help
└── ResourceError  the machine ran out of something (memory, disk, a lock): a retry may help

Between processes an error travels as an exit code (EX_DATAERR and EX_TEMPFAIL of sysexits.h).
"""

from typing import ClassVar

_MOST_CHARACTERS, _LAST_CHARACTERS = 4000, 1000


class GalaxyMorphologyError(Exception):
    """Base of the errors that this package raises on purpose; a long message loses its middle."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: object = "", *others: object) -> None:
        """Keep the message, without its middle where it is longer than anybody would read."""
        text = str(message)
        if len(text) > _MOST_CHARACTERS:
            first = text[: _MOST_CHARACTERS - _LAST_CHARACTERS]
            left_out = len(text) - _MOST_CHARACTERS
            text = f"{first} […{left_out:,} characters…] {text[-_LAST_CHARACTERS:]}"
        super().__init__(text, *others)


class InputError(GalaxyMorphologyError, ValueError):
    """The data or the settings are wrong: says what, what was expected and what was received."""

    exit_code: ClassVar[int] = 65


class ResourceError(GalaxyMorphologyError, RuntimeError):
    """The machine ran out of something that a later attempt may find."""

    exit_code: ClassVar[int] = 75


def show(text: object) -> str:
    """Return the text for a message or a log: as it is, or quoted where it is not printable."""
    return str(text) if str(text).isprintable() else repr(str(text))
