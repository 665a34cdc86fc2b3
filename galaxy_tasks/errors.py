"""What can go wrong, as a tree: whoever catches an error decides by it whether a retry can help.

GalaxyMorphologyError
├── InputError     the data or the settings are wrong: a retry cannot help
└── ResourceError  the machine ran out of something (memory, disk, a lock): a retry may help
"""


class GalaxyMorphologyError(Exception):
    """Base of the errors that this package raises on purpose."""


class InputError(GalaxyMorphologyError, ValueError):
    """The data or the settings are wrong: says what, what was expected and what was received."""


class ResourceError(GalaxyMorphologyError, RuntimeError):
    """The machine ran out of something that a later attempt may find."""
