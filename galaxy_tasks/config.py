"""Every setting of a run, defined once: the trigger form, the command line and docs/settings.md.

A field's description states its unit, its bounds stand beside it, and `section` is its section of
the trigger form (no section: at the top). Hosts and secrets are never settings; they belong to the
environment and to Airflow's connections.
"""

import difflib
import hashlib
import math
import os
import re
from functools import partial
from importlib.util import find_spec
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
from galaxy_tasks.surroundings import count_gpus

if TYPE_CHECKING:
    ReleaseName = str
else:  # a Literal like the other choices, whose values are the names in `releases`
    ReleaseName = Literal[tuple(RELEASES)]
Scheme = Literal["clean5", "gz2_class", "as_given"]
ClassName = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
]
Architecture = Literal[
    "alexnet",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "densenet121", "densenet169", "densenet201",
]  # fmt: skip
Family = Literal["alexnet", "resnet", "densenet"]
Preset = Literal["full", "quick"]
Backend = Literal["tensorflow", "jax"]

ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
IMAGENET_ARCHITECTURES = ARCHITECTURES[ARCHITECTURES.index("resnet50") :]
"""Architectures for which Keras publishes ImageNet weights."""
FAMILIES: tuple[Family, ...] = get_args(Family)
BACKENDS: tuple[Backend, ...] = get_args(Backend)


def setting(default: Any, description: str, *, section: str = "", **limits: Any) -> Any:
    """Return a pydantic field that also knows its section of the trigger form."""
    return Field(default, description=description, json_schema_extra={"section": section}, **limits)


labels_setting, images_setting, training_setting, evaluation_setting, simulation_setting = (
    partial(setting, section=section)
    for section in ("Labels", "Images", "Training", "Evaluation", "Simulation")
)


