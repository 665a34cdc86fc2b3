"""What determines each artifact: the settings and inputs that go into its cache key, and no others.

A missing setting would let a step return a result made with another value of it; one too many would
repeat finished work. Facts go in under names that stand here, so that renaming a class or a field
changes no key. `*_FORMAT` numbers change with the code whose output changes for the same inputs, so
that it does not return what an older version made.

Left out on purpose: where a step ran. A model trained on a CPU is the same model to a GPU, though
'auto' chose other arithmetic; its record says which.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from galaxy_tasks.config import Architecture, RunConfig, keras_backend
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.schema import (
    BranchCriterion,
    GivenScheme,
    ImageKey,
    ImageMapping,
    Release,
    Scheme,
    ShorthandScheme,
)

RELEASE_FORMAT = 3
HOLDOUT_FORMAT = 2
LABELS_FORMAT = 6
IMAGES_FORMAT = 4
MODEL_FORMAT = 6
BASELINE_FORMAT = 2
PREDICTIONS_FORMAT = 3
EVALUATION_FORMAT = 8
ABLATION_FORMAT = 1
EXPORT_FORMAT = 1
VOTES_FORMAT = 2
"""Of labels and models where votes are learned."""

_RELEASE_SETTINGS = [
    "minimum_votes",
    "id_column",
    "ra_column",
    "dec_column",
    "class_column",
    "image_name_pattern",
    "ignored_classes",
    "class_names",
]
_SPLIT_SETTINGS = [
    "match_radius_arcsec",
    "test_fraction",
    "validation_fraction",
]
IMAGE_SETTINGS = [
    "image_size_px",
    "crop_fraction",
    "denoise_method",
    "gaussian_sigma_px",
    "median_size_px",
    "bilateral_sigma_grey",
    "non_local_means_strength_grey",
    "opencv_device",
    "max_source_side_px",
]
TRAINING_SETTINGS = [
    "epochs",
    "seed",
    "split_seed",
    "training_fraction",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "warmup_epochs",
    "label_smoothing",
    "class_balance",
    "class_balance_power",
    "early_stopping_patience_epochs",
    "calibration_fraction",
    "weights",
    "has_flips",
    "max_rotation_degrees",
    "max_shift_fraction",
    "max_zoom_fraction",
    "precision",
    "xla",
    "deterministic",
]


@dataclass(frozen=True)
class ReleaseFiles:
    """A release on disk: what `prepare_release` found, as it travels through an XCom."""

    catalogue: str
    """Path of the catalogue, in any format that `acquisition.tables` reads."""
    images: str
    """Path of the folder with the cutouts, or of a zip with them."""
    mapping: str
    """Path of the table that maps ids to image files; empty where file names hold the id."""
    content: str
    """SHA-256 over the tables' content and the images' names and checksums, of all releases."""
    combined: tuple["ReleaseFiles", ...] = ()
    """The further releases of the run, in the order of RunConfig.combine."""

    def __post_init__(self) -> None:
        """Read the further releases, too, from their JSON form."""
        others = (
            one if isinstance(one, ReleaseFiles) else ReleaseFiles(**one) for one in self.combined
        )
        object.__setattr__(self, "combined", tuple(others))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; `ReleaseFiles(**form)` reads it."""
        return asdict(self)

    def parts(self) -> "tuple[ReleaseFiles, ...]":
        """Return each release of the run, in the order of RunConfig.parts."""
        return (self, *self.combined)


def join_release_files(parts: Sequence[ReleaseFiles]) -> ReleaseFiles:
    """Return the releases of a run as one record, with the hash of their contents."""
    first, *others = parts
    if not others:
        return first
    content = hashlib.sha256("\n".join(part.content for part in parts).encode()).hexdigest()
    return replace(first, content=content, combined=tuple(others))


def _pick(config: RunConfig, names: list[str]) -> dict[str, Any]:
    return {name: getattr(config, name) for name in names}


