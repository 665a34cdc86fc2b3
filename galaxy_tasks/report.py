"""From evaluations to what people read: the leaderboard in the task log and one HTML page.

The page needs nothing but itself: styles, drawings and images are inside it, so it can be mailed,
archived and opened without a network. What comes from user tables (class names, ids, reasons) is
escaped.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jinja2
from markupsafe import Markup

from galaxy_tasks.changes import ReleaseChanges
from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation import Estimate
from galaxy_tasks.examples import ExampleGalaxy
from galaxy_tasks.figures import (
    LOSS_PANEL,
    SCORE_PANEL,
    History,
    draw_curves,
    encode_jpeg,
    find_best_epoch,
    find_limits,
)
from galaxy_tasks.selection import Candidate, Selection, rank
from galaxy_tasks.succession import Succession
from galaxy_tasks.wording import describe_settings, show_duration, show_estimate, show_words

TEMPLATE = Path(__file__).with_name("report_template.html")
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
    histories: Mapping[str, History]
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
    succession: Succession | None
    """None where no other run has had a winner."""
    changes: ReleaseChanges | None
    """None without a former winner, or where it had the same galaxies."""
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
        words=show_words, duration=show_duration, estimate=show_estimate, jpeg=encode_jpeg
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
        show_duration(candidate.training_s),
        f"{candidate.images_per_s:,.0f}",
    )


def _find_scale(estimates: Sequence[Estimate]) -> dict[str, float]:
    """Return an axis in twentieths that holds all intervals."""
    low = int(min(estimate.low for estimate in estimates) * 20) / 20
    high = min(1.0, int(max(estimate.high for estimate in estimates) * 20 + 1) / 20)
    return {"low": low if low < high else low - 0.05, "high": high}


def _draw_all_curves(
    histories: Mapping[str, History], architectures: Sequence[str]
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
