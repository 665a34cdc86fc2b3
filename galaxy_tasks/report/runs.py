"""All runs in one list: as a page, and as text."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.report.templates import make_environment

TEMPLATE = Path(__file__).with_name("runs.html")


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class RunLine:
    """One evaluated run."""

    evaluation: str
    """Key of the evaluation."""
    published: str
    """When it was evaluated, in UTC as ISO 8601."""
    release: str
    winner: str
    macro_f1: Score
    accuracy: Score
    num_galaxies: int
    """Of the test."""
    test_set: str
    """SHA-256 of the test galaxies' names and labels."""
    challenger: str
    """The model that it put forward: its network, and its seed where there are several."""
    decision: str
    """What was decided of that model."""
    is_champion: bool
    """Whether that model is champion now."""


@dataclass(frozen=True)
class ChampionLine:
    """One model that is recommended."""

    name: str
    number: int
    """Its version."""
    architecture: str
    release: str
    evaluation: str
    promoted: str
    """In UTC as ISO 8601."""
    reason: str
    approver: str


def render_runs(runs: Sequence[RunLine], champions: Sequence[ChampionLine]) -> str:
    """Return the page; its links lead to reports in folders beside it."""
    environment = make_environment(time=_format_time)
    return environment.get_template(TEMPLATE.name).render(
        runs=runs,
        champions=champions,
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def list_runs_as_text(runs: Sequence[RunLine]) -> str:
    """Return the runs as a table in plain text."""
    header = (
        *("evaluated", "release", "winner", "macro-F1", "accuracy"),
        *("challenger", "evaluation"),
    )
    rows = [header, *map(_make_row, runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines)


def _make_row(run: RunLine) -> tuple[str, ...]:
    score = run.macro_f1
    return (
        _format_time(run.published),
        run.release,
        run.winner,
        f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]",
        f"{run.accuracy.value:.3f}",
        f"{run.challenger}{' (champion)' if run.is_champion else ''}",
        run.evaluation,
    )


def _format_time(moment: str) -> str:
    """Return ISO 8601 to the minute, as people write it."""
    return moment[:16].replace("T", " ")