class ReleaseSettings(BaseModel):
    """Where one release is and how its labels are read: frozen, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: ReleaseName = setting(
        "simulated",
        "Galaxy Zoo release to train on; 'class_table' is any table with a class column.",
    )
    source: str = setting(
        "", "Folder that holds the release's files. Empty: download them, where published."
    )
    zenodo_record: str = labels_setting(
        "",
        "Zenodo record (one version) to download instead of the files known for the release; "
        "'source' then holds what the record lacks, such as the images.",
        pattern="^[0-9]{0,18}$",
    )
    scheme: Scheme = labels_setting(
        "clean5",
        "How votes become classes: 'clean5' (clean samples, Willett et al. 2013, Table 3), "
        "'gz2_class' (Galaxy Zoo 2's shorthand string) or 'as_given' (a class column; "
        "'class_table' always uses it).",
    )
    minimum_votes: int = labels_setting(
        20,
        "Minimum number of volunteers who answered a question, where the release counts them; not "
        "asked for where votes are learned ('target').",
        ge=0,
        le=1000,
    )
    catalogue_file: str = labels_setting(
        "", "Catalogue file, relative to the source folder. Empty: the release's own name."
    )
    images_folder: str = labels_setting(
        "",
        "Image folder or zip file, relative to the source folder. Empty: the release's own name.",
    )
    id_column: str = labels_setting("", "Column of the galaxy's id. Empty: the release's own.")
    ra_column: str = labels_setting(
        "", "Column of the right ascension, in degrees or 'hh:mm:ss'. Empty: the release's own."
    )
    dec_column: str = labels_setting(
        "", "Column of the declination, in degrees or '±dd:mm:ss'. Empty: the release's own."
    )
    class_column: str = labels_setting(
        "", "Column of the class ('class_table' only). Empty: 'class'."
    )
    image_name_pattern: str = labels_setting(
        "", "File name of a galaxy's image, with '{id}' for its id. Empty: the release's own."
    )
    ignored_classes: tuple[str, ...] = labels_setting(
        (),
        "Classes to leave out, spelt as in the release; their images are not used either.",
        examples=["not_in_clean_sample", "dont_know"],
    )
    class_names: dict[ClassName, ClassName] = labels_setting(
        {},
        'New names for classes, such as {"spiral_clockwise": "spiral"}. Other classes keep theirs.',
    )

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        check_source(RELEASES[self.release], source=self.source, zenodo_record=self.zenodo_record)
        return self


class RunConfig(ReleaseSettings):
    """The settings of one run: frozen, and unknown names are errors.

    Raises pydantic.ValidationError for a value out of bounds or an unknown name; `parse_config`
    turns that into an InputError that reads well in a task log.
    """

    architectures: tuple[Architecture, ...] = setting(
        ("alexnet", "resnet50", "densenet121"),
        "Networks to train. A family without any is skipped.",
        min_length=1,
        examples=list(ARCHITECTURES),
    )
    image_size_px: int = setting(224, "Side of the square network input, in pixels.", ge=32, le=512)
    epochs: int = setting(60, "Maximum number of passes over the training galaxies.", ge=1, le=1000)
    repeats: int = setting(
        1,
        "Trainings of each network with different seeds. Its scores are their means; with two or "
        "more, the intervals say how far another seed might have moved them.",
        ge=1,
        le=20,
    )
    seed: int = setting(
        2026,
        "Seed of each network's first training, from which the seeds of the others derive; also of "
        "the baseline and the bootstrap.",
        ge=0,
        le=2**31 - 1,
    )

    # Labels
    combine: tuple[ReleaseSettings, ...] = labels_setting(
        (),
        "Further releases to train on, each an object with settings of its own: release, source, "
        "scheme, class_names and so on. A galaxy found in several is taken from the first.",
    )
    match_radius_arcsec: float = labels_setting(
        2.0,
        "Entries of different releases no farther apart than this, in arcseconds, are one galaxy.",
        ge=0.1,
        le=60,
    )
    holdout: Literal["join", "respect", "ignore"] = labels_setting(
        "join",
        "What to do with the holdout, the galaxies that stay in the test for good: 'join' keeps "
        "them there and adds this run's test, 'respect' only keeps them there, which suits a "
        "trial, and 'ignore' does neither; its winner cannot become champion.",
    )
    test_fraction: float = labels_setting(
        0.2, "Fraction of the galaxies held out for the test.", ge=0.02, le=0.5
    )
    validation_fraction: float = labels_setting(
        0.15,
        "Fraction of the other galaxies used for early stopping and calibration.",
        ge=0.02,
        le=0.5,
    )
    split_seed: int = labels_setting(
        2026,
        "Seed of the draw of validation galaxies. The test split depends on no seed.",
        ge=0,
        le=2**31 - 1,
    )

    # Images
    crop_fraction: float = images_setting(
        0.5, "Central fraction of the cutout's side to keep; 1 keeps all of it.", ge=0.1, le=1.0
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
        15.0, "Bilateral filter: standard deviation in brightness, in grey levels.", ge=1, le=128
    )
    non_local_means_strength_grey: float = images_setting(
        5.0, "Non-local means: filter strength, in grey levels.", ge=0.5, le=50
    )
    opencv_device: Literal["cpu", "opencl"] = images_setting(
        "cpu", "Device that scales and filters images; 'opencl' can be a GPU."
    )
    max_rejected_fraction: float = images_setting(
        0.01, "Fail if more than this fraction of the images is rejected.", ge=0.0, le=1.0
    )
    max_source_side_px: int = images_setting(
        4096, "Refuse to decode images with a side longer than this, in pixels.", ge=64, le=32768
    )
    image_workers: int = images_setting(
        0, "Processes that prepare images; 0 means one per core.", ge=0, le=256
    )

    # Training
    target: Literal["classes", "votes", "fractions"] = training_setting(
        "classes",
        "What networks learn: 'classes', or how many volunteers gave each answer, as 'votes' "
        "(likelihood) or 'fractions' (squared error); classes then follow by the scheme's rules.",
    )
    training_fraction: float = training_setting(
        1.0,
        "Fraction of the training galaxies to learn from; less shows what more galaxies would "
        "bring.",
        ge=0.01,
        le=1,
    )
    batch_size: int = training_setting(64, "Galaxies per batch.", ge=1, le=4096)
    learning_rate: float = training_setting(
        1e-3, "Peak learning rate of AdamW, reached after warm-up.", ge=1e-6, le=1
    )
    weight_decay: float = training_setting(0.02, "Weight decay of AdamW.", ge=0, le=1)
    warmup_epochs: float = training_setting(
        2.0, "Epochs of linear warm-up before the cosine decay.", ge=0, le=100
    )
    label_smoothing: float = training_setting(
        0.05, "Fraction of each label spread evenly over all classes.", ge=0, le=0.5
    )
    class_balance: Literal["none", "weights", "sampling"] = training_setting(
        "weights", "Help for rare classes: 'weights' in the loss, or balanced 'sampling'."
    )
    class_balance_power: float = training_setting(
        0.5,
        "Strength of 'class_balance': weight = (1 / class fraction) ** power; 1 balances fully.",
        ge=0,
        le=1,
    )
    early_stopping_patience_epochs: int = training_setting(
        15,
        "Stop after this many epochs without improvement in validation macro-F1, with votes in the "
        "loss (five-epoch mean).",
        ge=1,
        le=1000,
    )
    calibration_fraction: float = training_setting(
        0.5,
        "Fraction of the validation galaxies that calibrate the probabilities and take no part in "
        "early stopping.",
        ge=0,
        le=0.9,
    )
    weights: Literal["none", "imagenet"] = training_setting(
        "none", "Initial weights: 'none' for random ones, or 'imagenet'."
    )
    start_from: str = training_setting(
        "",
        "Trained model to start from: a registered model's name for its champion, NAME/VERSION, or "
        "the folder of a model. Of 'architectures' only its own is trained, and galaxies that it "
        "or its ancestors learned from are not in the test. Empty: start from 'weights'.",
    )
    trunk_rate: float = training_setting(
        1.0,
        "With 'start_from' or ImageNet weights: learning rate of the first layer, as a fraction of "
        "the last layer's. Layers between them are graded; 0 trains the last layer alone.",
        ge=0,
        le=1,
    )
    has_flips: bool = training_setting(
        True,
        "Augment with mirror images and quarter turns; always off where classes tell clockwise "
        "from anticlockwise.",
    )
    max_rotation_degrees: float = training_setting(
        180.0, "Augment with rotations up to this angle, in degrees.", ge=0, le=180
    )
    max_shift_fraction: float = training_setting(
        0.04, "Augment with shifts up to this fraction of the side.", ge=0, le=0.5
    )
    max_zoom_fraction: float = training_setting(
        0.1, "Augment with zooms up to this fraction.", ge=0, le=0.5
    )
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = training_setting(
        "auto",
        "Number format; 'auto' is mixed_bfloat16 on a GPU, mixed_float16 on an older one, and "
        "float32 elsewhere.",
    )
    xla: Literal["auto", "on", "off"] = training_setting(
        "auto",
        "XLA compilation under TensorFlow; 'auto' is on with a GPU. Off with 'deterministic'.",
    )
    deterministic: bool = training_setting(
        False, "Bit-identical weights for a given seed on a CPU, at some cost in speed."
    )

    # Evaluation
    test_time_augmentation: Literal[1, 4, 8] = evaluation_setting(
        8,
        "Orientations whose probabilities are averaged: 1, the 4 quarter turns, or those and their "
        "mirror images, which are left out where classes tell clockwise from anticlockwise.",
    )
    coverage: float = evaluation_setting(
        0.9,
        "How often a galaxy's set of classes is to hold the true one.",
        ge=0.5,
        le=0.99,
    )
    margin: float = evaluation_setting(
        0.02,
        "Deficit in macro-F1 that is accepted for a cheaper network: the cheapest wins whose "
        "deficit to the best is shown to be smaller.",
        ge=0,
        le=0.5,
    )
    alpha: float = evaluation_setting(
        0.05,
        "Probability of error that the comparisons of all networks have together.",
        ge=0.001,
        le=0.2,
    )
    require_approval: bool = evaluation_setting(
        False,
        "Ask somebody in Airflow before a better model takes the champion's place; without an "
        "answer in seven days it does not.",
    )
    bootstrap_samples: int = evaluation_setting(
        2000, "Bootstrap samples behind each interval.", ge=100, le=100_000
    )

    # Simulation
    simulated_galaxies: int = simulation_setting(
        2400, "Number of galaxies drawn for the simulated release.", ge=60, le=1_000_000
    )
    simulation_seed: int = simulation_setting(
        2026,
        "Seed of the simulated release; another draws other galaxies, with other ids.",
        ge=0,
        le=2**31 - 1,
    )

    @model_validator(mode="after")
    def _check_architectures(self) -> "RunConfig":
        without = [name for name in self.architectures if name not in IMAGENET_ARCHITECTURES]
        if self.weights == "imagenet" and without:
            raise ValueError(
                f"'weights' is 'imagenet', but no such weights are published for "
                f"{', '.join(without)}. Choose among {', '.join(IMAGENET_ARCHITECTURES)}"
            )
        if len(set(self.architectures)) != len(self.architectures):
            raise ValueError(
                f"'architectures' lists a network twice. Received: {self.architectures}"
            )
        return self

    @model_validator(mode="after")
    def _check_start(self) -> "RunConfig":
        if self.trunk_rate != 1 and not self.start_from and self.weights == "none":
            raise ValueError(
                "'trunk_rate' slows trained layers down, and random ones would stay random. Name a "
                "model in 'start_from', set 'weights' to 'imagenet', or leave it at 1. "
                f"Received: {self.trunk_rate:g}"
            )
        return self

    @model_validator(mode="after")
    def _check_target(self) -> "RunConfig":
        if self.target == "classes":
            return self
        asking = [name for name, release in RELEASES.items() if release.ballots]
        if self.combine or self.release not in asking or self.scheme != "clean5":
            raise ValueError(
                f"'target' {self.target!r} needs one release whose volunteers were counted, and "
                f"the scheme 'clean5'. Releases: {', '.join(asking)}. Received: "
                f"{' and '.join(part.release for part in self.parts())}, {self.scheme!r}"
            )
        return self

    @model_validator(mode="after")
    def _check_samples(self) -> "RunConfig":
        pairs = math.comb(len(self.architectures), 2)
        if self.bootstrap_samples < (needed := math.ceil(pairs / self.alpha)):
            raise ValueError(
                f"'bootstrap_samples' must be at least {needed:,}, so that intervals of {pairs} "
                f"pairs of networks can hold together with an 'alpha' of {self.alpha:g}. Received: "
                f"{self.bootstrap_samples:,}"
            )
        return self

    @model_validator(mode="after")
    def _check_combined(self) -> "RunConfig":
        parts = (self, *self.combine)
        if self.combine and any(part.release == "simulated" for part in parts):
            raise ValueError("'combine' takes observed galaxies only, and one release is simulated")
        names = [part.release for part in parts]
        unplaced = [part.release for part in parts if not (part.ra_column and part.dec_column)]
        overlaps = find_hidden_overlaps(unplaced, names)
        if hidden := [pair for pair in overlaps if pair[0] in unplaced]:
            raise ValueError(
                f"'combine' would put the same galaxies into both training and test: "
                f"{explain_overlaps(hidden)}. Leave one of the releases out (of "
                "galaxy_zoo_challenge and galaxy_zoo_2, keep the latter), or add positions to its "
                "table and name their columns in 'ra_column' and 'dec_column'"
            )
        return self

    def parts(self) -> "tuple[RunConfig, ...]":
        """Return the settings of each release by itself, in order of precedence."""
        alone = self.model_copy(update={"combine": ()})
        return (alone, *(alone.model_copy(update=dict(other)) for other in self.combine))

    @property
    def required_votes(self) -> int:
        """Volunteers that a rule asks for: none where votes are learned, as few count little."""
        return self.minimum_votes if self.target == "classes" else 0

    @property
    def release_title(self) -> str:
        """The names of the releases, each with its folder's name where there is one."""
        return " and ".join(
            f"{part.release} ({Path(part.source).name})" if part.source else part.release
            for part in self.parts()
        )

    @property
    def training_seeds(self) -> tuple[int, ...]:
        """The seeds of each network's trainings; those of fewer repeats are the first of more."""
        return (self.seed, *(_derive_seed(self.seed, n) for n in range(1, self.repeats)))

    def for_training(self, seed: int) -> "RunConfig":
        """Return the settings of one training: a run of these alone repeats it."""
        return self.model_copy(update={"seed": seed, "repeats": 1})

    def variants(self, family: Family) -> tuple[Architecture, ...]:
        """Return the chosen architectures of a family, in the order of the form."""
        return tuple(name for name in self.architectures if name.startswith(family))


