"""The Galaxy Zoo challenge (Kaggle, 2013): Galaxy Zoo 2 galaxies with cumulative vote fractions.

In training_solutions_rev1.csv a fraction is multiplied by that of the answer that led to its
question: `Class7.1` is the share of all volunteers, not of those asked. The thresholds of Galaxy
Zoo 2 are therefore harder to reach, and classes come out smaller.
"""

from collections import Counter
from collections.abc import Mapping

from galaxy_tasks.releases import clean_samples
from galaxy_tasks.releases.ballots import Ballot, make_questions
from galaxy_tasks.releases.catalogues.galaxy_zoo_2 import PARENTS
from galaxy_tasks.releases.catalogues.galaxy_zoo_2 import TREE as GALAXY_ZOO_2_TREE
from galaxy_tasks.releases.clean_samples import make_clean5
from galaxy_tasks.releases.questions import Answer
from galaxy_tasks.releases.schema import Criterion, PublishedFile, Release, VoteKind


def _answer(column: str, minimum: float) -> Criterion:
    return Criterion(column=column, minimum=minimum)


# As in the five classes of Zhu et al. 2019 (Ap&SS 364, 55): each answer needs the majority, or what
# Willett et al. 2013 require before the next question.
CLEAN5 = make_clean5(
    smooth=_answer("Class1.1", clean_samples.BEFORE_ROUNDED),
    featured=_answer("Class1.2", clean_samples.BEFORE_EDGE_ON),
    edge_on=_answer("Class2.1", clean_samples.BEFORE_BULGE_SHAPE),
    not_edge_on=_answer("Class2.2", clean_samples.BEFORE_SPIRAL),
    spiral=_answer("Class4.1", clean_samples.BEFORE_ARMS),
    completely_round=_answer("Class7.1", clean_samples.MAJORITY),
    in_between=_answer("Class7.2", clean_samples.MAJORITY),
    cigar_shaped=_answer("Class7.3", clean_samples.MAJORITY),
)


def _number_answers(tree: Mapping[str, Answer]) -> dict[str, Answer]:
    """Name the answers of Galaxy Zoo 2 as the challenge does, by numbers of question and answer."""
    answers: Counter[int] = Counter()
    numbered = {}
    for stem, answer in tree.items():
        question = int(stem[1:3])  # t07_rounded_…
        answers[question] += 1
        numbered[f"Class{question}.{answers[question]}"] = answer
    return numbered


TREE = _number_answers(GALAXY_ZOO_2_TREE)
VOLUNTEERS = 44.0
"""Volunteers a galaxy, which the table does not give: the mean of Willett et al. 2013."""

GALAXY_ZOO_CHALLENGE = Release(
    name="galaxy_zoo_challenge",
    reference="https://www.kaggle.com/c/galaxy-zoo-the-galaxy-challenge",
    catalogue_names=("training_solutions_rev1.csv", "training_solutions_rev1.csv.gz"),
    images_folders=("images_training_rev1",),
    image_name_pattern="{id}.jpg",
    id_columns=("GalaxyID",),
    schemes={"clean5": CLEAN5},
    # Galaxy Zoo 2 took the brightest galaxies of SDSS (Willett et al. 2013, section 2), all of them
    # in Galaxy Zoo 1, and some in DECaLS (Walmsley et al. 2022) and DESI (2023).
    same_galaxies_as=(
        *("galaxy_zoo_2", "galaxy_zoo_2_main"),
        *("galaxy_zoo_1", "galaxy_zoo_decals", "galaxy_zoo_desi"),
    ),
    # No licence: Kaggle offers the files under the rules of the competition.
    citation="Willett et al. 2013, MNRAS 435, 2835; Kaggle, The Galaxy Challenge, 2013",
    files=(
        PublishedFile(name="training_solutions_rev1.csv", addresses=()),
        PublishedFile(name="images_training_rev1.zip", addresses=(), role="images"),
    ),
    votes=VoteKind(weighting="unstated", base="cumulative"),
    rows=61_578,  # counted by the winner: Dieleman et al. 2015 (MNRAS 450, 1441)
    image_source=(
        "{GalaxyID}.jpg in images_training_rev1.zip. Download it from Kaggle, which requires an "
        "account and acceptance of the rules; 'releases fetch' unpacks it."
    ),
    trees=(TREE,),
    ballots=(
        Ballot(
            questions=make_questions(TREE),
            counted_as="cumulative",
            volunteers=VOLUNTEERS,
            parents=PARENTS,
        ),
    ),
)
