"""The simulated release: drawn galaxies of known morphology, in the challenge's own format."""

from dataclasses import replace

from galaxy_tasks.releases.catalogues.galaxy_zoo_challenge import GALAXY_ZOO_CHALLENGE

SIMULATED = replace(
    GALAXY_ZOO_CHALLENGE,
    name="simulated",
    reference="galaxy_tasks.simulation",
    same_galaxies_as=(),
    citation="galaxy_tasks.simulation",
    files=(),
    rows=None,
    image_source="{GalaxyID}.jpg, drawn beside its votes.",
)
