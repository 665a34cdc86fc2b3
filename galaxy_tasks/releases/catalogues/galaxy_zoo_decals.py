"""Galaxy Zoo DECaLS (Walmsley et al. 2022, MNRAS 509, 3966): the votes of its volunteers.

Two tables (Zenodo 4573248): GZD-1/2 with about 40 votes per galaxy, and GZD-5, where active
learning decided which galaxies get many votes, and half of them have five or fewer. If the folder
has both, GZD-1/2 is read, since more of it reaches a minimum of votes; `catalogue_file` selects the
other. 33,124 galaxies of GZD-1/2 are also in Galaxy Zoo 2 (the paper).

Fractions are raw: debiased ones exist only for galaxies at redshift 0.02 to 0.15 with at least 30
votes, and the paper advises against them for single galaxies. The published schema names the totals
`{question}_total`; in the tables they are `{question}_total-votes`.
"""

from galaxy_tasks.releases.ballots import Ballot, make_questions
from galaxy_tasks.releases.clean_samples import (
    ARM_COUNTS,
    EDGE_ON_BULGES,
    WINDINGS,
    YES_NO,
    make_modern_clean5,
    make_modern_tree,
)
from galaxy_tasks.releases.questions import name_answers
from galaxy_tasks.releases.schema import PublishedFile, Release, VoteKind

ZENODO = "https://zenodo.org/records/4573248/files"
CLEAN5 = make_modern_clean5(count_suffix="_total-votes")

# The questions before GZD-5, with other answers about bars, bulges and mergers.
FIRST_TREE = name_answers(
    {
        "smooth-or-featured": (
            "smooth_or_featured",
            {"smooth": "smooth", "featured-or-disk": "featured", "artifact": "artifact"},
        ),
        "disk-edge-on": ("edge_on", YES_NO),
        "has-spiral-arms": ("spiral", YES_NO),
        "bar": ("bar", YES_NO),
        "bulge-size": (
            "bulge_size",
            {"dominant": "dominant", "obvious": "obvious", "none": "none"},
        ),
        "how-rounded": (
            "roundness",
            {"completely": "round", "in-between": "in_between", "cigar-shaped": "cigar"},
        ),
        "edge-on-bulge": ("edge_on_bulge", EDGE_ON_BULGES),
        "spiral-winding": ("winding", WINDINGS),
        "spiral-arm-count": ("arm_count", ARM_COUNTS),
        "merging": (
            "merging",
            {
                "neither": "none",
                "tidal-debris": "tidal_debris",
                "both": "merger_and_debris",
                "merger": "merger",
            },
        ),
    }
)
LATER_TREE = make_modern_tree()


def _file(name: str, size_mb: float, md5: str) -> PublishedFile:
    return PublishedFile(name=name, addresses=(f"{ZENODO}/{name}",), size_mb=size_mb, md5=md5)


GALAXY_ZOO_DECALS = Release(
    name="galaxy_zoo_decals",
    reference="https://doi.org/10.1093/mnras/stab2093",
    catalogue_names=(
        "gz_decals_volunteers_1_and_2.parquet",
        "gz_decals_volunteers_1_and_2.csv",
        "gz_decals_volunteers_5.parquet",
        "gz_decals_volunteers_5.csv",
    ),
    images_folders=("images",),
    image_name_pattern="",
    id_columns=("iauname",),
    schemes={"clean5": CLEAN5},
    aliases={
        # The answer's name in GZD-1/2 was another.
        "how-rounded_round_fraction": ("how-rounded_completely_fraction",),
        **{name: (name.removesuffix("-votes"),) for name in CLEAN5.vote_columns},
    },
    citation="Walmsley et al. 2022, MNRAS 509, 3966",
    licence="CC BY 4.0",  # according to others who fetched the record
    files=(
        _file("gz_decals_volunteers_1_and_2.parquet", 18.7, "e9de511cbd5977e02c81cbdb5d21b7c2"),
        _file("gz_decals_volunteers_5.parquet", 40.5, "364d0b598b7d2958553350c5ce0ffc14"),
        *(
            PublishedFile(name=name, addresses=(f"{ZENODO}/{name}",), role="images")
            for name in (f"gz_decals_dr5_png_part{part}.zip" for part in range(1, 5))
        ),
    ),
    archives_mb=100_000,
    votes=VoteKind(weighting="raw", base="conditional"),
    rows=92_960,  # GZD-1/2, which is read if the folder has both
    other_rows={"gz_decals_volunteers_5.parquet": 253_286},
    image_source=(
        "{iauname}.png of 424 pixels, in four archives (about 100 GB) and in folders named by the "
        "first four characters: 'releases fetch' puts them into one folder 'images'."
    ),
    trees=(FIRST_TREE, LATER_TREE),
    fraction_suffixes=("_fraction", "_debiased"),
    ballots=tuple(
        Ballot(
            questions=make_questions(tree, suffix="_fraction", total_suffix="_total-votes"),
            counted_as="fractions",
        )
        for tree in (FIRST_TREE, LATER_TREE)
    ),
)