def _derive_seed(seed: int, number: int) -> int:
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4]) % 2**31


PRESETS: dict[Preset, dict[str, Any]] = {
    "full": {"repeats": 3},
    "quick": {
        "architectures": ("alexnet", "resnet18", "densenet121"),
        "image_size_px": 72,
        "epochs": 8,
        "warmup_epochs": 1.0,
        "holdout": "respect",
    },
}
"""Settings that differ from the defaults. 'full' suits a GPU, and its test joins the holdout;
'quick' suits a CPU and is a trial, which leaves no trace there.

At 72 px AlexNet has 29 million parameters, half of those at 224 px, and its first convolution a
stride of 2; smaller inputs down to 64 px would need larger dense layers. ResNet-18 stands in for
ResNet-50; DenseNet-121 is the smallest DenseNet of its paper already.
"""


def find_changes(config: "RunConfig") -> tuple[Preset, dict[str, Any]]:
    """Return the preset that a run is nearest to, and its settings that differ from that."""
    changes: dict[Preset, dict[str, Any]] = {}
    for preset, values in PRESETS.items():
        start = RunConfig(**values)
        changes[preset] = {
            name: getattr(config, name)
            for name in RunConfig.model_fields
            if getattr(config, name) != getattr(start, name)
        }
    return min(changes.items(), key=lambda one: len(one[1]))


