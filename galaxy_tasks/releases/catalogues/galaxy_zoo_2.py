"""Galaxy Zoo 2: the catalogue of Hart et al. 2016 and the published image set.

Files: gz2_hart16.csv (data.galaxyzoo.org), gz2_filename_mapping.csv and images/ (Zenodo 3565489).
Fractions are conditional: shares of the volunteers who were asked that question. The older
catalogue of Willett et al. 2013 (zoo2MainSpecz.csv) has the same columns and can be read as well.
"""

from galaxy_tasks.releases import clean_samples
from galaxy_tasks.releases.ballots import Ballot, make_questions
from galaxy_tasks.releases.clean_samples import make_clean5
from galaxy_tasks.releases.morphology import Morphology
from galaxy_tasks.releases.questions import name_answers
from galaxy_tasks.releases.schema import (
    Criterion,
    ImageMapping,
    PublishedFile,
    Release,
    ShorthandRule,
    ShorthandScheme,
    VoteKind,
)

QUESTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "t01_smooth_or_features": (
        "smooth_or_featured",
        {
            "a01_smooth": "smooth",
            "a02_features_or_disk": "featured",
            "a03_star_or_artifact": "artifact",
        },
    ),
    "t02_edgeon": ("edge_on", {"a04_yes": "yes", "a05_no": "no"}),
    "t03_bar": ("bar", {"a06_bar": "yes", "a07_no_bar": "no"}),
    "t04_spiral": ("spiral", {"a08_spiral": "yes", "a09_no_spiral": "no"}),
    "t05_bulge_prominence": (
        "bulge_size",
        {
            "a10_no_bulge": "none",
            "a11_just_noticeable": "just_noticeable",
            "a12_obvious": "obvious",
            "a13_dominant": "dominant",
        },
    ),
    "t06_odd": ("odd", {"a14_yes": "yes", "a15_no": "no"}),
    "t07_rounded": (
        "roundness",
        {
            "a16_completely_round": "round",
            "a17_in_between": "in_between",
            "a18_cigar_shaped": "cigar",
        },
    ),
    "t08_odd_feature": (
        "odd_feature",
        {
            "a19_ring": "ring",
            "a20_lens_or_arc": "lens_or_arc",
            "a21_disturbed": "disturbed",
            "a22_irregular": "irregular",
            "a23_other": "other",
            "a24_merger": "merger",
            "a38_dust_lane": "dust_lane",
        },
    ),
    "t09_bulge_shape": (
        "edge_on_bulge",
        {"a25_rounded": "rounded", "a26_boxy": "boxy", "a27_no_bulge": "none"},
    ),
    "t10_arms_winding": (
        "winding",
        {"a28_tight": "tight", "a29_medium": "medium", "a30_loose": "loose"},
    ),
    "t11_arms_number": (
        "arm_count",
        {
            "a31_1": "1",
            "a32_2": "2",
            "a33_3": "3",
            "a34_4": "4",
            "a36_more_than_4": "more_than_4",
            "a37_cant_tell": "cant_tell",
        },
    ),
}
"""The questions with all their answers (Willett et al. 2013, Table 2) and their canonical names."""
TREE = name_answers(QUESTIONS)
PARENTS = {
    "edge_on": ("smooth_or_featured", "featured"),
    "bar": ("edge_on", "no"),
    "spiral": ("edge_on", "no"),
    "bulge_size": ("edge_on", "no"),
    "roundness": ("smooth_or_featured", "smooth"),
    "odd_feature": ("odd", "yes"),
    "edge_on_bulge": ("edge_on", "yes"),
    "winding": ("spiral", "yes"),
    "arm_count": ("spiral", "yes"),
}
"""Which answer leads to a question. Willett et al. 2013, Table 2."""


def _answer(question: str, answer: str, minimum: float) -> Criterion:
    return Criterion(
        column=f"{question}_{answer}_debiased",
        minimum=minimum,
        vote_columns=tuple(f"{question}_{other}_count" for other in QUESTIONS[question][1]),
    )


# As in the five-class sample of Zhu et al. 2019 (Ap&SS 364, 55), on debiased fractions as in Cao et
# al. 2024 (A&A 683, A42), section 3.1: each answer needs the majority, or what Willett et al. 2013
# require before the next question.
CLEAN5 = make_clean5(
    smooth=_answer("t01_smooth_or_features", "a01_smooth", clean_samples.BEFORE_ROUNDED),
    featured=_answer(
        "t01_smooth_or_features", "a02_features_or_disk", clean_samples.BEFORE_EDGE_ON
    ),
    edge_on=_answer("t02_edgeon", "a04_yes", clean_samples.BEFORE_BULGE_SHAPE),
    not_edge_on=_answer("t02_edgeon", "a05_no", clean_samples.BEFORE_SPIRAL),
    spiral=_answer("t04_spiral", "a08_spiral", clean_samples.BEFORE_ARMS),
    completely_round=_answer("t07_rounded", "a16_completely_round", clean_samples.MAJORITY),
    in_between=_answer("t07_rounded", "a17_in_between", clean_samples.MAJORITY),
    cigar_shaped=_answer("t07_rounded", "a18_cigar_shaped", clean_samples.MAJORITY),
)

