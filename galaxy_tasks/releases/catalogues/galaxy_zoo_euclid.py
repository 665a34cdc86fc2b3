"""Galaxy Zoo Euclid, Quick Release 1 (Walmsley et al. 2025, arXiv:2503.15310): predicted fractions.

The morphology catalogue (Zenodo 15106473): answers predicted by a network that was fine-tuned on
those of volunteers. An object that is no galaxy is a `problem` here, with further questions about
it. Galaxies of 700 to 1200 pixels are smaller than those of the fine-tuning
(`warning_galaxy_fails_training_cuts`).
"""

from galaxy_tasks.releases.clean_samples import YES_NO, make_modern_clean5, make_modern_tree
from galaxy_tasks.releases.schema import ImageKey, PublishedFile, Release, VoteKind

ZENODO = "https://zenodo.org/records/15106473/files"

GALAXY_ZOO_EUCLID = Release(
    name="galaxy_zoo_euclid",
    reference="https://doi.org/10.48550/arXiv.2503.15310",
    catalogue_names=("morphology_catalogue.parquet", "morphology_catalogue.csv"),
    images_folders=("images", "cutouts_jpg_gz_arcsinh_vis_y", "cutouts_jpg_gz_arcsinh_vis_only"),
    image_name_pattern="",
    id_columns=("object_id",),
    schemes={"clean5": make_modern_clean5()},
    # The record's text has {tile_index}_{object_id}.jpg, its example {…}_.jpg: both are found.
    mapping=ImageKey(columns=("tile_index", "object_id"), separator="_", minus="NEG"),
    ra_column="right_ascension",
    dec_column="declination",
    # A cutout is as large as its galaxy. By the code that made them (mwalmsley/bulk-euclid-cutouts,
    # estimate_source_r_max), that is about 6 arcseconds for an area of 1,200 pixels and 17 for one
    # of 10,000, which few galaxies reach.
    cutout_arcsec=20.0,
    # No licence: the record's description names none, and that on its page is not confirmed here.
    citation="Euclid Collaboration: Walmsley et al. 2025, arXiv:2503.15310",
    files=(
        PublishedFile(
            name="morphology_catalogue.parquet",
            addresses=(f"{ZENODO}/morphology_catalogue.parquet",),
            size_mb=97.3,
            md5="79e7880d5989e05ec23205782c30025a",
        ),
        PublishedFile(
            name="cutouts_jpg_gz_arcsinh_vis_y.tar",
            addresses=(f"{ZENODO}/cutouts_jpg_gz_arcsinh_vis_y.tar",),
            size_mb=3800,
            role="images",
        ),
    ),
    votes=VoteKind(weighting="predicted", base="conditional"),
    rows=378_000,  # from the abstract, rounded
    image_source=(
        "{tile_index}_{object_id}.jpg in the cutouts archive, with NEG for '-' in the id; "
        "'releases fetch' unpacks it into one folder 'images'."
    ),
    trees=(
        make_modern_tree(
            artifact="problem",
            more={
                "clumps": ("clumpy", YES_NO),
                "problem": ("problem", {"star": "star", "artifact": "artifact", "zoom": "zoom"}),
                "artifact": (
                    "artifact",
                    {
                        name: name
                        for name in (
                            *("satellite", "scattered", "diffraction", "ray"),
                            *("saturation", "other", "ghost"),
                        )
                    },
                ),
            },
        ),
    ),
    fraction_suffixes=("_fraction",),
)
