"""What an ablation has found: a table for the log, and a page of one table and figure a setting."""

import time
from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.ablation import (
    SCORES,
    TRAINING_FRACTION,
    Ablation,
    Factor,
    HeldOutScore,
    LearningCurve,
    Level,
)
from galaxy_tasks.evaluation.metrics import Estimate
from galaxy_tasks.formatting import format_p_value, format_signed
from galaxy_tasks.report.figures import Drawing, draw_in_both_styles
from galaxy_tasks.report.settings_table import list_settings
from galaxy_tasks.report.templates import make_environment
from galaxy_tasks.storage.artifacts import code_version

TITLES = {"loss": "loss", "macro_f1": "macro-F1", "accuracy": "accuracy"}
_HEADER = ("", "loss", "difference", "p", "macro-F1", "difference", "p", "accuracy")


def render_table(ablation: Ablation) -> str:
    """Return the findings as plain text: for each setting a table and a sentence for each value."""
    parts = [_render_factor(factor, ablation) for factor in ablation.factors]
    curves = [describe_curve(curve) for curve in ablation.curves]
    return "\n\n".join([*parts, *(["\n".join(curves)] if curves else [])])


def _render_factor(factor: Factor, ablation: Ablation) -> str:
    rows = [_HEADER, *(_make_row(level) for level in factor.levels)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(
        [
            f"{factor.setting}: {describe_design(factor, ablation)}",
            *lines,
            *(describe_level(factor, level) for level in factor.levels[1:]),
        ]
    )


def describe_design(factor: Factor, ablation: Ablation) -> str:
    """Return what was compared, in words."""
    networks = ", ".join(ablation.architectures)
    others = factor.num_trainings // (len(ablation.architectures) * ablation.num_folds)
    times = f", {others} combinations of the other settings" if others > 1 else ""
    return (
        f"values against {factor.levels[0].value}, each trained {factor.num_trainings} times "
        f"({networks}; {ablation.num_folds} folds{times}) and scored on training galaxies that it "
        f"has not learned from. Intervals hold together at {100 * (1 - ablation.alpha):g} % and "
        "decide; p is Holm's, which may be small where the interval still holds 0."
    )


def _make_row(level: Level) -> tuple[str, ...]:
    cells = [str(level.value)]
    for score in SCORES[:2]:
        cells.append(f"{level.means[score]:.4f}")
        difference = level.differences.get(score)
        cells += (
            [_format(difference.estimate), format_p_value(difference.p_holm)]
            if difference
            else ["-"] * 2
        )
    return (*cells, f"{level.means['accuracy']:.4f}")


def _format(estimate: Estimate) -> str:
    value, low, high = (
        format_signed(number, 4) for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"


def describe_level(factor: Factor, level: Level) -> str:
    """Return a sentence on a value: better or worse by loss, or else what macro-F1 shows."""
    loss, f1 = level.differences["loss"], level.differences["macro_f1"]
    value, first = level.value, factor.levels[0].value
    if loss.is_distinguishable:
        verdict = "better" if loss.estimate.value < 0 else "worse"
        by = format_signed(loss.estimate.value, 4)
        return f"{value} is {verdict} than {first}: the loss differs by {by}."
    text = (
        f"{value} and {first} cannot be told apart by loss; a difference of {loss.detectable:.3f} "
        "would have been shown in four of five such ablations."
    )
    if f1.is_distinguishable:
        verdict = "higher" if f1.estimate.value > 0 else "lower"
        by = format_signed(f1.estimate.value, 4)
        text += f" The macro-F1 of {value} is {verdict}: it differs by {by}."
    return text


def describe_curve(curve: LearningCurve) -> str:
    """Return a sentence on what twice as many training galaxies would bring."""
    found = curve.exponent
    power, low, high = (format_signed(-one, 2) for one in (found.value, found.high, found.low))
    what = "loss" if curve.score == "loss" else f"1 − {TITLES[curve.score]}"
    return (
        f"Learning curve: {what} is proportional to the number of training galaxies to the power "
        f"of {power} (95 % interval {low} to {high}). If that law goes on, "
        f"{2 * curve.num_training:,} instead of {curve.num_training:,} give "
        f"{TITLES[curve.score]} {curve.doubled.value:.3f} ({curve.doubled.low:.3f} to "
        f"{curve.doubled.high:.3f})."
    )


def render_ablation(ablation: Ablation, scores: Sequence[HeldOutScore], config: RunConfig) -> str:
    """Return the page as one HTML document."""
    varied = [factor.setting for factor in ablation.factors]
    return (
        make_environment()
        .get_template("ablation.html")
        .render(
            ablation=ablation,
            factors=[
                {
                    "factor": factor,
                    "design": describe_design(factor, ablation),
                    "sentences": [describe_level(factor, level) for level in factor.levels[1:]],
                    "drawings": _draw_factor(factor),
                }
                for factor in ablation.factors
            ],
            curves=[describe_curve(curve) for curve in ablation.curves],
            curve_drawings=_draw_learning_curves(scores) if ablation.curves else [],
            scores=SCORES,
            titles=TITLES,
            settings=[one for one in list_settings(config) if one.name not in varied],
            config=config,
            written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            code_version=code_version(),
        )
    )


def _draw_factor(factor: Factor) -> list[Drawing]:
    """Draw for each score the differences of all values, with their intervals."""
    return [
        draw_in_both_styles(
            lambda score=score: _draw_differences(factor.levels[1:], score),
            description=f"Differences in {TITLES[score]} from {factor.levels[0].value}",
        )
        for score in SCORES
    ]


def _draw_differences(levels: Sequence[Level], score: str) -> Figure:
    figure, axes = _make_axes(f"Difference in {TITLES[score]}", height=1 + 0.34 * len(levels))
    found = [level.differences[score].estimate for level in levels]
    widths = [one.high - one.value for one in found]
    values = [one.value for one in found]
    axes.axvline(0, linewidth=0.8, color="C0")
    axes.errorbar(values, range(len(levels)), xerr=widths, fmt="o", color="C1", capsize=3)
    axes.set_yticks(range(len(levels)), [str(level.value) for level in levels])
    axes.set_ylim(len(levels) - 0.5, -0.5)
    axes.locator_params(axis="x", nbins=4)
    return figure


def _draw_learning_curves(scores: Sequence[HeldOutScore]) -> list[Drawing]:
    """Draw for each score that of every training over the number of training galaxies."""
    return [
        draw_in_both_styles(
            lambda score=score: _draw_learning_curve(scores, score),
            description=f"{TITLES[score]} over the number of training galaxies",
        )
        for score in SCORES
    ]


def _draw_learning_curve(scores: Sequence[HeldOutScore], score: str) -> Figure:
    figure, axes = _make_axes(TITLES[score], height=2.7)
    axes.set_xscale("log")
    axes.minorticks_off()  # their labels run into each other on so short a scale
    for index, name in enumerate(dict.fromkeys(one.architecture for one in scores)):
        own = [one for one in scores if one.architecture == name]
        counts = [one.num_training for one in own]
        values = [getattr(one, score) for one in own]
        fractions = sorted({one.varied[TRAINING_FRACTION] for one in own})
        groups = [[o for o in own if o.varied[TRAINING_FRACTION] == f] for f in fractions]
        x = [fmean(one.num_training for one in group) for group in groups]
        axes.set_xticks(x, [f"{count:,.0f}" for count in x])
        means = [fmean(getattr(one, score) for one in group) for group in groups]
        axes.plot(x, means, "-", color=f"C{index % 3}", label=name)
        axes.plot(counts, values, "o", color=f"C{index % 3}", alpha=0.5, markersize=4)
    axes.set_xlabel("training galaxies")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _make_axes(title: str, *, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(3.8, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=10)
    axes.tick_params(length=0)
    return figure, axes
