"""Galaxy Zoo 2 as first published: the main sample with spectra of Willett et al. 2013, Table 5.

The catalogue zoo2MainSpecz.csv has the columns, the images and nearly all galaxies of
`galaxy_zoo_2`, but fractions debiased by the older method. Its publishers recommend the newer
catalogue (Hart et al. 2016); this one is for reproducing older work.
"""

from dataclasses import replace

from galaxy_tasks.releases.catalogues.galaxy_zoo_2 import GALAXY_ZOO_2, IMAGE_FILES
from galaxy_tasks.releases.schema import PublishedFile

GALAXY_ZOO_2_MAIN = replace(
    GALAXY_ZOO_2,
    name="galaxy_zoo_2_main",
    reference="https://doi.org/10.1093/mnras/stt1458",
    catalogue_names=("zoo2MainSpecz.csv", "zoo2MainSpecz.csv.gz"),
    citation="Willett et al. 2013, MNRAS 435, 2835, Table 5",
    files=(
        PublishedFile(
            name="zoo2MainSpecz.csv.gz",
            addresses=(
                "https://zooniverse-data.s3.amazonaws.com/galaxy-zoo-2/zoo2MainSpecz.csv.gz",
            ),
        ),
        *IMAGE_FILES,
    ),
    rows=243_500,
)
