"""Galaxy Zoo 1 (Lintott et al. 2011, MNRAS 410, 166), Table 2: galaxies with spectra, debiased.

Its volunteers answered one question, so it does not have the five classes of Galaxy Zoo 2. No
images are published with it: put SDSS cutouts named by OBJID into `images`.
"""

from galaxy_tasks.releases.morphology import Morphology
from galaxy_tasks.releases.questions import Answer
from galaxy_tasks.releases.schema import (
    Criterion,
    LabelRule,
    PublishedFile,
    Release,
    VoteKind,
    VoteScheme,
)

# Lintott et al. 2011, Table 2: a galaxy with 80 per cent of the debiased vote is flagged elliptical
# or spiral (the clean sample), any other uncertain. P_CS combines all spirals: clockwise,
# anticlockwise and edge-on.
CLEAN_FRACTION = 0.8
ANSWERED = ("NVOTE",)
TYPES = {
    "P_EL": "elliptical",
    "P_CS": "spiral",
    "P_CW": "spiral_clockwise",
    "P_ACW": "spiral_anticlockwise",
    "P_EDGE": "edge_on",
    "P_DK": "dont_know",
    "P_MG": "merger",
}
CATALOGUE = "GalaxyZoo1_DR_table2.csv.gz"

GALAXY_ZOO_1 = Release(
    name="galaxy_zoo_1",
    reference="https://doi.org/10.1111/j.1365-2966.2010.17432.x",
    catalogue_names=("GalaxyZoo1_DR_table2.csv", "GalaxyZoo1_DR_table2.csv.gz"),
    images_folders=("images",),
    image_name_pattern="",
    id_columns=("OBJID", "dr7objid"),
    schemes={
        "clean5": VoteScheme(
            rules=(
                LabelRule(
                    morphology=Morphology.ELLIPTICAL,
                    criteria=(
                        Criterion(
                            column="P_EL_DEBIASED", minimum=CLEAN_FRACTION, vote_columns=ANSWERED
                        ),
                    ),
                ),
                LabelRule(
                    morphology=Morphology.SPIRAL,
                    criteria=(
                        Criterion(
                            column="P_CS_DEBIASED", minimum=CLEAN_FRACTION, vote_columns=ANSWERED
                        ),
                    ),
                ),
            )
        )
    },
    # No licence: data.galaxyzoo.org asks to cite the paper and names none.
    citation="Lintott et al. 2011, MNRAS 410, 166, Table 2",
    files=(
        PublishedFile(
            name=CATALOGUE,
            addresses=(
                f"https://galaxy-zoo-1.s3.amazonaws.com/{CATALOGUE}",
                f"https://data.galaxyzoo.org/data/gz1/{CATALOGUE}",
            ),
            size_mb=20.4,
        ),
    ),
    votes=VoteKind(weighting="debiased", base="cumulative"),
    rows=667_944,
    image_source=(
        "None are published. Fetch SDSS cutouts by position and put them into 'images', named "
        "{OBJID}.jpg."
    ),
    trees=({own: Answer(question="type", answer=name) for own, name in TYPES.items()},),
    fraction_suffixes=("", "_DEBIASED"),
)
