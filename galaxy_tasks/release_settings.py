"""The settings that say which release is read, where it lies and how its classes come about.

A run has one set of them, and one more for each release that it is combined with.
"""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.offers import check_source

if TYPE_CHECKING:
    ReleaseName = str
else:  # a Literal, as for the other choices, but of names that stand in `releases` alone
    ReleaseName = Literal[tuple(RELEASES)]
Scheme = Literal["clean5", "gz2_class", "as_given"]


ClassName = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
]


def setting(default: Any, description: str, *, section: str = "", **bounds: Any) -> Any:
    """Return a pydantic field that also knows its section of the trigger form."""
    return Field(default, description=description, json_schema_extra={"section": section}, **bounds)


labels_setting = partial(setting, section="Labels")


class ReleaseSettings(BaseModel):
    """Where one release is and how its labels are read; immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: ReleaseName = setting(
        "simulated", "Galaxy Zoo release to train on; 'class_table' is any table with classes."
    )
    source: str = setting(
        "", "Folder with the release's files; empty: they are fetched, where they are published."
    )
    zenodo_record: str = labels_setting(
        "",
        "Zenodo record, one version, whose files are fetched instead of those known here; "
        "'source' then has what it lacks, such as the images.",
        pattern="^[0-9]{0,18}$",
    )
    scheme: Scheme = labels_setting(
        "clean5",
        "How votes become classes: 'clean5' (Willett et al. 2013, Table 3), 'gz2_class' (the "
        "shorthand string), 'as_given' (a class column; always so for 'class_table').",
    )
    minimum_votes: int = labels_setting(
        20,
        "Fewest volunteers who must have answered a question, where the release counts them.",
        ge=0,
        le=1000,
    )
    catalogue_file: str = labels_setting(
        "", "Catalogue inside the source folder. Empty: the release's own name."
    )
    images_folder: str = labels_setting(
        "", "Image folder, or zip, inside the source folder. Empty: the release's own."
    )
    id_column: str = labels_setting("", "Column with the galaxy's id. Empty: the release's own.")
    ra_column: str = labels_setting(
        "", "Column with the right ascension, in degrees or 'hh:mm:ss'. Empty: the release's own."
    )
    dec_column: str = labels_setting(
        "", "Column with the declination, in degrees or '±dd:mm:ss'. Empty: the release's own."
    )
    class_column: str = labels_setting("", "Column with the class (class_table). Empty: 'class'.")
    image_name_pattern: str = labels_setting(
        "", "File name of a galaxy's image, '{id}' standing for its id. Empty: the release's own."
    )
    ignored_classes: tuple[str, ...] = Field(
        (),
        description="Classes to leave out, with their images, by the names in the release.",
        json_schema_extra={"section": "Labels", "examples": ["not_in_clean_sample", "dont_know"]},
    )
    class_names: dict[ClassName, ClassName] = Field(
        {},
        description="Names to give to classes of the release, such as "
        '{"spiral_clockwise": "spiral"}. Others keep theirs.',
        json_schema_extra={"section": "Labels"},
    )

    @model_validator(mode="after")
    def _agree_on_source(self) -> Self:
        check_source(RELEASES[self.release], source=self.source, zenodo_record=self.zenodo_record)
        return self
