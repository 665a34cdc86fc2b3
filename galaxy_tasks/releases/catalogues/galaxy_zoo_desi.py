"""Galaxy Zoo DESI (Walmsley et al. 2023, MNRAS 526, 4768): 8.67 million predicted vote fractions.

The friendly catalogue (Zenodo 8360385). There are no votes: a network trained on Galaxy Zoo
predicts the share of volunteers for each answer, so a classifier trained on it learns from another
network's opinion. A fraction is blank where less than half of the volunteers would have been asked;
a rule whose question is blank is not met. Without vote counts, `minimum_votes` has no effect.
"""

from galaxy_tasks.releases.clean_samples import make_modern_clean5, make_modern_tree
from galaxy_tasks.releases.schema import PublishedFile, Release, VoteKind

CATALOGUE = "gz_desi_deep_learning_catalog_friendly.parquet"

GALAXY_ZOO_DESI = Release(
    name="galaxy_zoo_desi",
    reference="https://doi.org/10.1093/mnras/stad2919",
    catalogue_names=(CATALOGUE,),
    images_folders=("images",),
    image_name_pattern="",
    id_columns=("dr8_id",),
    schemes={"clean5": make_modern_clean5()},
    citation="Walmsley et al. 2023, MNRAS 526, 4768",
    licence="CC BY 4.0",
    files=(
        PublishedFile(
            name=CATALOGUE,
            addresses=(f"https://zenodo.org/records/8360385/files/{CATALOGUE}",),
            size_mb=658.8,
        ),
    ),
    votes=VoteKind(weighting="predicted", base="conditional"),
    rows=8_670_000,  # the paper's title and abstract: 8.67 million
    image_source=(
        "None are published (about 1 TB). Download cutouts of the Legacy Surveys, Data Release 8, "
        "by position, and put them into 'images' as {dr8_id}.jpg or .png."
    ),
    trees=(make_modern_tree(),),
    fraction_suffixes=("_fraction",),
)
