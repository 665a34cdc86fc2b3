"""The Galaxy Zoo releases this package can read; a new one is one file and one line here."""

from galaxy_tasks.releases.class_table import CLASS_TABLE
from galaxy_tasks.releases.galaxy_zoo_1 import GALAXY_ZOO_1
from galaxy_tasks.releases.galaxy_zoo_2 import GALAXY_ZOO_2
from galaxy_tasks.releases.galaxy_zoo_2_main import GALAXY_ZOO_2_MAIN
from galaxy_tasks.releases.galaxy_zoo_candels import GALAXY_ZOO_CANDELS
from galaxy_tasks.releases.galaxy_zoo_challenge import GALAXY_ZOO_CHALLENGE
from galaxy_tasks.releases.galaxy_zoo_decals import GALAXY_ZOO_DECALS
from galaxy_tasks.releases.galaxy_zoo_desi import GALAXY_ZOO_DESI
from galaxy_tasks.releases.galaxy_zoo_euclid import GALAXY_ZOO_EUCLID
from galaxy_tasks.releases.galaxy_zoo_hubble import GALAXY_ZOO_HUBBLE
from galaxy_tasks.releases.rules import Release
from galaxy_tasks.releases.simulated import SIMULATED

RELEASES: dict[str, Release] = {
    release.name: release
    for release in (
        SIMULATED,
        GALAXY_ZOO_CHALLENGE,
        GALAXY_ZOO_2,
        GALAXY_ZOO_2_MAIN,
        GALAXY_ZOO_1,
        GALAXY_ZOO_HUBBLE,
        GALAXY_ZOO_CANDELS,
        GALAXY_ZOO_DECALS,
        GALAXY_ZOO_DESI,
        GALAXY_ZOO_EUCLID,
        CLASS_TABLE,
    )
}
"""The releases by the name that RunConfig.release takes."""
