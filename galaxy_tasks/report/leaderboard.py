"""The ranked models as a plain-text table, for the log of the task `evaluate`."""

import textwrap
from collections.abc import Sequence

from galaxy_tasks.evaluation.metrics import Estimate
from galaxy_tasks.evaluation.outcome import Outcome
from galaxy_tasks.evaluation.references import Reference
from galaxy_tasks.evaluation.repeats import ScoredNetwork
from galaxy_tasks.evaluation.winner import Selection, describe_comparison, rank
from galaxy_tasks.formatting import format_duration, format_multiply_adds
from galaxy_tasks.report.calibration import describe_calibration, describe_sets
from galaxy_tasks.report.contents import MissingModel
from galaxy_tasks.report.votes import describe_votes

_HEADER = (
    *("", "network", "macro-F1", "seeds", "accuracy", "loss", "weighted-F1"),
    *("multiply-adds", "parameters", "training", "images/s"),
)
_FIRST_NUMBER = _HEADER.index("multiply-adds")
_WIDTH = 100


def render_leaderboard(outcome: Outcome, missing_models: Sequence[MissingModel] = ()) -> str:
    """Return the table, best first, and what it shows; `*` marks the winner."""
    networks, selection = outcome.networks, outcome.selection
    rows = [
        _HEADER,
        *(_make_row(network, selection) for network in rank(networks)),
        *map(_make_reference_row, outcome.references),
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if index >= _FIRST_NUMBER else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    num_galaxies = networks[0].models[0].evaluation.num_galaxies
    return "\n".join(
        [
            f"Leaderboard on {num_galaxies:,} test galaxies, best macro-F1 first "
            "(95 % intervals in brackets, * the winner, - for reference)",
            *lines,
            *(f"   {one.architecture}: {one.status} ({one.reason})" for one in missing_models),
            f"Winner: {selection.winner}",
            *(
                line
                for paragraph in _list_paragraphs(outcome)
                for line in textwrap.wrap(paragraph, _WIDTH, break_on_hyphens=False)
            ),
        ]
    )


def _list_paragraphs(outcome: Outcome) -> list[str]:
    selection = outcome.selection
    winner = next(one for one in outcome.networks if one.architecture == selection.winner)
    reliability = winner.served.reliability
    return [
        selection.reason,
        selection.caution,
        outcome.coverage_note,
        f"{describe_calibration(reliability)} {describe_sets(reliability)}",
        *map(describe_votes, outcome.votes),
        *(describe_comparison(one, alpha=selection.alpha) for one in selection.comparisons),
    ]


def _make_row(network: ScoredNetwork, selection: Selection) -> tuple[str, ...]:
    scores = (network.accuracy, network.loss, network.weighted_f1)
    return (
        "*" if network.architecture == selection.winner else "",
        network.architecture,
        _format_estimate(network.macro_f1),
        _format_seeds(network),
        *map(_format_estimate, scores),
        format_multiply_adds(network.multiply_adds),
        f"{network.num_parameters:,}",
        format_duration(network.training_s),
        f"{network.images_per_s:,.0f}",
    )


def _make_reference_row(reference: Reference) -> tuple[str, ...]:
    scores, cost = reference.evaluation, reference.multiply_adds
    return (
        "-",
        reference.name,
        _format_estimate(scores.macro_f1),
        "",
        *map(_format_estimate, (scores.accuracy, scores.loss, scores.weighted_f1)),
        format_multiply_adds(cost) if cost else "",
        *("", "", ""),
    )


def _format_seeds(network: ScoredNetwork) -> str:
    """Return the number of seeds and how far they scatter, as in 3 ± 0.012."""
    if network.seed_deviation is None:
        return "1"
    return f"{len(network.models)} ± {network.seed_deviation:.3f}"


def _format_estimate(estimate: Estimate) -> str:
    """Return the value and its interval, as in 0.912 [0.897, 0.926]."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
