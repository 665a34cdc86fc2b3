"""Galaxy Zoo Hubble (Willett et al. 2017, MNRAS 464, 4176), Table 4: the main sample.

The first question is read from its `best_fraction`, as the column's description recommends: the
debiased fraction where a galaxy could be corrected, a limit where only that is known, and elsewhere
the fraction weighted by the volunteers' consistency. The other questions have no such column; their
weighted fractions are read.

Thresholds are those of Galaxy Zoo 2, since the questions are the same. The table's own flags of
clean samples are not used: all three concern the answer to the first question (smooth, features,
artifact), while a class here requires the answers that lead to later questions, at a level that
means the same in every release. Volunteers who see features are asked about clumps first; questions
about a disk count where at least 0.30 see no clumps.

One position can have several ids (artificial nuclei added to one galaxy): the split by position
keeps them together.
"""

from galaxy_tasks.releases import clean_samples
from galaxy_tasks.releases.ballots import Ballot, make_questions
from galaxy_tasks.releases.clean_samples import make_clean5
from galaxy_tasks.releases.questions import name_answers
from galaxy_tasks.releases.schema import (
    BranchCriterion,
    Criterion,
    PublishedFile,
    Release,
    VoteKind,
)

YES_NO = {"a01_yes": "yes", "a02_no": "no"}
FIRST = "t01_smooth_or_features"
ADDRESS = "https://zooniverse-data.s3.amazonaws.com/galaxy-zoo-hubble"


def _first(name: str, minimum: float) -> Criterion:
    return Criterion(
        column=f"{FIRST}_{name}_best_fraction",
        minimum=minimum,
        vote_columns=(f"{FIRST}_total_count",),
    )


def _answer(question: str, name: str, minimum: float) -> Criterion:
    return BranchCriterion(
        column=f"{question}_{name}_weighted_fraction",
        minimum=minimum,
        vote_columns=(f"{question}_total_count",),
    )


CLEAN5 = make_clean5(
    smooth=_first("a01_smooth", clean_samples.BEFORE_ROUNDED),
    featured=_first("a02_features_or_disk", clean_samples.BEFORE_EDGE_ON),
    not_clumpy=_answer("t12_clumpy", "a02_no", clean_samples.NOT_CLUMPY),
    edge_on=_answer("t02_edgeon", "a01_yes", clean_samples.BEFORE_BULGE_SHAPE),
    not_edge_on=_answer("t02_edgeon", "a02_no", clean_samples.BEFORE_SPIRAL),
    spiral=_answer("t04_spiral", "a01_spiral", clean_samples.BEFORE_ARMS),
    completely_round=_answer("t07_rounded", "a01_completely_round", clean_samples.MAJORITY),
    in_between=_answer("t07_rounded", "a02_in_between", clean_samples.MAJORITY),
    cigar_shaped=_answer("t07_rounded", "a03_cigar_shaped", clean_samples.MAJORITY),
)

COUNTS = {
    "a01_1": "1",
    "a02_2": "2",
    "a03_3": "3",
    "a04_4": "4",
    "a05_more_than_4": "more_than_4",
    "a06_cant_tell": "cant_tell",
}
TREE = name_answers(
    {
        FIRST: (
            "smooth_or_featured",
            {
                "a01_smooth": "smooth",
                "a02_features_or_disk": "featured",
                "a03_star_or_artifact": "artifact",
            },
        ),
        "t02_edgeon": ("edge_on", YES_NO),
        "t03_bar": ("bar", {"a01_bar": "yes", "a02_no_bar": "no"}),
        "t04_spiral": ("spiral", {"a01_spiral": "yes", "a02_no_spiral": "no"}),
        "t05_bulge_prominence": (
            "bulge_size",
            {
                "a01_no_bulge": "none",
                "a02_just_noticeable": "just_noticeable",
                "a03_obvious": "obvious",
                "a04_dominant": "dominant",
            },
        ),
        "t06_odd": ("odd", YES_NO),
        "t07_rounded": (
            "roundness",
            {
                "a01_completely_round": "round",
                "a02_in_between": "in_between",
                "a03_cigar_shaped": "cigar",
            },
        ),
        "t08_odd_feature": (
            "odd_feature",
            {
                "a01_ring": "ring",
                "a02_lens_or_arc": "lens_or_arc",
                "a03_disturbed": "disturbed",
                "a04_irregular": "irregular",
                "a05_other": "other",
                "a06_merger": "merger",
                "a07_dust_lane": "dust_lane",
            },
        ),
        "t09_bulge_shape": (
            "edge_on_bulge",
            {"a01_rounded": "rounded", "a02_boxy": "boxy", "a03_no_bulge": "none"},
        ),
        "t10_arms_winding": (
            "winding",
            {"a01_tight": "tight", "a02_medium": "medium", "a03_loose": "loose"},
        ),
        "t11_arms_number": ("arm_count", COUNTS),
        "t12_clumpy": ("clumpy", YES_NO),
        "t13_bright_clump": ("bright_clump", YES_NO),
        "t14_bright_clump_central": ("bright_clump_central", YES_NO),
        "t15_clumps_arrangement": (
            "clump_arrangement",
            {
                "a01_line": "line",
                "a02_chain": "chain",
                "a03_cluster": "cluster",
                "a04_spiral": "spiral",
            },
        ),
        "t16_clumps_count": ("clump_count", COUNTS),
        "t17_clumps_symmetrical": ("symmetrical", YES_NO),
        "t18_clumps_embedded": ("clumps_embedded", YES_NO),
    }
)

GALAXY_ZOO_HUBBLE = Release(
    name="galaxy_zoo_hubble",
    reference="https://doi.org/10.1093/mnras/stw2568",
    catalogue_names=("gz_hubble_main.csv", "gz_hubble_main.csv.gz"),
    images_folders=("images",),
    image_name_pattern="",
    id_columns=("zooniverse_id",),
    schemes={"clean5": CLEAN5},
    # 424 pixels, as all of Galaxy Zoo, at no more than 0.05 arcseconds (Willett et al. 2017, Table
    # 1): 21.2.
    cutout_arcsec=22.0,
    # No licence: data.galaxyzoo.org asks to cite the paper and names none.
    citation="Willett et al. 2017, MNRAS 464, 4176, Table 4",
    files=(
        PublishedFile(
            name="gz_hubble_main.csv.gz", addresses=(f"{ADDRESS}/gz_hubble_main.csv.gz",)
        ),
    ),
    votes=VoteKind(weighting="recommended", base="conditional"),
    rows=113_705,
    image_source=(
        "One by one at zoo-hst.s3.amazonaws.com/{name}.jpg, in no archive, by a name that the "
        "catalogue does not have: put them into 'images' as {zooniverse_id}.jpg."
    ),
    trees=(TREE,),
    fraction_suffixes=("_fraction", "_weighted_fraction", "_debiased_fraction", "_best_fraction"),
    ballots=(
        Ballot(
            questions=make_questions(TREE, suffix="_fraction", total_suffix="_total_count"),
            counted_as="fractions",
        ),
    ),
)
