"""Every setting of a run, once: the trigger form, the CLI options and the documentation use this.

A field's description states its unit, its bounds stand beside it, and `section` says where the
trigger form shows it (no section: on top). Hosts and secrets are never settings; they belong to
the environment and to Airflow's connections.
"""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from galaxy_tasks.errors import InputError, show
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.availability import check_source
from galaxy_tasks.releases.shared_objects import explain_overlaps, find_hidden_overlaps

if TYPE_CHECKING:
    ReleaseName = str
else:  # a Literal, as for the other choices, but of names that stand in `releases` alone
    ReleaseName = Literal[tuple(RELEASES)]


# The settings that say which release is read, where it lies and how its classes come about.
#
# A run has one set of them, and one more for each release that it is combined with.


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


Architecture = Literal[
    "alexnet",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "densenet121", "densenet169", "densenet201",
]  # fmt: skip
Family = Literal["alexnet", "resnet", "densenet"]

ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
IMAGENET_ARCHITECTURES = ARCHITECTURES[ARCHITECTURES.index("resnet50") :]
"""Those for which Keras publishes weights trained on ImageNet."""
FAMILIES: tuple[Family, ...] = get_args(Family)

images_setting, training_setting, evaluation_setting, simulation_setting = (
    partial(setting, section=section)
    for section in ("Images", "Training", "Evaluation", "Simulation")
)


