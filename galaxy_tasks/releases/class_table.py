"""Any table with an id and a class, beside a folder of images: every name is a setting."""

from galaxy_tasks.releases.rules import GivenScheme, Release

CLASS_TABLE = Release(
    name="class_table",
    reference="the table's own",
    catalogue_names=(),
    images_folders=(),
    image_name_pattern="",
    id_columns=("GalaxyID", "dr7objid", "galaxy_id", "id", "objid", "iauname"),
    schemes={"as_given": GivenScheme(column="class")},
    citation="the table's own",
    image_source="{id}.jpg, .jpeg or .png in a folder that you have.",
)
