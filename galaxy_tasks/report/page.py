"""The report: one HTML page that needs nothing but itself.

Styles, drawings and images are inside the page, so it can be mailed, archived and opened without a
network. What comes from user tables (class names, ids, reasons) is escaped.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from galaxy_tasks.config import find_changes
from galaxy_tasks.evaluation.metrics import Estimate
from galaxy_tasks.evaluation.reliability import NUM_BINS, Reliability
from galaxy_tasks.evaluation.subsets import HIGH_AGREEMENT
from galaxy_tasks.evaluation.votes import LEAST_VOTES
from galaxy_tasks.evaluation.winner import describe_comparison, rank
from galaxy_tasks.prediction.calibration_fit import LEAST_GALAXIES
from galaxy_tasks.report.calibration import describe_calibration, draw_reliability
from galaxy_tasks.report.contents import ReportInputs
from galaxy_tasks.report.figures import (
    LOSS_PANEL,
    SCORE_PANEL,
    EpochHistory,
    draw_curves,
    encode_jpeg_url,
    find_kept_epoch,
    find_limits,
    lay_heat_over,
)
from galaxy_tasks.report.settings_table import format_command, list_settings
from galaxy_tasks.report.templates import make_environment

TEMPLATE = Path(__file__).with_name("page.html")
FEW_GALAXIES = 30
"""Classes with fewer test galaxies are marked: one galaxy moves their recall by over 3 %."""
MOST_REJECTED_SHOWN = 100
_BOUNDS = {
    "few_galaxies": FEW_GALAXIES,
    "high_agreement": HIGH_AGREEMENT,
    "least_votes": LEAST_VOTES,
    "most_rejected_shown": MOST_REJECTED_SHOWN,
}


def render_report(inputs: ReportInputs) -> str:
    """Return the page as one HTML document.

    Raises:
        InputError: an example's image is not uint8 (height, width, 3).
    """
    outcome = inputs.outcome
    ranked, selection = rank(outcome.networks), outcome.selection
    winner = next(one for one in ranked if one.architecture == selection.winner)
    return (
        make_environment(jpeg=encode_jpeg_url, heat=lay_heat_over)
        .get_template(TEMPLATE.name)
        .render(
            inputs=inputs,
            ranked=ranked,
            selection=selection,
            winner=winner,
            outcome=outcome,
            **_BOUNDS,
            has_repeats=any(len(one.models) > 1 for one in ranked),
            champion=outcome.champion,
            classes=ranked[0].served.evaluation.classes,
            **_show_calibration(winner.served.reliability),
            scale=_find_scale([network.macro_f1 for network in ranked]),
            comparisons=[
                describe_comparison(one, alpha=selection.alpha) for one in selection.comparisons
            ],
            curves=_draw_all_curves(inputs.histories, [one.architecture for one in ranked]),
            examples={
                "right": [example for example in inputs.examples if example.is_right],
                "wrong": [example for example in inputs.examples if not example.is_right],
            },
            settings=list_settings(inputs.config),
            command=format_command(inputs.config),
            preset=find_changes(inputs.config)[0],
            is_simulated=inputs.config.release == "simulated",
        )
    )


def _show_calibration(reliability: Reliability) -> dict[str, Any]:
    return {
        "calibration_sentence": describe_calibration(reliability),
        "reliability_drawing": draw_reliability(reliability),
        "num_bins": NUM_BINS,
        "least_galaxies": LEAST_GALAXIES,
    }


def _find_scale(estimates: Sequence[Estimate]) -> dict[str, float]:
    """Return an axis in twentieths that holds all intervals."""
    low = int(min(estimate.low for estimate in estimates) * 20) / 20
    high = min(1.0, int(max(estimate.high for estimate in estimates) * 20 + 1) / 20)
    return {"low": low if low < high else low - 0.05, "high": high}


def _draw_all_curves(
    histories: Mapping[str, Mapping[int, EpochHistory]], architectures: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the panels of each network, all its trainings in one, on axes shared by all."""
    shown = {name: list(histories[name].values()) for name in architectures if histories.get(name)}
    every = [history for trainings in shown.values() for history in trainings]
    limits = {panel.title: find_limits(every, panel) for panel in (LOSS_PANEL, SCORE_PANEL)}
    return [
        {
            "architecture": name,
            "trainings": [
                {"seed": seed, "epochs": len(history), "kept": find_kept_epoch(history)}
                for seed, history in histories[name].items()
            ],
            "panels": [
                draw_curves(
                    trainings,
                    panel=panel,
                    limits=limits[panel.title],
                    description=f"{name}: {panel.title} by epoch",
                )
                for panel in (LOSS_PANEL, SCORE_PANEL)
            ],
        }
        for name, trainings in shown.items()
    ]