class RunConfig(ReleaseSettings):
    """The settings of one run; immutable, and strict about names.

    Raises pydantic.ValidationError for a value out of bounds or an unknown name; `parse_config`
    turns that into an InputError that reads well in a task log.
    """

    architectures: tuple[Architecture, ...] = Field(
        ("alexnet", "resnet50", "densenet121"),
        description="Networks to train. A family with none chosen is skipped.",
        min_length=1,
        json_schema_extra={"section": "", "examples": list(ARCHITECTURES)},
    )
    image_size_px: int = setting(224, "Side of the square network input, in pixels.", ge=32, le=512)
    epochs: int = setting(60, "Most passes over the training galaxies.", ge=1, le=1000)
    seed: int = setting(
        2026, "Seed of everything random but the test split, which never moves.", ge=0, le=2**31 - 1
    )

    # Labels
    combine: tuple[ReleaseSettings, ...] = Field(
        (),
        description="Further releases to train on, each with settings of its own as an object: "
        "release, source, scheme, class_names and the like. Galaxies that are in several are "
        "taken from the first.",
        json_schema_extra={"section": "Labels"},
    )
    match_radius_arcsec: float = labels_setting(
        2.0, "Entries nearer to each other on the sky are one galaxy.", ge=0.1, le=60
    )
    holdout: Literal["keep", "ignore"] = labels_setting(
        "keep",
        "Galaxies that earlier runs had in the test: 'keep' them there, or 'ignore' these runs.",
    )
    test_fraction: float = labels_setting(
        0.2, "Share of the galaxies held out for the test.", ge=0.02, le=0.5
    )
    validation_fraction: float = labels_setting(
        0.15, "Share of the other galaxies used for early stopping.", ge=0.02, le=0.5
    )

    # Images
    crop_fraction: float = images_setting(
        0.5, "Central part of the cutout's side that is kept; 1 keeps it all.", ge=0.1, le=1.0
    )
    denoise_method: Literal["none", "gaussian", "median", "bilateral", "non_local_means"] = (
        images_setting("gaussian", "OpenCV filter applied after scaling.")
    )
    gaussian_sigma_px: float = images_setting(
        0.5, "Gaussian filter: standard deviation, in pixels.", ge=0.1, le=5
    )
    median_size_px: Literal[3, 5, 7] = images_setting(
        3, "Median filter: side of the window, in pixels."
    )
    bilateral_sigma_grey: float = images_setting(
        15.0, "Bilateral filter: grey levels (of 255) that still count as alike.", ge=1, le=128
    )
    non_local_means_strength_grey: float = images_setting(
        5.0, "Non-local means: filter strength, in grey levels.", ge=0.5, le=50
    )
    opencv_device: Literal["cpu", "opencl"] = images_setting(
        "cpu", "Where OpenCV scales and filters; 'opencl' reaches a GPU."
    )
    max_rejected_fraction: float = images_setting(
        0.01, "Share of unreadable images above which the task fails.", ge=0.0, le=1.0
    )
    max_source_side_px: int = images_setting(
        4096, "An image that claims a longer side is refused undecoded, in pixels.", ge=64, le=32768
    )
    image_workers: int = images_setting(
        0, "Processes that prepare images; 0: one for each core.", ge=0, le=256
    )

    # Training
    batch_size: int = training_setting(64, "Galaxies in a batch.", ge=1, le=4096)
    learning_rate: float = training_setting(
        1e-3, "Peak learning rate of AdamW, after warm-up.", ge=1e-6, le=1
    )
    weight_decay: float = training_setting(0.02, "Weight decay of AdamW.", ge=0, le=1)
    warmup_epochs: float = training_setting(
        2.0, "Epochs of linear warm-up before the cosine decay.", ge=0, le=100
    )
    label_smoothing: float = training_setting(
        0.05, "Share of the label spread over all classes.", ge=0, le=0.5
    )
    class_balance: Literal["none", "weights", "sampling"] = training_setting(
        "weights", "Help for rare classes: weighted loss, or balanced sampling."
    )
    class_balance_power: float = training_setting(
        0.5,
        "Strength of that help: weight = (1 / class share) ** power; 1 balances fully.",
        ge=0,
        le=1,
    )
    early_stopping_patience_epochs: int = training_setting(
        15,
        "Epochs without a better validation macro-F1 (mean of five) that end the training.",
        ge=1,
        le=1000,
    )
    weights: Literal["none", "imagenet"] = training_setting(
        "none", "Start from random or from ImageNet weights."
    )
    has_flips: bool = training_setting(
        True,
        "Augment with mirror images and quarter turns; never where classes tell left from right.",
    )
    max_rotation_degrees: float = training_setting(
        180.0, "Augment with rotations up to this angle, in degrees.", ge=0, le=180
    )
    max_shift_fraction: float = training_setting(
        0.04, "Augment with shifts, as a share of the side.", ge=0, le=0.5
    )
    max_zoom_fraction: float = training_setting(
        0.1, "Augment with zooms by up to this share.", ge=0, le=0.5
    )
    prediction_views: Literal[1, 4, 8] = training_setting(
        8, "Orientations averaged at prediction: 1, 4 quarter turns, or those and their mirrors."
    )
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = training_setting(
        "auto", "Arithmetic; 'auto' is mixed_bfloat16 on a GPU and float32 elsewhere."
    )
    xla: Literal["auto", "on", "off"] = training_setting(
        "auto", "XLA compilation; 'auto' is on with a GPU."
    )
    deterministic: bool = training_setting(
        False, "Bit-identical weights for a seed, at some cost in speed."
    )

    # Evaluation
    bootstrap_samples: int = evaluation_setting(
        2000, "Bootstrap samples behind each interval.", ge=100, le=100_000
    )

    # Simulation
    simulated_galaxies: int = simulation_setting(
        2400, "Galaxies drawn for the simulated release.", ge=60, le=1_000_000
    )

    @model_validator(mode="after")
    def _agree(self) -> "RunConfig":
        without = [name for name in self.architectures if name not in IMAGENET_ARCHITECTURES]
        if self.weights == "imagenet" and without:
            raise ValueError(
                f"'weights' is 'imagenet', which is not published for {', '.join(without)}. "
                f"Choose among {', '.join(IMAGENET_ARCHITECTURES)}"
            )
        if len(set(self.architectures)) != len(self.architectures):
            raise ValueError(f"'architectures' names one twice. Received: {self.architectures}")
        return self

    @model_validator(mode="after")
    def _agree_on_combined(self) -> "RunConfig":
        parts = (self, *self.combine)
        if self.combine and any(part.release == "simulated" for part in parts):
            raise ValueError("'combine' is for observed galaxies; 'simulated' stands alone")
        names = [part.release for part in parts]
        unplaced = [part.release for part in parts if not (part.ra_column and part.dec_column)]
        if hidden := [one for one in find_hidden_overlaps(unplaced, names) if one[0] in unplaced]:
            raise ValueError(
                f"'combine' would put galaxies into training and test both: "
                f"{explain_overlaps(hidden)}. Leave one of them out: of galaxy_zoo_challenge and "
                "galaxy_zoo_2 take the latter. Or name the columns with positions that you have "
                "added, in 'ra_column' and 'dec_column'"
            )
        return self

    def parts(self) -> "tuple[RunConfig, ...]":
        """Return the settings of each release of the run by itself, the first having the say."""
        alone = self.model_copy(update={"combine": ()})
        return (alone, *(alone.model_copy(update=dict(other)) for other in self.combine))

    @property
    def release_title(self) -> str:
        """The releases of the run, as people would name them; a table by its folder, too."""
        return " and ".join(
            f"{part.release} ({Path(part.source).name})" if part.source else part.release
            for part in self.parts()
        )

    def variants(self, family: Family) -> tuple[Architecture, ...]:
        """Return the chosen architectures of a family, in the order of the form."""
        return tuple(name for name in self.architectures if name.startswith(family))


