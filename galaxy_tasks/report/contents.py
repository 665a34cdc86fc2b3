"""What the report shows, gathered from the artifacts of a run."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.candidates import Candidate
from galaxy_tasks.evaluation.outcome import Outcome
from galaxy_tasks.report.examples import ExampleGalaxy, ExplainedGalaxy, choose_examples
from galaxy_tasks.report.figures import EpochHistory
from galaxy_tasks.storage.artifacts import Artifact, code_version
from galaxy_tasks.storage.atomic_io import read_json
from galaxy_tasks.training.checkpoints import average_stretch
from galaxy_tasks.training.model_record import HISTORY, read_heat_maps

NUM_EXAMPLES = 12
"""Galaxies classified correctly that the report shows; of the misclassified, twice as many."""


@dataclass(frozen=True)
class MissingModel:
    """A training without a model, or a family of networks that was not chosen."""

    architecture: str
    """The network, with the seed where there are several, or the family."""
    status: Literal["failed", "skipped"]
    reason: str


@dataclass(frozen=True)
class RejectedFile:
    """An image file that could not be used."""

    file: str
    reason: str


@dataclass(frozen=True)
class ReportInputs:
    """Everything that the page shows."""

    config: RunConfig
    outcome: Outcome
    missing_models: tuple[MissingModel, ...]
    histories: Mapping[str, Mapping[int, EpochHistory]]
    """By architecture, then by seed."""
    examples: tuple[ExampleGalaxy, ...]
    """Of the winner; the page parts the right from the wrong."""
    explained: tuple[ExplainedGalaxy, ...]
    """Of the winner, too."""
    num_rows: int
    """Rows of the catalogue, before any was dropped."""
    class_counts: Mapping[str, Mapping[str, int]]
    """Labelled galaxies by split (train, validation, test), then by class."""
    dropped: Mapping[str, int]
    """Rows dropped while cleaning, by reason."""
    rejected_images: tuple[RejectedFile, ...]
    artifacts: Mapping[str, str]
    """What was made, and its key or folder."""
    hardware: Mapping[str, str]
    """Where it ran: a word such as 'training' or 'processor', and what that was."""
    packages: Mapping[str, str]
    """Versions of the packages that the winner was trained with; the code names the lock."""
    times_s: Mapping[str, float]
    """Seconds that each training took, over all its attempts."""
    code_version: str
    written: str
    """When, as a person would write it, with the time zone."""


def gather_report(
    config: RunConfig,
    outcome: Outcome,
    *,
    labels: Artifact,
    images: Artifact,
    missing: tuple[MissingModel, ...],
) -> ReportInputs:
    """Return all that the page shows, read from the artifacts where it is not given."""
    cleaned, candidates = labels.manifest["summary"], outcome.candidates
    return ReportInputs(
        config=config,
        outcome=outcome,
        missing_models=missing,
        histories=_read_histories(outcome),
        examples=_pick_examples(images.path, labels.path, outcome.winner),
        explained=_list_explained(images.path, outcome.winner),
        num_rows=cleaned["rows_in"],
        class_counts=_count_by_split(cleaned["classes"]),
        dropped=cleaned["dropped"],
        rejected_images=_list_rejected(images),
        artifacts={
            "labels": labels.key,
            "test set": _describe_test_set(outcome.test_set),
            "images": images.key,
            **{c.title: str(c.artifact.path) for c in candidates},
        },
        hardware=_describe_hardware(candidates),
        packages=outcome.winner.artifact.manifest["packages"],
        times_s={f"training {c.title}": c.record.training_s for c in candidates},
        code_version=code_version(),
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def _read_histories(outcome: Outcome) -> dict[str, dict[int, EpochHistory]]:
    return {
        network.architecture: {
            model.seed: read_history(Path(model.path)) for model in network.models
        }
        for network in outcome.networks
    }


def read_history(model_folder: Path) -> EpochHistory:
    """Return a model's history, each record with `mean_val_macro_f1`, by which epochs compare."""
    history = read_json(model_folder / HISTORY)
    return [
        {**record, "mean_val_macro_f1": average_stretch(history[: index + 1], "val_macro_f1")}
        for index, record in enumerate(history)
    ]


def _describe_test_set(tested: Mapping[str, Any]) -> str:
    return (
        f"{tested['galaxies']:,} galaxies, SHA-256 {tested['sha256']}; {tested['from_holdout']:,} "
        "of the labelled test galaxies come from the holdout alone"
    )


def _list_rejected(images: Artifact) -> tuple[RejectedFile, ...]:
    rejected = pd.read_parquet(images.path / "rejected.parquet")
    return tuple(
        RejectedFile(row.source_file, row.reason)  # pyright: ignore[reportArgumentType]
        for row in rejected.itertuples()
    )


def _describe_hardware(candidates: Sequence[Candidate]) -> dict[str, str]:
    return {
        "training": "; ".join(sorted({c.record.device for c in candidates})),
        "evaluation": f"{platform.platform()}, Python {platform.python_version()}",
    }


def _count_by_split(classes: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Turn counts by class, then split, into counts by split, then class."""
    splits = ("train", "validation", "test")
    return {split: {name: counts[split] for name, counts in classes.items()} for split in splits}


def _pick_examples(
    images_folder: Path, labels_folder: Path, winner: Candidate
) -> tuple[ExampleGalaxy, ...]:
    labels = winner.galaxies["label_index"].to_numpy()
    chosen = choose_examples(winner.answers.decisive, labels=labels, num_each=NUM_EXAMPLES)
    calls = winner.answers.decisive.argmax(axis=1)
    images = np.load(images_folder / "images.npy", mmap_mode="r")
    classes = winner.record.classes
    table = pd.read_parquet(labels_folder / "labels.parquet", columns=["galaxy_id", "agreement"])
    agreement = table.dropna().set_index("galaxy_id")["agreement"].to_dict()
    return tuple(
        ExampleGalaxy(
            galaxy_id=str(winner.galaxies["galaxy_id"].iloc[row]),
            image=np.array(images[winner.galaxies["row"].iloc[row]]),
            label=classes[labels[row]],
            prediction=classes[calls[row]],
            probability=float(winner.answers.calibrated[row, calls[row]]),
            agreement=agreement.get(winner.galaxies["galaxy_id"].iloc[row]),
        )
        for row in (*chosen.right, *chosen.wrong)
    )


def _list_explained(images_folder: Path, winner: Candidate) -> tuple[ExplainedGalaxy, ...]:
    heat_maps = read_heat_maps(winner.artifact.path)
    images = np.load(images_folder / "images.npy", mmap_mode="r")
    classes, labels = winner.record.classes, winner.tested.labels
    calls = winner.tested.probabilities[0].argmax(axis=1)
    return tuple(
        ExplainedGalaxy(
            galaxy_id=str(winner.galaxies["galaxy_id"].iloc[row]),
            image=np.array(images[winner.galaxies["row"].iloc[row]]),
            heat_map=heat_map,
            label=classes[labels[row]],
            prediction=classes[calls[row]],
        )
        for row, heat_map in zip(heat_maps.positions, heat_maps.maps, strict=True)
    )
