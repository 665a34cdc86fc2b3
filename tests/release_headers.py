"""The headers of releases as published, written out: nothing here comes from the code under test.

Galaxy Zoo 1, 2, Hubble and CANDELS follow their publishers' descriptions of the columns. For the
others see the remark beside each; `confirmed` there means found in programs that read the file.
"""

import re

GZ2 = """
t01_smooth_or_features: a01_smooth a02_features_or_disk a03_star_or_artifact
t02_edgeon: a04_yes a05_no
t03_bar: a06_bar a07_no_bar
t04_spiral: a08_spiral a09_no_spiral
t05_bulge_prominence: a10_no_bulge a11_just_noticeable a12_obvious a13_dominant
t06_odd: a14_yes a15_no
t07_rounded: a16_completely_round a17_in_between a18_cigar_shaped
t08_odd_feature: a19_ring a20_lens_or_arc a21_disturbed a22_irregular a23_other a24_merger
t08_odd_feature: a38_dust_lane
t09_bulge_shape: a25_rounded a26_boxy a27_no_bulge
t10_arms_winding: a28_tight a29_medium a30_loose
t11_arms_number: a31_1 a32_2 a33_3 a34_4 a36_more_than_4 a37_cant_tell
"""
HUBBLE = """
t01_smooth_or_features: a01_smooth a02_features_or_disk a03_star_or_artifact
t02_edgeon: a01_yes a02_no
t03_bar: a01_bar a02_no_bar
t04_spiral: a01_spiral a02_no_spiral
t05_bulge_prominence: a01_no_bulge a02_just_noticeable a03_obvious a04_dominant
t06_odd: a01_yes a02_no
t07_rounded: a01_completely_round a02_in_between a03_cigar_shaped
t08_odd_feature: a01_ring a02_lens_or_arc a03_disturbed a04_irregular a05_other a06_merger
t08_odd_feature: a07_dust_lane
t09_bulge_shape: a01_rounded a02_boxy a03_no_bulge
t10_arms_winding: a01_tight a02_medium a03_loose
t11_arms_number: a01_1 a02_2 a03_3 a04_4 a05_more_than_4 a06_cant_tell
t12_clumpy: a01_yes a02_no
t13_bright_clump: a01_yes a02_no
t14_bright_clump_central: a01_yes a02_no
t15_clumps_arrangement: a01_line a02_chain a03_cluster a04_spiral
t16_clumps_count: a01_1 a02_2 a03_3 a04_4 a05_more_than_4 a06_cant_tell
t17_clumps_symmetrical: a01_yes a02_no
t18_clumps_embedded: a01_yes a02_no
"""
CANDELS = """
t00_smooth_or_featured: a0_smooth a1_features a2_artifact
t01_how_rounded: a0_completely a1_inbetween a2_cigarshaped
t02_clumpy_appearance: a0_yes a1_no
t03_how_many_clumps: a0_1 a1_2 a2_3 a3_4 a4_5_plus a5_cant_tell
t04_clump_configuration: a0_straight_line a1_chain a2_cluster_or_irregular a3_spiral
t05_is_one_clump_brightest: a0_yes a1_no
t06_brightest_clump_central: a0_yes a1_no
t07_galaxy_symmetrical: a0_yes a1_no
t08_clumps_embedded_larger_object: a0_yes a1_no
t09_disk_edge_on: a0_yes a1_no
t10_edge_on_bulge: a0_yes a1_no
t11_bar_feature: a0_yes a1_no
t12_spiral_pattern: a0_yes a1_no
t13_spiral_arm_winding: a0_tight a1_medium a2_loose
t14_spiral_arm_count: a0_1 a1_2 a2_3 a3_4 a4_5_plus a5_cant_tell
t15_bulge_prominence: a0_no_bulge a1_obvious a2_dominant
t16_merging_tidal_debris: a0_merging a1_tidal_debris a2_both a3_neither
"""
# gz_decals_volunteers_1_and_2: its first columns, and those of spirals and of smooth or featured,
# confirmed; the other answers as mwalmsley/galaxy-datasets names those of its campaign `dr12`.
DECALS_12 = """
smooth-or-featured: smooth featured-or-disk artifact
disk-edge-on: yes no
has-spiral-arms: yes no
bar: yes no
bulge-size: dominant obvious none
how-rounded: completely in-between cigar-shaped
edge-on-bulge: boxy none rounded
spiral-winding: tight medium loose
spiral-arm-count: 1 2 3 4 more-than-4
merging: neither tidal-debris both merger
"""
# gz_decals_volunteers_5 and the friendly catalogue of DESI, which ask the same: all confirmed.
MODERN = """
smooth-or-featured: smooth featured-or-disk artifact
disk-edge-on: yes no
has-spiral-arms: yes no
bar: strong weak no
bulge-size: dominant large moderate small none
how-rounded: round in-between cigar-shaped
edge-on-bulge: boxy none rounded
spiral-winding: tight medium loose
spiral-arm-count: 1 2 3 4 more-than-4 cant-tell
merging: none minor-disturbance major-disturbance merger
"""
# morphology_catalogue of Euclid's Q1: all confirmed, though of clumps only the answer `yes`.
EUCLID = """
smooth-or-featured: smooth featured-or-disk problem
disk-edge-on: yes no
has-spiral-arms: yes no
bar: strong weak no
bulge-size: dominant large moderate small none
how-rounded: round in-between cigar-shaped
edge-on-bulge: boxy none rounded
spiral-winding: tight medium loose
spiral-arm-count: 1 2 3 4 more-than-4 cant-tell
merging: none minor-disturbance major-disturbance merger
clumps: yes no
problem: star artifact zoom
artifact: satellite scattered diffraction ray saturation other ghost
"""
# The campaign `cd` in mwalmsley/galaxy-datasets; the columns of its catalogue are not known.
COSMIC_DAWN = """
smooth-or-featured: smooth featured-or-disk problem
disk-edge-on: yes no
has-spiral-arms: yes no
bar: strong weak no
bulge-size: dominant large moderate small none
how-rounded: round in-between cigar-shaped
edge-on-bulge: boxy none rounded
spiral-winding: tight medium loose
spiral-arm-count: 1 2 3 4 more-than-4 cant-tell
merging: none minor-disturbance major-disturbance merger
clumps: yes no
problem: star artifact zoom
artifact: satellite scattered diffraction ray saturation other
"""
# training_solutions_rev1.csv: confirmed.
CHALLENGE = """
Class1: 1 2 3
Class2: 1 2
Class3: 1 2
Class4: 1 2
Class5: 1 2 3 4
Class6: 1 2
Class7: 1 2 3
Class8: 1 2 3 4 5 6 7
Class9: 1 2 3
Class10: 1 2 3
Class11: 1 2 3 4 5 6
"""


