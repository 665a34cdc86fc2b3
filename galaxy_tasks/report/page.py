"""From evaluations to what people read: the leaderboard in the task log and one HTML page.

The page needs nothing but itself: styles, drawings and images are inside it, so it can be mailed,
archived and opened without a network. What comes from user tables (class names, ids, reasons) is
escaped.
"""

import json
import platform
import textwrap
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from galaxy_tasks.config import ReleaseSettings, RunConfig
from galaxy_tasks.evaluation.challenge import Challenge, ChampionComparison, labels_of
from galaxy_tasks.evaluation.drift import ReleaseDrift
from galaxy_tasks.evaluation.metrics import Estimate
from galaxy_tasks.evaluation.selection import (
    Candidate,
    CandidateModel,
    Selection,
    describe_tested,
    rank,
)
from galaxy_tasks.formatting import format_duration, format_name
from galaxy_tasks.report.examples import ExampleGalaxy, choose_examples
from galaxy_tasks.report.figures import (
    LOSS_PANEL,
    SCORE_PANEL,
    EpochHistory,
    draw_curves,
    encode_jpeg,
    find_best_epoch,
    find_limits,
)
from galaxy_tasks.storage.artifacts import Artifact, code_version
from galaxy_tasks.storage.atomic_io import read_json

TEMPLATE = Path(__file__).with_name("page.html")
FEW_GALAXIES = 30
"""Classes with fewer test galaxies are marked: one galaxy moves their recall by over 3 %."""
MOST_REJECTED_SHOWN = 100
_LEADERBOARD_HEADER = (
    *("", "model", "macro-F1", "accuracy", "loss", "weighted-F1"),
    *("parameters", "training", "images/s"),
)
_FIRST_NUMBER = _LEADERBOARD_HEADER.index("parameters")


@dataclass(frozen=True)
class MissingModel:
    """An architecture that was asked for and has no result."""

    architecture: str
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
    selection: Selection
    candidates: tuple[Candidate, ...]
    missing_models: tuple[MissingModel, ...]
    histories: Mapping[str, EpochHistory]
    """By architecture."""
    examples: tuple[ExampleGalaxy, ...]
    """Of the winner; the page parts the right from the wrong."""
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
    times_s: Mapping[str, float]
    """Seconds that each training took, over all its attempts."""
    challenge: Challenge | None
    """None where no other run has had a winner."""
    changes: ReleaseDrift | None
    """None without a champion, or where it had the same galaxies."""
    code_version: str
    written: str
    """When, as a person would write it, with the time zone."""


def render_leaderboard(
    selection: Selection,
    candidates: Sequence[Candidate],
    missing_models: Sequence[MissingModel] = (),
) -> str:
    """Return the plain-text table for the task log: best first, `*` marks the winner."""
    rows = [_LEADERBOARD_HEADER, *(_leaderboard_row(one, selection) for one in rank(candidates))]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if index >= _FIRST_NUMBER else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    num_galaxies = candidates[0].evaluation.num_galaxies
    tie = " (a tie)" if selection.is_tie else ""
    return "\n".join(
        [
            f"Leaderboard on {num_galaxies:,} test galaxies, best macro-F1 first "
            "(95 % intervals in brackets, * the winner)",
            *lines,
            *(f"   {one.architecture}: {one.status} ({one.reason})" for one in missing_models),
            f"Winner: {selection.winner}{tie}",
            *textwrap.wrap(selection.reason, 100, break_on_hyphens=False),
        ]
    )


