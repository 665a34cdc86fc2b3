"""The column names that GZ DECaLS, DESI and Euclid share, and the five classes in them.

Walmsley et al. 2022 (MNRAS 509, 3966), figure 4, shows the questions. Columns are
`{question}_{answer}_fraction`. A fraction is blank where nobody was asked (DECaLS), or where less
than half of the volunteers would have been (the friendly catalogue of DESI).
"""

from collections.abc import Mapping

from galaxy_tasks.releases import thresholds
from galaxy_tasks.releases.clean5 import make_clean5
from galaxy_tasks.releases.rules import BranchCriterion, Criterion, VoteScheme
from galaxy_tasks.releases.vocabulary import Answer, name_answers

YES_NO = {"yes": "yes", "no": "no"}
WINDINGS = {"tight": "tight", "medium": "medium", "loose": "loose"}
EDGE_ON_BULGES = {"boxy": "boxy", "none": "none", "rounded": "rounded"}
ARM_COUNTS = {"1": "1", "2": "2", "3": "3", "4": "4", "more-than-4": "more_than_4"}


def make_modern_tree(
    *, artifact: str = "artifact", more: Mapping[str, tuple[str, Mapping[str, str]]] | None = None
) -> dict[str, Answer]:
    """Return the canonical answers by column stem, of the questions as asked since GZD-5.

    Args:
        artifact: the release's word for what is no galaxy.
        more: questions that it asks beside these, as `name_answers` takes them.
    """
    featured = {"smooth": "smooth", "featured-or-disk": "featured", artifact: "artifact"}
    return name_answers(
        {
            "smooth-or-featured": ("smooth_or_featured", featured),
            "disk-edge-on": ("edge_on", YES_NO),
            "has-spiral-arms": ("spiral", YES_NO),
            "bar": ("bar", {"strong": "strong", "weak": "weak", "no": "no"}),
            "bulge-size": (
                "bulge_size",
                {name: name for name in ("dominant", "large", "moderate", "small", "none")},
            ),
            "how-rounded": (
                "roundness",
                {"round": "round", "in-between": "in_between", "cigar-shaped": "cigar"},
            ),
            "edge-on-bulge": ("edge_on_bulge", EDGE_ON_BULGES),
            "spiral-winding": ("winding", WINDINGS),
            "spiral-arm-count": ("arm_count", {**ARM_COUNTS, "cant-tell": "cant_tell"}),
            "merging": (
                "merging",
                {
                    "none": "none",
                    "minor-disturbance": "minor_disturbance",
                    "major-disturbance": "major_disturbance",
                    "merger": "merger",
                },
            ),
            **(more or {}),
        }
    )


def make_modern_clean5(*, count_suffix: str = "") -> VoteScheme:
    """Return the five clean samples in these columns, by the thresholds of Willett et al. 2013.

    Args:
        count_suffix: what follows a question in the column that counts who answered it; empty:
            there is none, as in predictions.
    """

    def answer(kind: type[Criterion], question: str, name: str, minimum: float) -> Criterion:
        counts = (f"{question}{count_suffix}",) if count_suffix else ()
        return kind(column=f"{question}_{name}_fraction", minimum=minimum, vote_columns=counts)

    return make_clean5(
        smooth=answer(Criterion, "smooth-or-featured", "smooth", thresholds.BEFORE_ROUNDED),
        featured=answer(
            Criterion, "smooth-or-featured", "featured-or-disk", thresholds.BEFORE_EDGE_ON
        ),
        edge_on=answer(BranchCriterion, "disk-edge-on", "yes", thresholds.BEFORE_BULGE_SHAPE),
        not_edge_on=answer(BranchCriterion, "disk-edge-on", "no", thresholds.BEFORE_SPIRAL),
        spiral=answer(BranchCriterion, "has-spiral-arms", "yes", thresholds.BEFORE_ARMS),
        completely_round=answer(BranchCriterion, "how-rounded", "round", thresholds.MAJORITY),
        in_between=answer(BranchCriterion, "how-rounded", "in-between", thresholds.MAJORITY),
        cigar_shaped=answer(BranchCriterion, "how-rounded", "cigar-shaped", thresholds.MAJORITY),
    )