def parse_config(settings: dict[str, Any]) -> RunConfig:
    """Return the RunConfig of these settings, the defaults filling the rest.

    None, as an empty field of the trigger form gives it, stands for the default too.

    Raises:
        InputError: names each wrong setting, what is allowed and what was received.
    """
    try:
        return RunConfig(**{name: value for name, value in settings.items() if value is not None})
    except ValidationError as error:
        lines = [_describe(dict(problem)) for problem in error.errors()]
        raise InputError("Settings were refused:\n  " + "\n  ".join(lines)) from None


def _describe(problem: dict[str, Any]) -> str:
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    name = ".".join(show(part) for part in problem["loc"])
    return f"{name}: {problem['msg']}. Received: {problem['input']!r}"


# Sets of settings for a GPU and for a processor, and the trigger form with one as its defaults.


Preset = Literal["full", "quick"]

PRESETS: dict[Preset, dict[str, Any]] = {
    "full": {},
    "quick": {
        "architectures": ("alexnet", "resnet18", "densenet121"),
        "image_size_px": 64,
        "epochs": 8,
        "warmup_epochs": 1.0,
    },
}
"""Settings that differ from the defaults: 'full' suits a GPU, 'quick' a processor."""


def default_preset() -> Preset:
    """Return GALAXY_PRESET if set, else 'full' with an NVIDIA GPU, else 'quick'."""
    named = os.environ.get("GALAXY_PRESET", "")
    if named:
        if named not in PRESETS:
            raise InputError(
                f"GALAXY_PRESET must be one of {', '.join(PRESETS)}. Received: {named!r}"
            )
        return named
    return "full" if Path("/dev/nvidiactl").exists() else "quick"


def form_schemas(preset: Preset) -> dict[str, dict[str, Any]]:
    """Return for each setting the JSON schema of its field in the trigger form, with its default.

    The default is the preset's, and the description ends with the bounds. Keys follow RunConfig's
    order, which is the order of the form.
    """
    document = RunConfig.model_json_schema()
    schemas = document["properties"]
    for schema in schemas.values():
        # A field stands alone in the form, where a reference to the document leads nowhere.
        if reference := schema.get("items", {}).get("$ref"):
            schema["items"] = document["$defs"][reference.rpartition("/")[2]]
    for name, value in PRESETS[preset].items():
        schemas[name]["default"] = list(value) if isinstance(value, tuple) else value
    for schema in schemas.values():
        schema["description"] = schema["description"].removesuffix(".") + _describe_bounds(schema)
    return schemas


def _describe_bounds(schema: dict[str, Any]) -> str:
    bounds = [schema.get(name) for name in ("minimum", "maximum")]
    return "." if None in bounds else f" ({bounds[0]} to {bounds[1]})."
