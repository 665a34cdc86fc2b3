"""Any table with an id and a class, beside a folder of images; settings give all names."""

from galaxy_tasks.releases.schema import GivenScheme, Release

CLASS_TABLE = Release(
    name="class_table",
    reference="the table's own",
    catalogue_names=(),
    images_folders=(),
    image_name_pattern="",
    id_columns=("GalaxyID", "dr7objid", "galaxy_id", "id", "objid", "iauname"),
    aliases={
        "ra": ("raj2000", "ra_j2000", "ra_deg", "ra_degrees", "right_ascension"),
        "dec": ("dej2000", "dec_j2000", "dec_deg", "dec_degrees", "declination"),
    },
    schemes={"as_given": GivenScheme(column="class")},
    citation="the table's own",
    image_source="{id}.jpg, .png, .tif or .webp in a folder that you have.",
)
