"""The Galaxy Zoo releases this package can read; a new one is one file and one line here."""

from galaxy_tasks.releases.class_table import CLASS_TABLE
from galaxy_tasks.releases.galaxy_zoo_1 import GALAXY_ZOO_1
from galaxy_tasks.releases.galaxy_zoo_2 import GALAXY_ZOO_2
from galaxy_tasks.releases.galaxy_zoo_challenge import GALAXY_ZOO_CHALLENGE
from galaxy_tasks.releases.rules import Release
from galaxy_tasks.releases.simulated import SIMULATED

RELEASES: dict[str, Release] = {
    release.name: release
    for release in (SIMULATED, GALAXY_ZOO_CHALLENGE, GALAXY_ZOO_2, GALAXY_ZOO_1, CLASS_TABLE)
}
"""The releases by the name that RunConfig.release takes."""
