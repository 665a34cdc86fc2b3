"""The Galaxy Zoo challenge (Kaggle, 2013): Galaxy Zoo 2 galaxies with cumulative vote fractions.

In training_solutions_rev1.csv a fraction is multiplied by that of the answer that led to its
question, so that `Class7.1` is the share of all volunteers, not of those asked. The same numbers
as in the Galaxy Zoo 2 catalogue are therefore harder to reach, and classes come out smaller.
"""

from collections import Counter
from collections.abc import Mapping

from galaxy_tasks.releases.catalogues.galaxy_zoo_2 import TREE as GALAXY_ZOO_2_TREE
from galaxy_tasks.releases.clean_samples import make_clean5
from galaxy_tasks.releases.questions import Answer
from galaxy_tasks.releases.schema import Criterion, PublishedFile, Release, VoteKind

# Willett et al. 2013 (MNRAS 435, 2835), Table 3: what the preceding answers must reach before an
# answer counts, for at least 20 votes. The majority for the answer itself and the reuse of 0.602
# and 0.715 for the edge-on question follow the five classes of Zhu et al. 2019 (Ap&SS 364, 55).
SMOOTH = Criterion(column="Class1.1", minimum=0.469)  # before question 07, rounded
FEATURED = Criterion(column="Class1.2", minimum=0.430)  # before question 02, edge-on
EDGE_ON = Criterion(column="Class2.1", minimum=0.602)  # before question 09, bulge shape
NOT_EDGE_ON = Criterion(column="Class2.2", minimum=0.715)  # before question 04, spiral
SPIRAL = Criterion(column="Class4.1", minimum=0.619)  # before questions 10 and 11, arms
COMPLETELY_ROUND = Criterion(column="Class7.1", minimum=0.50)
IN_BETWEEN = Criterion(column="Class7.2", minimum=0.50)
CIGAR_SHAPED = Criterion(column="Class7.3", minimum=0.50)

CLEAN5 = make_clean5(
    smooth=SMOOTH,
    featured=FEATURED,
    edge_on=EDGE_ON,
    not_edge_on=NOT_EDGE_ON,
    spiral=SPIRAL,
    completely_round=COMPLETELY_ROUND,
    in_between=IN_BETWEEN,
    cigar_shaped=CIGAR_SHAPED,
)


def _number_answers(tree: Mapping[str, Answer]) -> dict[str, Answer]:
    """Name the answers of Galaxy Zoo 2 as the challenge does: question and place in its order."""
    places: Counter[int] = Counter()
    numbered = {}
    for stem, answer in tree.items():
        question = int(stem[1:3])  # t07_rounded_…
        places[question] += 1
        numbered[f"Class{question}.{places[question]}"] = answer
    return numbered


GALAXY_ZOO_CHALLENGE = Release(
    name="galaxy_zoo_challenge",
    reference="https://www.kaggle.com/c/galaxy-zoo-the-galaxy-challenge",
    catalogue_names=("training_solutions_rev1.csv", "training_solutions_rev1.csv.gz"),
    images_folders=("images_training_rev1",),
    image_name_pattern="{id}.jpg",
    id_columns=("GalaxyID",),
    schemes={"clean5": CLEAN5},
    # Galaxy Zoo 2 took the brightest galaxies of SDSS (Willett et al. 2013, section 2), which
    # Galaxy Zoo 1 had before, and DECaLS (Walmsley et al. 2022) and DESI (2023) have in part.
    same_galaxies_as=(
        *("galaxy_zoo_2", "galaxy_zoo_2_main"),
        *("galaxy_zoo_1", "galaxy_zoo_decals", "galaxy_zoo_desi"),
    ),
    # No licence: Kaggle gives the files under the rules of the competition.
    citation="Willett et al. 2013, MNRAS 435, 2835; Kaggle, The Galaxy Challenge, 2013",
    files=(
        PublishedFile(name="training_solutions_rev1.csv", addresses=()),
        PublishedFile(name="images_training_rev1.zip", addresses=(), role="images"),
    ),
    votes=VoteKind(weighting="unstated", base="cumulative"),
    rows=61_578,  # as the winner counts them: Dieleman et al. 2015 (MNRAS 450, 1441)
    image_source=(
        "{GalaxyID}.jpg in images_training_rev1.zip. Kaggle gives it to who has an account and "
        "has accepted the rules: fetch it by hand; 'releases fetch' unpacks it."
    ),
    trees=(_number_answers(GALAXY_ZOO_2_TREE),),
)
