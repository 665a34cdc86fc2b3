"""The five classes that Galaxy Zoo 2 and later releases share, as clean samples of their votes.

Releases whose own papers give no clean samples use the thresholds of Willett et al. 2013 (MNRAS
435, 2835), Table 3, so that a class means the same in all of them: what the answers before a
question must reach before its answers count, for at least 20 votes.

GZ DECaLS, DESI and Euclid share the questions of Walmsley et al. 2022 (MNRAS 509, 3966), figure 4,
and columns named `{question}_{answer}_fraction`. A fraction is blank where the question was not
asked (DECaLS), or where less than half of the volunteers would have been asked (the friendly
catalogue of DESI).
"""

from collections.abc import Mapping

from galaxy_tasks.releases.morphology import Morphology
from galaxy_tasks.releases.questions import Answer, name_answers
from galaxy_tasks.releases.schema import BranchCriterion, Criterion, LabelRule, VoteScheme

BEFORE_ROUNDED = 0.469
"""Smooth, before question 07 of Galaxy Zoo 2. Willett et al. 2013, Table 3."""
BEFORE_EDGE_ON = 0.430
"""Features or disk, before question 02. Willett et al. 2013, Table 3."""
BEFORE_BULGE_SHAPE = 0.602
"""Edge-on, before question 09. Willett et al. 2013, Table 3."""
BEFORE_SPIRAL = 0.715
"""Not edge-on, before question 04. Willett et al. 2013, Table 3."""
BEFORE_ARMS = 0.619
"""Spiral, before questions 10 and 11. Willett et al. 2013, Table 3."""
MAJORITY = 0.50
"""How round: the majority, as in the five classes of Zhu et al. 2019 (Ap&SS 364, 55)."""
NOT_CLUMPY = 0.30
"""Not clumpy, before the disk. Simmons et al. 2017 (MNRAS 464, 4420), Table 3: f_notclumpy."""

YES_NO = {"yes": "yes", "no": "no"}
WINDINGS = {"tight": "tight", "medium": "medium", "loose": "loose"}
EDGE_ON_BULGES = {"boxy": "boxy", "none": "none", "rounded": "rounded"}
ARM_COUNTS = {"1": "1", "2": "2", "3": "3", "4": "4", "more-than-4": "more_than_4"}


def make_clean5(
    *,
    smooth: Criterion,
    featured: Criterion,
    edge_on: Criterion,
    not_edge_on: Criterion,
    spiral: Criterion,
    completely_round: Criterion,
    in_between: Criterion,
    cigar_shaped: Criterion,
    not_clumpy: Criterion | None = None,
) -> VoteScheme:
    """Return the five clean samples of Willett et al. 2013, from a release's own criteria.

    A morphology requires the answers that lead to it through the decision tree, including
    `not_clumpy` where the tree asks about clumps between features and disk.
    """
    disk = (featured,) if not_clumpy is None else (featured, not_clumpy)
    return VoteScheme(
        rules=(
            LabelRule(
                morphology=Morphology.COMPLETELY_ROUND_SMOOTH, criteria=(smooth, completely_round)
            ),
            LabelRule(morphology=Morphology.IN_BETWEEN_SMOOTH, criteria=(smooth, in_between)),
            LabelRule(morphology=Morphology.CIGAR_SHAPED_SMOOTH, criteria=(smooth, cigar_shaped)),
            LabelRule(morphology=Morphology.EDGE_ON, criteria=(*disk, edge_on)),
            LabelRule(morphology=Morphology.SPIRAL, criteria=(*disk, not_edge_on, spiral)),
        )
    )


def make_modern_tree(
    *, artifact: str = "artifact", more: Mapping[str, tuple[str, Mapping[str, str]]] | None = None
) -> dict[str, Answer]:
    """Return the canonical answers by column stem, for the questions asked since GZD-5.

    Args:
        artifact: the release's word for an object that is no galaxy.
        more: further questions, in the form that `name_answers` takes.
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
        count_suffix: ends the name of the column that counts a question's volunteers; empty where
            there is no such column, as in predictions.
    """

    def answer(kind: type[Criterion], question: str, name: str, minimum: float) -> Criterion:
        counts = (f"{question}{count_suffix}",) if count_suffix else ()
        return kind(column=f"{question}_{name}_fraction", minimum=minimum, vote_columns=counts)

    return make_clean5(
        smooth=answer(Criterion, "smooth-or-featured", "smooth", BEFORE_ROUNDED),
        featured=answer(Criterion, "smooth-or-featured", "featured-or-disk", BEFORE_EDGE_ON),
        edge_on=answer(BranchCriterion, "disk-edge-on", "yes", BEFORE_BULGE_SHAPE),
        not_edge_on=answer(BranchCriterion, "disk-edge-on", "no", BEFORE_SPIRAL),
        spiral=answer(BranchCriterion, "has-spiral-arms", "yes", BEFORE_ARMS),
        completely_round=answer(BranchCriterion, "how-rounded", "round", MAJORITY),
        in_between=answer(BranchCriterion, "how-rounded", "in-between", MAJORITY),
        cigar_shaped=answer(BranchCriterion, "how-rounded", "cigar-shaped", MAJORITY),
    )