def default_preset() -> Preset:
    """Return GALAXY_PRESET if set, else 'full' with an NVIDIA GPU, else 'quick'."""
    named = os.environ.get("GALAXY_PRESET", "")
    if named:
        if named not in PRESETS:
            raise InputError(
                f"GALAXY_PRESET must be one of {', '.join(PRESETS)}. Received: {named!r}"
            )
        return named
    return "full" if count_gpus() else "quick"


def keras_backend() -> Backend:
    """Return the library that Keras computes with: KERAS_BACKEND if set, else 'tensorflow'.

    Raises:
        InputError: another backend, or JAX where it is not installed.
    """
    named = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if named not in BACKENDS:
        raise InputError(f"KERAS_BACKEND must be one of {', '.join(BACKENDS)}. Received: {named!r}")
    if named == "jax" and find_spec("jax") is None:
        raise InputError(
            "KERAS_BACKEND is 'jax', and JAX is not installed. Install it (pip install jax) or "
            "unset KERAS_BACKEND."
        )
    return named


def parse_config(settings: dict[str, Any]) -> RunConfig:
    """Return the RunConfig of these settings, with defaults for what is missing or None.

    The trigger form sends None for an empty field.

    Raises:
        InputError: names each wrong setting, what is allowed and what was received.
    """
    try:
        return RunConfig(**{name: value for name, value in settings.items() if value is not None})
    except ValidationError as error:
        lines = [_describe(dict(problem)) for problem in error.errors()]
        raise InputError("Settings were refused:\n  " + "\n  ".join(lines)) from None


