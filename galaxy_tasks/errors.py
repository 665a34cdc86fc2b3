"""What can go wrong, as a tree: whoever catches an error decides by it whether a retry can help.

GalaxyMorphologyError
├── InputError     the data or the settings are wrong: a retry cannot help
└── ResourceError  the machine ran out of something (memory, disk, a lock): a retry may help

Between processes an error travels as an exit code (EX_DATAERR and EX_TEMPFAIL of sysexits.h).
"""

from typing import ClassVar


class GalaxyMorphologyError(Exception):
    """Base of the errors that this package raises on purpose."""

    exit_code: ClassVar[int] = 1


class InputError(GalaxyMorphologyError, ValueError):
    """The data or the settings are wrong: says what, what was expected and what was received."""

    exit_code: ClassVar[int] = 65


class ResourceError(GalaxyMorphologyError, RuntimeError):
    """The machine ran out of something that a later attempt may find."""

    exit_code: ClassVar[int] = 75


def show(text: object) -> str:
    """Return the text for a message or a log: as it is, or quoted where it is not printable."""
    return str(text) if str(text).isprintable() else repr(str(text))