def render_report(inputs: ReportInputs) -> str:
    """Return the page as one HTML document.

    Raises:
        InputError: an example's image is not uint8 (height, width, 3).
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        words=format_name, duration=format_duration, estimate=show_estimate, jpeg=encode_jpeg
    )
    ranked = rank(inputs.candidates)
    by_name = {candidate.architecture: candidate for candidate in ranked}
    return environment.get_template(TEMPLATE.name).render(
        inputs=inputs,
        ranked=ranked,
        winner=by_name[inputs.selection.winner],
        classes=ranked[0].evaluation.classes,
        scale=_find_scale([candidate.evaluation.macro_f1 for candidate in ranked]),
        curves=_draw_all_curves(inputs.histories, [one.architecture for one in ranked]),
        examples={
            "right": [example for example in inputs.examples if example.is_right],
            "wrong": [example for example in inputs.examples if not example.is_right],
        },
        settings=describe_settings(inputs.config),
        is_simulated=inputs.config.release == "simulated",
        few_galaxies=FEW_GALAXIES,
        most_rejected_shown=MOST_REJECTED_SHOWN,
    )


def _leaderboard_row(candidate: Candidate, selection: Selection) -> tuple[str, ...]:
    evaluation = candidate.evaluation
    return (
        "*" if candidate.architecture == selection.winner else "",
        candidate.architecture,
        show_estimate(evaluation.macro_f1),
        show_estimate(evaluation.accuracy),
        show_estimate(evaluation.loss),
        show_estimate(evaluation.weighted_f1),
        f"{candidate.num_parameters:,}",
        format_duration(candidate.training_s),
        f"{candidate.images_per_s:,.0f}",
    )


def _find_scale(estimates: Sequence[Estimate]) -> dict[str, float]:
    """Return an axis in twentieths that holds all intervals."""
    low = int(min(estimate.low for estimate in estimates) * 20) / 20
    high = min(1.0, int(max(estimate.high for estimate in estimates) * 20 + 1) / 20)
    return {"low": low if low < high else low - 0.05, "high": high}


def _draw_all_curves(
    histories: Mapping[str, EpochHistory], architectures: Sequence[str]
) -> list[dict[str, Any]]:
    """Return for each model with a history its panels, on axes shared by all models."""
    shown = {name: histories[name] for name in architectures if histories.get(name)}
    limits = {
        panel.title: find_limits(list(shown.values()), panel) for panel in (LOSS_PANEL, SCORE_PANEL)
    }
    return [
        {
            "architecture": name,
            "epochs": len(history),
            "best": find_best_epoch(history),
            "last": history[-1],
            "panels": [
                Markup(  # our own drawing; its text is escaped where it is made
                    draw_curves(
                        history,
                        panel=panel,
                        limits=limits[panel.title],
                        description=f"{name}: {panel.title} by epoch",
                    )
                )
                for panel in (LOSS_PANEL, SCORE_PANEL)
            ],
        }
        for name, history in shown.items()
    ]


# What the report shows, gathered from the artifacts of a run.


NUM_EXAMPLES = 12
"""Galaxies called right, and as many called wrong, that the report shows."""


def gather_report(
    config: RunConfig,
    *,
    images: Artifact,
    candidate_models: Sequence[CandidateModel],
    candidates: tuple[Candidate, ...],
    selection: Selection,
    missing: tuple[MissingModel, ...],
    winner: CandidateModel,
    champion: ChampionComparison,
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
            c.record.architecture: read_json(c.artifact.path / "history.json")
            for c in candidate_models
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
            **{c.record.architecture: str(c.artifact.path) for c in candidate_models},
        },
        hardware=_describe_hardware(candidate_models),
        times_s={
            f"training {c.record.architecture}": c.record.training_s for c in candidate_models
        },
        challenge=champion.challenge,
        changes=champion.changes,
        code_version=code_version(),
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def _list_rejected(images: Artifact) -> tuple[RejectedFile, ...]:
    rejected = pd.read_parquet(images.path / "rejected.parquet")
    return tuple(
        RejectedFile(row.source_file, row.reason)  # pyright: ignore[reportArgumentType]
        for row in rejected.itertuples()
    )


def _describe_hardware(candidate_models: Sequence[CandidateModel]) -> dict[str, str]:
    return {
        "training": "; ".join(sorted({c.record.device for c in candidate_models})),
        "evaluation": f"{platform.platform()}, Python {platform.python_version()}",
    }


def _count_by_split(classes: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Turn counts by class, then split, into counts by split, then class."""
    splits = ("train", "validation", "test")
    return {split: {name: counts[split] for name, counts in classes.items()} for split in splits}


def _pick_examples(images_folder: Path, winner: CandidateModel) -> tuple[ExampleGalaxy, ...]:
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


def describe_settings(config: RunConfig) -> list[dict[str, Any]]:
    """Return for each setting its name, section, value, default, meaning and is_changed."""
    described = []
    for name, field in RunConfig.model_fields.items():
        value, default = getattr(config, name), field.default
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        described.append(
            {
                "name": name,
                "section": extra.get("section") or "Main",
                "value": _show_setting(value),
                "default": _show_setting(default),
                "meaning": field.description,
                "is_changed": value != default,
            }
        )
    return described


def show_estimate(estimate: Estimate) -> str:
    """Return the value and its interval, as in 0.912 [0.897, 0.926]."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _show_setting(value: Any) -> str:
    if isinstance(value, ReleaseSettings):
        return json.dumps(value.model_dump(mode="json", exclude_defaults=True))
    if isinstance(value, tuple):
        return ", ".join(_show_setting(part) for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {one}" for key, one in value.items()) or "none"
    return "empty" if value == "" else str(value)