def form_schemas(preset: Preset) -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each setting's field in the trigger form, in the form's order.

    The default is the preset's, and the description ends with the bounds.
    """
    document = RunConfig.model_json_schema()
    schemas = document["properties"]
    for schema in schemas.values():
        # Each field stands alone in the form, where references into the document lead nowhere.
        if reference := schema.get("items", {}).get("$ref"):
            schema["items"] = document["$defs"][reference.rpartition("/")[2]]
    for name, value in PRESETS[preset].items():
        schemas[name]["default"] = list(value) if isinstance(value, tuple) else value
    for schema in schemas.values():
        schema["description"] = schema["description"].removesuffix(".") + _describe_bounds(schema)
    return schemas


def _describe(problem: dict[str, Any]) -> str:
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    name = ".".join(show(part) for part in problem["loc"])
    meant = _find_meant(problem)
    return f"{name}: {problem['msg']}. Received: {problem['input']!r}" + (
        f". Did you mean {meant!r}?" if meant else ""
    )


def _find_meant(problem: dict[str, Any]) -> str:
    """Return the setting, or the choice of one, that resembles the one received; '' without one."""
    if problem["type"] == "extra_forbidden":
        received, known = problem["loc"][-1], list(RunConfig.model_fields)
    elif problem["type"] == "literal_error":
        received, known = problem["input"], re.findall("'([^']+)'", problem["ctx"]["expected"])
    else:
        return ""
    return next(iter(difflib.get_close_matches(str(received), known, n=1)), "")


def _describe_bounds(schema: dict[str, Any]) -> str:
    bounds = [schema.get(name) for name in ("minimum", "maximum")]
    return "." if None in bounds else f" ({bounds[0]} to {bounds[1]})."
