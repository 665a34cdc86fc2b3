"""From scored networks to the winner and the sentences that say why.

The winner is the cheapest network, by the multiply-adds of one image, that is shown to be at most
`margin` behind the best in macro_f1; if none is shown, the best. That two networks cannot be told
apart is no reason: from few galaxies, no network can be told from another.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.comparisons import TARGET, Comparer, Deficit, NetworkComparison, Plan
from galaxy_tasks.evaluation.metrics import Estimate
from galaxy_tasks.evaluation.repeats import ScoredNetwork
from galaxy_tasks.formatting import format_multiply_adds, format_p_value, format_signed

CAUTION = (
    "{who} trained once, so {what} may be the seed's doing: another seed can move macro-F1 by "
    "several hundredths. {intervals} over galaxies alone. To answer for the seed as well, "
    "{remedy}; finished trainings are kept."
)


@dataclass(frozen=True)
class Selection:
    """The winner and why."""

    winner: str
    best: str
    """The network with the best mean macro_f1."""
    margin: float
    alpha: float
    deficits: tuple[Deficit, ...]
    """Of all but the best, in the order of `rank`."""
    comparisons: tuple[NetworkComparison, ...]
    """All pairs, in the order of `rank`."""
    reason: str
    """One or two sentences for people."""
    caution: str
    """What keeps the order from being sure; empty where each network was trained repeatedly."""


def rank(networks: Sequence[ScoredNetwork]) -> tuple[ScoredNetwork, ...]:
    """Return the networks by mean macro_f1, best first; of equals the cheaper, then by name."""
    return tuple(
        sorted(networks, key=lambda one: (-one.macro_f1.value, one.multiply_adds, one.architecture))
    )


def choose_challenger(networks: Sequence[ScoredNetwork]) -> str:
    """Return the network whose served model may become champion: of equals the cheaper.

    The validation galaxies choose it, as the test is to decide on it. They are few, so the mean
    over the trainings counts: the best training of all is often that of a worse network with luck.
    """
    chosen = max(networks, key=lambda one: (one.validation_macro_f1, -one.multiply_adds))
    return chosen.architecture


def choose_winner(
    networks: Sequence[ScoredNetwork], comparer: Comparer, *, margin: float, alpha: float
) -> Selection:
    """Return the winner; `comparer` knows all networks.

    Raises:
        InputError: no network, or two of one name.
    """
    _check(networks)
    ranked = rank(networks)
    best, names = ranked[0], [one.architecture for one in ranked]
    deficits = comparer.bound_deficits(names)
    close = {one.architecture for one in deficits if one.bound < margin}
    allowed = [best, *(one for one in ranked if one.architecture in close)]
    winner = min(allowed, key=lambda one: one.multiply_adds)
    return Selection(
        winner=winner.architecture,
        best=best.architecture,
        margin=margin,
        alpha=alpha,
        deficits=deficits,
        comparisons=comparer.compare_all(names),
        reason=_explain(winner, best, ranked, deficits, margin=margin, alpha=alpha),
        caution=_find_caution(ranked),
    )


def _find_caution(ranked: Sequence[ScoredNetwork]) -> str:
    once = [one.architecture for one in ranked if len(one.models) == 1]
    if not once:
        return ""
    what = "this order" if len(ranked) > 1 else "its score"
    if len(once) == len(ranked):
        return CAUTION.format(
            who="Each network was" if len(ranked) > 1 else f"{once[0]} was",
            what=what,
            intervals="The intervals are",
            remedy="set 'repeats' to 3 or more",
        )
    return CAUTION.format(
        who=f"{' and '.join(once)} {'was' if len(once) == 1 else 'were'}",
        what=what,
        intervals="The intervals of such a network are",
        remedy="clear the trainings that failed and run again",
    )


def describe_comparison(comparison: NetworkComparison, *, alpha: float) -> str:
    """Return a sentence or two on a pair: by how much, how sure, and what would be needed."""
    difference, margin = comparison.difference, _describe_interval(comparison.difference, alpha)
    if comparison.is_distinguishable:
        verdict = f"{comparison.first} leads {comparison.second} by {difference.value:.3f}"
    else:
        verdict = (
            f"{comparison.first} and {comparison.second} cannot be told apart: they differ by "
            f"{difference.value:.3f}"
        )
    return (
        f"{verdict} in macro-F1 ({margin}, {_describe_p(comparison.p_holm)} by Holm). This test "
        f"would have shown a difference of {comparison.detectable:.3f} in four cases out of five; "
        f"{_describe_plan(comparison.plan)}."
    )


def _describe_plan(plan: Plan | None) -> str:
    if plan is None:
        return f"for {TARGET:.3f}, no number of galaxies suffices with up to 50 seeds"
    if plan.num_seeds is None:
        return f"for {TARGET:.3f} between these trainings, it takes {plan.num_galaxies:,} galaxies"
    return f"for {TARGET:.3f}, it takes {plan.num_galaxies:,} galaxies and {plan.num_seeds} seeds"


def _check(networks: Sequence[ScoredNetwork]) -> None:
    if not networks:
        raise InputError(
            "There is no winner without a trained model: every training task failed or was "
            "skipped. Read the log of the training tasks, clear one and run again."
        )
    name, times = Counter(one.architecture for one in networks).most_common(1)[0]
    if times > 1:
        raise InputError(f"Each architecture may appear only once. Received: {name} {times} times")


def _explain(
    winner: ScoredNetwork,
    best: ScoredNetwork,
    ranked: Sequence[ScoredNetwork],
    deficits: Sequence[Deficit],
    *,
    margin: float,
    alpha: float,
) -> str:
    score = _describe_score(best)
    if len(ranked) == 1:
        return f"{best.architecture} is the only trained network: {score}."
    bounds = {one.architecture: one for one in deficits}
    if winner is not best:
        own = bounds[winner.architecture]
        return (
            f"{winner.architecture} is the cheapest network "
            f"({format_multiply_adds(winner.multiply_adds)} multiply-adds an image) that is at "
            f"most {margin:.3f} behind the best in macro-F1: {winner.macro_f1.value:.3f}, "
            f"{_describe_bound(own, alpha)} behind {best.architecture}, which has {score} and "
            f"needs {format_multiply_adds(best.multiply_adds)}."
        )
    cheaper = [one for one in ranked if one.multiply_adds < best.multiply_adds]
    if not cheaper:
        return f"{best.architecture} has the best macro-F1, {_numbers(best)}, and is the cheapest."
    others = "; ".join(
        f"{one.architecture} is {_describe_bound(bounds[one.architecture], alpha)} behind"
        for one in cheaper
    )
    return (
        f"{best.architecture} has the best macro-F1, {_numbers(best)}. No cheaper network is shown "
        f"to be at most {margin:.3f} behind it: {others}."
    )


def _describe_score(one: ScoredNetwork) -> str:
    return f"macro-F1 {_numbers(one)}"


def _numbers(one: ScoredNetwork) -> str:
    seeds = f"mean of {len(one.models)} seeds, " if len(one.models) > 1 else ""
    score = one.macro_f1
    return f"{score.value:.3f} ({seeds}95 % interval {score.low:.3f} to {score.high:.3f})"


def _describe_bound(deficit: Deficit, alpha: float) -> str:
    return f"{deficit.value:.3f} (less than {deficit.bound:.3f} at {100 * (1 - alpha):g} %)"


def _describe_interval(estimate: Estimate, alpha: float) -> str:
    low, high = (format_signed(bound) for bound in (estimate.low, estimate.high))
    return f"{100 * (1 - alpha):g} % interval {low} to {high}, all pairs together"


def _describe_p(p_value: float) -> str:
    text = format_p_value(p_value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"