# The shorthand of Willett et al. 2013, Appendix A, lists the most common answers: E and roundness;
# Se and the edge-on bulge; S, B if barred, bulge size and, if there are arms, their number and
# winding; then an odd feature in brackets. A alone is a star or an artifact.
ODD = r"(\([rldiomu]\))?"
ARMS = r"[1-4+?][tml]"
GZ2_CLASS = ShorthandScheme(
    column="gz2_class",
    grammar=rf"^(A|(E[ric]|Se[rbn]|SB?[abcd]({ARMS})?){ODD})$",
    artifact_pattern="^A$",
    rules=(
        ShorthandRule(morphology=Morphology.COMPLETELY_ROUND_SMOOTH, pattern="^Er"),
        ShorthandRule(morphology=Morphology.IN_BETWEEN_SMOOTH, pattern="^Ei"),
        ShorthandRule(morphology=Morphology.CIGAR_SHAPED_SMOOTH, pattern="^Ec"),
        ShorthandRule(morphology=Morphology.EDGE_ON, pattern="^Se"),
        ShorthandRule(morphology=Morphology.BARRED_SPIRAL, pattern=rf"^SB[abcd]{ARMS}"),
        ShorthandRule(morphology=Morphology.SPIRAL, pattern=rf"^S[abcd]{ARMS}"),
        ShorthandRule(morphology=Morphology.FEATURED_WITHOUT_SPIRAL, pattern=rf"^SB?[abcd]{ODD}$"),
    ),
)

ZENODO = "https://zenodo.org/records/3565489/files"
IMAGE_FILES = (
    PublishedFile(
        name="gz2_filename_mapping.csv",
        addresses=(f"{ZENODO}/gz2_filename_mapping.csv",),
        size_mb=13,
        md5="7e28465e6dfbf96c0d828c595a5bbd80",
        role="mapping",
    ),
    PublishedFile(
        name="images_gz2.zip",
        addresses=(f"{ZENODO}/images_gz2.zip",),
        size_mb=3400,
        md5="bc647032d31e50c798770cf4430525c7",
        role="images",
    ),
)
"""The published images; one archive serves both catalogues of Galaxy Zoo 2."""

GALAXY_ZOO_2 = Release(
    name="galaxy_zoo_2",
    reference="https://doi.org/10.1093/mnras/stw1588",
    catalogue_names=(
        "gz2_hart16.csv",
        "gz2_hart16.csv.gz",
        "zoo2MainSpecz.csv",
        "zoo2MainSpecz.csv.gz",
    ),
    images_folders=("images",),
    image_name_pattern="{id}.jpg",
    id_columns=("dr7objid", "objid"),
    schemes={"clean5": CLEAN5, "gz2_class": GZ2_CLASS},
    # The published column descriptions say gz2class, the header of gz2_hart16.csv gz2_class.
    aliases={"gz2_class": ("gz2class",)},
    mapping=ImageMapping(
        file_names=("gz2_filename_mapping.csv", "gz2_filename_mapping.csv.gz"),
        id_column="objid",
        image_column="asset_id",
    ),
    # No licence: data.galaxyzoo.org and the README beside the images name none and ask to cite the
    # papers and the images' DOI. The licence on the images' Zenodo page is not confirmed here.
    citation="Hart et al. 2016, MNRAS 461, 3663; Willett et al. 2013, MNRAS 435, 2835",
    files=(
        PublishedFile(
            name="gz2_hart16.csv.gz",
            addresses=("https://gz2hart.s3.amazonaws.com/gz2_hart16.csv.gz",),
        ),
        *IMAGE_FILES,
    ),
    votes=VoteKind(weighting="debiased", base="conditional"),
    rows=239_695,
    image_source=(
        "images/{asset_id}.jpg in images_gz2.zip, where gz2_filename_mapping.csv gives the "
        "asset_id of dr7objid (243,434 images)."
    ),
    trees=(TREE,),
    fraction_suffixes=("_fraction", "_weighted_fraction", "_debiased"),
    ballots=(
        Ballot(
            questions=make_questions(TREE, suffix="_count"), counted_as="counts", parents=PARENTS
        ),
    ),
)
