"""From evaluations to the winner, or to a tie and the rule that settled it.

The winner is the model with the best macro_f1. Where the paired bootstrap cannot tell others apart
from it, their distance may be luck of the test set, and of them all the one with the fewest
parameters wins.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.metrics import Comparison, Evaluation
from galaxy_tasks.formatting import format_millions


@dataclass(frozen=True)
class ScoredCandidate:
    """A candidate's scores beside what it costs."""

    evaluation: Evaluation
    num_parameters: int
    training_s: float
    images_per_s: float
    """Galaxies a second in training."""
    key: str
    """Key of the model's artifact."""
    path: str
    """Folder of the model's artifact."""

    @property
    def architecture(self) -> str:
        """The model's name in tables."""
        return self.evaluation.architecture

    @property
    def macro_f1(self) -> float:
        """The score that ranks."""
        return self.evaluation.macro_f1.value


@dataclass(frozen=True)
class Selection:
    """The winner and why."""

    winner: str
    comparisons: tuple[Comparison, ...]
    """The best macro_f1 against each of the others, in the order of `rank`."""
    tied: tuple[str, ...]
    """The best and all that cannot be told apart from it, in the order of `rank`; empty where it
    can be told apart from every other."""
    reason: str
    """One or two sentences for people."""


Compare = Callable[[ScoredCandidate, ScoredCandidate], Comparison]
"""The paired comparison of two candidates, in this order."""


def rank(candidates: Sequence[ScoredCandidate]) -> tuple[ScoredCandidate, ...]:
    """Return the candidates by macro_f1, best first; of equals the smaller, then by name."""
    return tuple(sorted(candidates, key=lambda c: (-c.macro_f1, c.num_parameters, c.architecture)))


def choose_winner(candidates: Sequence[ScoredCandidate], *, compare: Compare) -> Selection:
    """Return the winner; `compare` is called with the best and each of the others.

    Raises:
        InputError: no candidate, two of one name, or not all on the same galaxies and classes.
    """
    _check(candidates)
    best, *others = rank(candidates)
    comparisons = tuple(compare(best, other) for other in others)
    level = {one.second: one for one in comparisons if not one.is_distinguishable}
    tied = [best, *(other for other in others if other.architecture in level)]
    winner = min(tied, key=lambda one: one.num_parameters)
    if level:
        reason = _explain_tie(tied, winner, list(level.values()))
    elif others:
        reason = _explain_lead(best, others[0], comparisons[0])
    else:
        reason = _explain_only(best)
    return Selection(
        winner=winner.architecture,
        comparisons=comparisons,
        tied=tuple(one.architecture for one in tied) if level else (),
        reason=reason,
    )


def _check(candidates: Sequence[ScoredCandidate]) -> None:
    if not candidates:
        raise InputError(
            "There is no winner without a trained model: every training task failed or was "
            "skipped. Read the log of the training tasks, clear one and run again."
        )
    name, times = Counter(c.architecture for c in candidates).most_common(1)[0]
    if times > 1:
        raise InputError(f"Each architecture may appear only once. Received: {name} {times} times")
    tests = {(c.evaluation.num_galaxies, c.evaluation.classes) for c in candidates}
    if len(tests) > 1:
        received = ", ".join(
            f"{c.architecture}: {c.evaluation.num_galaxies} galaxies, "
            f"{len(c.evaluation.classes)} classes"
            for c in candidates
        )
        raise InputError(
            "Models can be compared only on the same test galaxies and classes. "
            f"Received: {received}. Clear the training tasks and run again."
        )


def _explain_only(winner: ScoredCandidate) -> str:
    score = winner.evaluation.macro_f1
    return (
        f"{winner.architecture} is the only trained model: macro-F1 {score.value:.3f} "
        f"({score.low:.3f} to {score.high:.3f})."
    )


def _explain_lead(best: ScoredCandidate, second: ScoredCandidate, comparison: Comparison) -> str:
    return (
        f"{best.architecture} has the best macro-F1, {best.macro_f1:.3f}, and leads "
        f"{second.architecture} ({second.macro_f1:.3f}) by {_describe(comparison)}."
    )


def _explain_tie(
    tied: Sequence[ScoredCandidate], winner: ScoredCandidate, comparisons: Sequence[Comparison]
) -> str:
    best, *others = tied
    behind = " and ".join(
        f"{other.architecture} ({other.macro_f1:.3f}), which is behind by {_describe(comparison)}"
        for other, comparison in zip(others, comparisons, strict=True)
    )
    sizes = " and ".join(format_millions(one.num_parameters) for one in tied if one is not winner)
    return (
        f"{best.architecture} has the best macro-F1, {best.macro_f1:.3f}, but on "
        f"{best.evaluation.num_galaxies:,} test galaxies it cannot be told apart from {behind}. "
        f"Among these {len(tied)}, {winner.architecture} wins because it has the fewest parameters "
        f"({format_millions(winner.num_parameters)} against {sizes})."
    )


def _describe(comparison: Comparison) -> str:
    difference, p_value = comparison.difference, comparison.p_value
    p_text = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
    return (
        f"{_signed(difference.value)} (95 % interval {_signed(difference.low)} to "
        f"{_signed(difference.high)}, {p_text}, paired bootstrap)"
    )


def _signed(number: float) -> str:
    """Three decimals and a true minus sign, with no sign on a rounded zero."""
    text = f"{number:.3f}".replace("-", "−")
    return text.removeprefix("−") if text == "−0.000" else text
