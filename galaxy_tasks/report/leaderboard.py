"""The ranked models as a plain-text table, for the log of the task `evaluate`."""

import textwrap
from collections.abc import Sequence

from galaxy_tasks.evaluation.metrics import Estimate
from galaxy_tasks.evaluation.winner import ScoredCandidate, Selection, rank
from galaxy_tasks.formatting import format_duration
from galaxy_tasks.report.contents import MissingModel

_HEADER = (
    *("", "model", "macro-F1", "accuracy", "loss", "weighted-F1"),
    *("parameters", "training", "images/s"),
)
_FIRST_NUMBER = _HEADER.index("parameters")


def render_leaderboard(
    selection: Selection,
    candidates: Sequence[ScoredCandidate],
    missing_models: Sequence[MissingModel] = (),
) -> str:
    """Return the table, best first; `*` marks the winner."""
    rows = [_HEADER, *(_make_row(candidate, selection) for candidate in rank(candidates))]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if index >= _FIRST_NUMBER else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    num_galaxies = candidates[0].evaluation.num_galaxies
    tie = f" (a tie of {len(selection.tied)})" if selection.tied else ""
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


def _make_row(candidate: ScoredCandidate, selection: Selection) -> tuple[str, ...]:
    evaluation = candidate.evaluation
    scores = (evaluation.macro_f1, evaluation.accuracy, evaluation.loss, evaluation.weighted_f1)
    return (
        "*" if candidate.architecture == selection.winner else "",
        candidate.architecture,
        *map(_format_estimate, scores),
        f"{candidate.num_parameters:,}",
        format_duration(candidate.training_s),
        f"{candidate.images_per_s:,.0f}",
    )


def _format_estimate(estimate: Estimate) -> str:
    """Return the value and its interval, as in 0.912 [0.897, 0.926]."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
