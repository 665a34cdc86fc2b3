"""The Galaxy Zoo releases this package can read.

To add one, write catalogues/NAME.py with the constant NAME in capitals, and list its name here.
"""

from importlib import import_module

from galaxy_tasks.releases.schema import Release

NAMES = (
    "simulated",
    "galaxy_zoo_challenge",
    "galaxy_zoo_2",
    "galaxy_zoo_2_main",
    "galaxy_zoo_1",
    "galaxy_zoo_hubble",
    "galaxy_zoo_candels",
    "galaxy_zoo_decals",
    "galaxy_zoo_desi",
    "galaxy_zoo_euclid",
    "class_table",
)
"""In the order in which the trigger form and the command line show them."""


def _load(name: str) -> Release:
    release = getattr(import_module(f"{__name__}.catalogues.{name}"), name.upper())
    if release.name != name:
        raise ValueError(
            f"catalogues/{name}.py must hold the release {name!r}. Received: {release.name!r}"
        )
    return release


RELEASES: dict[str, Release] = {name: _load(name) for name in NAMES}
"""The releases by the name that RunConfig.release takes."""
