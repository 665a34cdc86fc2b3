"""What the report says of the winner's probabilities and sets."""

from matplotlib.figure import Figure
from scipy.stats import binomtest

from galaxy_tasks.evaluation.reliability import Reliability
from galaxy_tasks.report.figures import Drawing, draw_in_both_styles


def describe_calibration(reliability: Reliability) -> str:
    """Return a sentence or two: whether calibration helped, and how far it is from perfect."""
    before, after = reliability.before, reliability.after
    verdict = (
        "lowers both loss and Brier score"
        if reliability.has_helped
        else "does not lower both loss and Brier score"
    )
    return (
        f"Calibration {verdict} (loss {before.loss:.3f} to {after.loss:.3f}, Brier score "
        f"{before.brier:.3f} to {after.brier:.3f}). The calibration error is "
        f"{after.calibration_error:.3f}; perfect probabilities would show "
        f"{after.perfect_error:.3f} on as many galaxies."
    )


def describe_sets(reliability: Reliability) -> str:
    """Return a sentence on how often the sets hold the true class, for the log."""
    sets, promised = reliability.conditional, reliability.calibration.coverage
    assert sets.covered is not None
    return (
        f"Sets of {sets.mean_size:.2f} classes on average, meant to hold the true one "
        f"{100 * promised:g} % of the time, hold it {sets.covered.value:.1%} of the time (95 % "
        f"interval {sets.covered.low:.1%} to {sets.covered.high:.1%}), on galaxies like those that "
        "they were calibrated on."
    )


def draw_reliability(reliability: Reliability) -> Drawing:
    """Draw accuracy over confidence, with exact 95 % intervals, in both styles."""
    bins = reliability.bins
    most = max(one.num_galaxies for one in bins)
    lows, highs = zip(
        *(
            binomtest(round(one.accuracy * one.num_galaxies), one.num_galaxies).proportion_ci(
                confidence_level=0.95, method="exact"
            )
            for one in bins
        ),
        strict=True,
    )

    def draw() -> Figure:
        figure = Figure(figsize=(3.6, 3.1), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], "--", color="C0", linewidth=1)
        x = [one.confidence for one in bins]
        axes.vlines(x, lows, highs, color="C1", alpha=0.5)
        sizes = [8 + 70 * one.num_galaxies / most for one in bins]
        axes.scatter(x, [one.accuracy for one in bins], s=sizes, color="C1", zorder=3)
        axes.set_xlabel("confidence")
        axes.set_title("Accuracy", loc="left", fontsize=10)
        axes.set_xlim(min(0.3, *x), 1.02)
        axes.set_ylim(0, 1.04)
        axes.grid(axis="y", linewidth=0.8)
        axes.tick_params(length=0)
        return figure

    listed = "; ".join(
        f"at {one.confidence:.2f} right {one.accuracy:.2f} of {one.num_galaxies}" for one in bins
    )
    return draw_in_both_styles(draw, description=f"Accuracy by confidence: {listed}")
