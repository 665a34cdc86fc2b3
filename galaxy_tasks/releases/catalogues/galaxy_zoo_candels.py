"""Galaxy Zoo CANDELS (Simmons et al. 2017, MNRAS 464, 4420), Table 2: 49,555 distant galaxies.

The classes follow the release's own clean samples (its Table 3, and the description of Table 2's
columns `clean_*`); the majority decides how round a smooth galaxy is. Fractions are raw: the
description does not say whether the paper's are weighted. The paper requires more than 0.7 and 10
votes where this requires 0.7 and `minimum_votes`. Volunteers who see features are asked about
clumps first.
"""

from galaxy_tasks.releases.ballots import Ballot, make_questions
from galaxy_tasks.releases.clean_samples import MAJORITY, NOT_CLUMPY, make_clean5
from galaxy_tasks.releases.questions import name_answers
from galaxy_tasks.releases.schema import (
    BranchCriterion,
    Criterion,
    PublishedFile,
    Release,
    VoteKind,
)

YES_NO = {"a0_yes": "yes", "a1_no": "no"}
FIRST = "t00_smooth_or_featured"
CATALOGUE = "gz_candels_table_2_main_release"
ADDRESS = "https://zooniverse-data.s3.amazonaws.com/galaxy-zoo-candels"


def _answer(
    question: str, name: str, minimum: float, *, kind: type[Criterion] = BranchCriterion
) -> Criterion:
    return kind(
        column=f"{question}_{name}_frac", minimum=minimum, vote_columns=(f"{question}_count",)
    )


# Simmons et al. 2017, Table 3, as the columns of Table 2 are described: clean_smooth,
# clean_edge_on and clean_spiral.
CLEAN5 = make_clean5(
    smooth=_answer(FIRST, "a0_smooth", 0.8, kind=Criterion),
    featured=_answer(FIRST, "a1_features", 0.4, kind=Criterion),
    not_clumpy=_answer("t02_clumpy_appearance", "a1_no", NOT_CLUMPY),
    edge_on=_answer("t09_disk_edge_on", "a0_yes", 0.7),
    not_edge_on=_answer("t09_disk_edge_on", "a1_no", 0.5),
    spiral=_answer("t12_spiral_pattern", "a0_yes", 0.8),
    completely_round=_answer("t01_how_rounded", "a0_completely", MAJORITY),
    in_between=_answer("t01_how_rounded", "a1_inbetween", MAJORITY),
    cigar_shaped=_answer("t01_how_rounded", "a2_cigarshaped", MAJORITY),
)

COUNTS = {
    "a0_1": "1",
    "a1_2": "2",
    "a2_3": "3",
    "a3_4": "4",
    "a4_5_plus": "more_than_4",
    "a5_cant_tell": "cant_tell",
}
TREE = name_answers(
    {
        FIRST: (
            "smooth_or_featured",
            {"a0_smooth": "smooth", "a1_features": "featured", "a2_artifact": "artifact"},
        ),
        "t01_how_rounded": (
            "roundness",
            {"a0_completely": "round", "a1_inbetween": "in_between", "a2_cigarshaped": "cigar"},
        ),
        "t02_clumpy_appearance": ("clumpy", YES_NO),
        "t03_how_many_clumps": ("clump_count", COUNTS),
        "t04_clump_configuration": (
            "clump_arrangement",
            {
                "a0_straight_line": "line",
                "a1_chain": "chain",
                "a2_cluster_or_irregular": "cluster",
                "a3_spiral": "spiral",
            },
        ),
        "t05_is_one_clump_brightest": ("bright_clump", YES_NO),
        "t06_brightest_clump_central": ("bright_clump_central", YES_NO),
        "t07_galaxy_symmetrical": ("symmetrical", YES_NO),
        "t08_clumps_embedded_larger_object": ("clumps_embedded", YES_NO),
        "t09_disk_edge_on": ("edge_on", YES_NO),
        "t10_edge_on_bulge": ("edge_on_bulge", {"a0_yes": "yes", "a1_no": "none"}),
        "t11_bar_feature": ("bar", YES_NO),
        "t12_spiral_pattern": ("spiral", YES_NO),
        "t13_spiral_arm_winding": (
            "winding",
            {"a0_tight": "tight", "a1_medium": "medium", "a2_loose": "loose"},
        ),
        "t14_spiral_arm_count": ("arm_count", COUNTS),
        "t15_bulge_prominence": (
            "bulge_size",
            {"a0_no_bulge": "none", "a1_obvious": "obvious", "a2_dominant": "dominant"},
        ),
        "t16_merging_tidal_debris": (
            "merging",
            {
                "a0_merging": "merger",
                "a1_tidal_debris": "tidal_debris",
                "a2_both": "merger_and_debris",
                "a3_neither": "none",
            },
        ),
    }
)

GALAXY_ZOO_CANDELS = Release(
    name="galaxy_zoo_candels",
    reference="https://doi.org/10.48550/arXiv.1610.03070",
    catalogue_names=(f"{CATALOGUE}.csv", f"{CATALOGUE}.csv.gz", f"{CATALOGUE}.parquet"),
    images_folders=("images",),
    image_name_pattern="",
    id_columns=("ID",),
    schemes={"clean5": CLEAN5},
    # 424 pixels, as all of Galaxy Zoo, at the mosaics' 0.06 arcseconds (Koekemoer et al. 2011, ApJS
    # 197, 36): 25.4.
    cutout_arcsec=26.0,
    # No licence: the description of the table names none and asks to cite the paper.
    citation="Simmons et al. 2017, MNRAS 464, 4420, Table 2",
    files=(PublishedFile(name=f"{CATALOGUE}.csv", addresses=(f"{ADDRESS}/{CATALOGUE}.csv",)),),
    votes=VoteKind(weighting="raw", base="conditional"),
    rows=49_555,
    image_source=(
        "{ID}.jpg, one by one in galaxyzoo.org's storage under subjects/standard, in no archive: "
        "put them into 'images'. The original FITS images are lost."
    ),
    trees=(TREE,),
    fraction_suffixes=("_frac", "_weighted_frac"),
    ballots=(
        Ballot(
            questions=make_questions(TREE, suffix="_frac", total_suffix="_count"),
            counted_as="fractions",
        ),
    ),
)