def holdout_made_from(content: str) -> dict[str, Any]:
    """Return what determines a holdout: its galaxies, as the hash `content`."""
    return {"format": HOLDOUT_FORMAT, "content": content}


def labels_made_from(
    config: RunConfig,
    release_files: ReleaseFiles,
    *,
    holdout_key: str | None,
    ancestor_keys: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what determines the labels and the split.

    `holdout_key` is None without a holdout; `ancestor_keys` are those of the labels that the
    ancestors of the run's networks learned from.
    """
    return {
        "format": LABELS_FORMAT,
        **({"ancestors": list(ancestor_keys)} if ancestor_keys else {}),
        **(_list_votes(config) if config.target != "classes" else {}),
        "content": release_files.content,
        "holdout": holdout_key,
        "releases": [
            {**_list_rules(RELEASES[part.release], part.scheme), **_pick(part, _RELEASE_SETTINGS)}
            for part in config.parts()
        ],
        **_pick(config, _SPLIT_SETTINGS),
        "seed": config.split_seed,
    }


def _list_rules(release: Release, scheme: str) -> dict[str, Any]:
    """Return the facts of a release that determine labels; papers, links and titles do not."""
    chosen = release.schemes.get("as_given") or release.schemes.get(scheme)
    return {
        "release": release.name,
        "scheme": _list_scheme(chosen) if chosen else None,
        "columns": {
            "id": release.id_columns,
            "ra": release.ra_column,
            "dec": release.dec_column,
            "aliases": dict(release.aliases),
        },
        "cutout_arcsec": release.cutout_arcsec,
        "image_names": {
            "pattern": release.image_name_pattern,
            "mapping": _list_mapping(release.mapping) if release.mapping else None,
        },
    }


def _list_scheme(scheme: Scheme) -> dict[str, Any]:
    if isinstance(scheme, GivenScheme):
        return {"class_column": scheme.column}
    if isinstance(scheme, ShorthandScheme):
        return {
            "shorthand_column": scheme.column,
            "grammar": scheme.grammar,
            "artifact": scheme.artifact_pattern,
            "patterns": [[rule.morphology, rule.pattern] for rule in scheme.rules],
        }
    return {
        "vote_fractions": {
            rule.morphology: [
                {
                    "column": criterion.column,
                    "minimum": criterion.minimum,
                    "vote_columns": criterion.vote_columns,
                    "may_be_blank": isinstance(criterion, BranchCriterion),
                }
                for criterion in rule.criteria
            ]
            for rule in scheme.rules
        }
    }


def _list_votes(config: RunConfig) -> dict[str, Any]:
    """Return what determines the votes, and the classes that follow from them."""
    kind = RELEASES[config.release].votes
    return {
        "votes_format": VOTES_FORMAT,
        "votes": _list_ballots(config),
        "base": kind.base if kind else None,
    }


def _list_ballots(config: RunConfig) -> list[dict[str, Any]]:
    return [
        {
            "counted_as": ballot.counted_as,
            "volunteers": ballot.volunteers,
            "parents": dict(ballot.parents),
            "answers": [[one.question, one.answer] for one in ballot.answers],
            "questions": [
                [one.name, one.answers, one.columns, one.total] for one in ballot.questions
            ],
        }
        for ballot in RELEASES[config.release].ballots
    ]


def _list_mapping(mapping: ImageMapping | ImageKey) -> dict[str, Any]:
    if isinstance(mapping, ImageMapping):
        return {"id_column": mapping.id_column, "image_column": mapping.image_column}
    return {"columns": mapping.columns, "separator": mapping.separator, "minus": mapping.minus}


def images_made_from(
    config: RunConfig, release_files: ReleaseFiles, *, labels_content: str
) -> dict[str, Any]:
    """Return what determines the prepared images; `labels_content` hashes the labels themselves.

    Labels that come out alike keep the images and the models made from them, whichever holdout
    they were made with.
    """
    return {
        "format": IMAGES_FORMAT,
        "content": release_files.content,
        "labels": labels_content,
        **_pick(config, IMAGE_SETTINGS),
    }


def model_made_from(
    config: RunConfig, images_key: str, architecture: Architecture
) -> dict[str, Any]:
    """Return what determines a trained model; `config` as of `RunConfig.for_training`."""
    return {
        "format": MODEL_FORMAT,
        "images": images_key,
        "architecture": architecture,
        "backend": keras_backend(),
        **_pick(config, TRAINING_SETTINGS),
        **_list_start(config),
        **_list_target(config),
    }


def _list_target(config: RunConfig) -> dict[str, Any]:
    if config.target == "classes":
        return {}
    return {"target": config.target, "votes_format": VOTES_FORMAT}


def _list_start(config: RunConfig) -> dict[str, Any]:
    """Return what is known of trained weights to start from; nothing where they are random."""
    start = {"start_from": Path(config.start_from).name} if config.start_from else {}
    return start | ({"trunk_rate": config.trunk_rate} if config.trunk_rate != 1 else {})


def fold_model_made_from(
    config: RunConfig, images_key: str, architecture: Architecture, *, fold: Sequence[int]
) -> dict[str, Any]:
    """Return what determines a model that has not learned from a fold: (index, count)."""
    return {**model_made_from(config, images_key, architecture), "fold": list(fold)}


def ablation_made_from(
    config: RunConfig, vary: Mapping[str, Sequence[Any]], *, model_keys: Sequence[str]
) -> dict[str, Any]:
    """Return what determines an ablation."""
    return {
        "format": ABLATION_FORMAT,
        "vary": {name: list(levels) for name, levels in vary.items()},
        "models": sorted(model_keys),
        **_pick(config, ["test_time_augmentation", "alpha"]),
    }


def baseline_made_from(config: RunConfig, images_key: str) -> dict[str, Any]:
    """Return what determines the test probabilities of gradient boosting."""
    return {
        "format": BASELINE_FORMAT,
        "images": images_key,
        **_pick(config, ["seed", "split_seed", "training_fraction"]),
    }


def predictions_made_from(
    config: RunConfig,
    *,
    images_key: str,
    evaluation_key: str,
    model_key: str,
    test_time_augmentation: int,
) -> dict[str, Any]:
    """Return what determines a champion's predictions for a run's test galaxies.

    `test_time_augmentation` is that of the evaluation that the champion won.
    """
    return {
        "format": PREDICTIONS_FORMAT,
        "images": images_key,
        "evaluation": evaluation_key,
        "model": model_key,
        "test_time_augmentation": test_time_augmentation,
        **_pick(config, ["match_radius_arcsec"]),
    }


def export_made_from(model_key: str) -> dict[str, Any]:
    """Return what determines a model's export."""
    return {"format": EXPORT_FORMAT, "model": model_key}


def evaluation_made_from(
    config: RunConfig,
    model_keys: list[str],
    *,
    missing: list[str],
    baseline_key: str | None,
    predictions_key: str | None,
    is_first: bool,
) -> dict[str, Any]:
    """Return what determines an evaluation and its report.

    `baseline_key` is that of the baseline, and `predictions_key` that of the champion's
    predictions; None without such. `is_first`: no champion knows these classes.
    """
    return {
        "format": EVALUATION_FORMAT,
        "models": sorted(model_keys),
        "missing": missing,
        "baseline": baseline_key,
        "predictions": predictions_key,
        "is_first": is_first,
        "holdout": config.holdout,
        **_pick(config, ["bootstrap_samples", "seed", "test_time_augmentation"]),
        **_pick(config, ["coverage", "margin", "alpha"]),
    }


def simulation_made_from(config: RunConfig) -> dict[str, Any]:
    """Return what determines a simulated release."""
    return {"format": RELEASE_FORMAT, **_pick(config, ["simulated_galaxies", "simulation_seed"])}
