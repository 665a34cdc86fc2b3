"""What the report shows, gathered from the artifacts of a run."""

import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from galaxy_tasks.artifacts import Artifact, code_version
from galaxy_tasks.config import RunConfig
from galaxy_tasks.contestants import Contestant, describe_tested
from galaxy_tasks.durable import read_json
from galaxy_tasks.examples import ExampleGalaxy, choose_examples
from galaxy_tasks.history import History, labels_of
from galaxy_tasks.report import MissingModel, RejectedFile, ReportInputs
from galaxy_tasks.selection import Candidate, Selection

NUM_EXAMPLES = 12
"""Galaxies called right, and as many called wrong, that the report shows."""


def gather_report(
    config: RunConfig,
    *,
    images: Artifact,
    contestants: Sequence[Contestant],
    candidates: tuple[Candidate, ...],
    selection: Selection,
    missing: tuple[MissingModel, ...],
    winner: Contestant,
    history: History,
) -> ReportInputs:
    """Return all that the page shows, read from the artifacts where it is not given."""
    labels = labels_of(images)
    cleaned = labels.manifest["summary"]
    test_set = describe_tested(winner, labels)
    return ReportInputs(
        config=config,
        selection=selection,
        candidates=candidates,
        missing_models=missing,
        histories={
            c.record.architecture: read_json(c.artifact.path / "history.json") for c in contestants
        },
        examples=_pick_examples(images.path, winner),
        num_rows=cleaned["rows_in"],
        class_counts=_count_by_split(cleaned["classes"]),
        dropped=cleaned["dropped"],
        rejected_images=_list_rejected(images),
        artifacts={
            "labels": labels.key,
            "test set": f"{test_set['galaxies']:,} galaxies, SHA-256 {test_set['sha256']}, "
            f"{test_set['kept_from_earlier']:,} of the labels' test kept there from earlier runs",
            "images": images.key,
            **{c.record.architecture: str(c.artifact.path) for c in contestants},
        },
        hardware=_describe_hardware(contestants),
        times_s={f"training {c.record.architecture}": c.record.training_s for c in contestants},
        succession=history.succession,
        changes=history.changes,
        code_version=code_version(),
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def _list_rejected(images: Artifact) -> tuple[RejectedFile, ...]:
    rejected = pd.read_parquet(images.path / "rejected.parquet")
    return tuple(
        RejectedFile(row.source_file, row.reason)  # pyright: ignore[reportArgumentType]
        for row in rejected.itertuples()
    )


def _describe_hardware(contestants: Sequence[Contestant]) -> dict[str, str]:
    return {
        "training": "; ".join(sorted({c.record.device for c in contestants})),
        "evaluation": f"{platform.platform()}, Python {platform.python_version()}",
    }


def _count_by_split(classes: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Turn counts by class, then split, into counts by split, then class."""
    splits = ("train", "validation", "test")
    return {split: {name: counts[split] for name, counts in classes.items()} for split in splits}


def _pick_examples(images_folder: Path, winner: Contestant) -> tuple[ExampleGalaxy, ...]:
    labels = winner.galaxies["label_index"].to_numpy()
    chosen = choose_examples(winner.probabilities, labels=labels, num_each=NUM_EXAMPLES)
    images = np.load(images_folder / "images.npy", mmap_mode="r")
    classes = winner.record.classes
    return tuple(
        ExampleGalaxy(
            galaxy_id=str(winner.galaxies["galaxy_id"].iloc[row]),
            image=np.array(images[winner.galaxies["row"].iloc[row]]),
            label=classes[labels[row]],
            prediction=classes[int(winner.probabilities[row].argmax())],
            probability=float(winner.probabilities[row].max()),
        )
        for row in (*chosen.right, *chosen.wrong)
    )