def split_words(text: str) -> list[str]:
    return re.split(r"\s+", text.strip())


def list_stems(tree: str, *, separator: str = "_") -> list[str]:
    """Return question and answer as one word, in the order of the text."""
    lines = (line.split(":") for line in tree.strip().splitlines())
    return [f"{question}{separator}{one}" for question, rest in lines for one in rest.split()]


def list_columns(tree: str, *parts: str, totals: tuple[str, ...] = ()) -> list[str]:
    """Return a column for each answer and part, and one for each question and total."""
    questions = dict.fromkeys(line.split(":")[0] for line in tree.strip().splitlines())
    votes = [f"{stem}{part}" for stem in list_stems(tree) for part in parts]
    return votes + [f"{question}{total}" for question in questions for total in totals]


GZ2_COLUMNS = list_columns(
    GZ2, "_count", "_weight", "_fraction", "_weighted_fraction", "_debiased", "_flag"
)
DECALS_HEAD = "iauname ra dec redshift elpetro_absmag_r petro_theta upload_group"


def list_decals(tree: str) -> list[str]:
    votes = list_columns(tree, "", "_fraction", "_debiased", totals=("_total-votes",))
    return [*split_words(DECALS_HEAD), *votes]


HEADERS: dict[str, list[str]] = {
    "galaxy_zoo_challenge": ["GalaxyID", *list_stems(CHALLENGE, separator=".")],
    "galaxy_zoo_2": [*split_words("dr7objid ra dec gz2_class"), *GZ2_COLUMNS],
    "galaxy_zoo_2_main": [
        *split_words("specobjid dr8objid dr7objid ra dec gz2class"),
        *GZ2_COLUMNS,
    ],
    "galaxy_zoo_1": split_words(
        "OBJID RA DEC NVOTE P_EL P_CW P_ACW P_EDGE P_DK P_MG P_CS P_EL_DEBIASED P_CS_DEBIASED"
        " SPIRAL ELLIPTICAL UNCERTAIN"
    ),
    "galaxy_zoo_hubble": [
        *split_words("zooniverse_id survey_id Table RA DEC Z_BEST correction_type"),
        *list_columns(
            HUBBLE, "_fraction", "_weighted_fraction", totals=("_total_count", "_total_weight")
        ),
        *split_words(
            "t01_smooth_or_features_a01_smooth_best_fraction"
            " t01_smooth_or_features_a02_features_or_disk_best_fraction"
        ),
    ],
    "galaxy_zoo_candels": [
        *split_words("ID RA Dec num_classifications"),
        *list_columns(CANDELS, "_frac", "_weighted_frac", totals=("_count", "_weight")),
    ],
    "galaxy_zoo_decals": list_decals(DECALS_12),
    "galaxy_zoo_desi": [
        *split_words("dr8_id ra dec brickid objid hdf5_loc"),
        *list_columns(MODERN, "_fraction"),
    ],
    "galaxy_zoo_euclid": [
        *split_words("release_name tile_index object_id segmentation_map_id right_ascension"),
        *split_words("declination warning_galaxy_fails_training_cuts"),
        *list_columns(EUCLID, "_fraction"),
    ],
}
TREES: dict[str, tuple[list[str], ...]] = {
    "galaxy_zoo_challenge": (list_stems(CHALLENGE, separator="."),),
    "galaxy_zoo_2": (list_stems(GZ2),),
    "galaxy_zoo_2_main": (list_stems(GZ2),),
    "galaxy_zoo_1": (split_words("P_EL P_CS P_CW P_ACW P_EDGE P_DK P_MG"),),
    "galaxy_zoo_hubble": (list_stems(HUBBLE),),
    "galaxy_zoo_candels": (list_stems(CANDELS),),
    "galaxy_zoo_decals": (list_stems(DECALS_12), list_stems(MODERN)),
    "galaxy_zoo_desi": (list_stems(MODERN),),
    "galaxy_zoo_euclid": (list_stems(EUCLID),),
}
