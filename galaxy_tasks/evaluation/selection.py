"""From evaluations to the winner, or to a tie and the rule that settled it.

The winner is the model with the best macro_f1. Where the paired bootstrap cannot tell the best two
apart, the difference may be luck of the test set, and the model with fewer parameters wins.
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
    runner_up: str | None
    """The other of the best two; it has the higher macro_f1 where a tie was settled by size."""
    comparison: Comparison | None
    """The best macro_f1 against the second best; None with a single candidate."""
    is_tie: bool
    """Whether the best two could not be told apart."""
    reason: str
    """One or two sentences for people."""


Compare = Callable[[ScoredCandidate, ScoredCandidate], Comparison]
"""The paired comparison of two candidates, in this order."""


def rank(candidates: Sequence[ScoredCandidate]) -> tuple[ScoredCandidate, ...]:
    """Return the candidates by macro_f1, best first; of equals the smaller, then by name."""
    return tuple(sorted(candidates, key=lambda c: (-c.macro_f1, c.num_parameters, c.architecture)))


def choose_winner(candidates: Sequence[ScoredCandidate], *, compare: Compare) -> Selection:
    """Return the winner; `compare` is called once, with the best and the second best.

    Raises:
        InputError: no candidate, two of one name, or not all on the same galaxies and classes.
    """
    _check(candidates)
    best, *others = rank(candidates)
    if not others:
        score = best.evaluation.macro_f1
        return Selection(
            winner=best.architecture,
            runner_up=None,
            comparison=None,
            is_tie=False,
            reason=f"{best.architecture} is the only trained model: macro-F1 {score.value:.3f} "
            f"({score.low:.3f} to {score.high:.3f}).",
        )
    second = others[0]
    comparison = compare(best, second)
    is_tie = not comparison.is_distinguishable
    is_upset = is_tie and second.num_parameters < best.num_parameters
    winner, runner_up = (second, best) if is_upset else (best, second)
    explain = _explain_tie if is_tie else _explain_lead
    return Selection(
        winner=winner.architecture,
        runner_up=runner_up.architecture,
        comparison=comparison,
        is_tie=is_tie,
        reason=explain(winner, runner_up, comparison),
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


def _explain_lead(
    winner: ScoredCandidate, runner_up: ScoredCandidate, comparison: Comparison
) -> str:
    return (
        f"{winner.architecture} has the best macro-F1, {winner.macro_f1:.3f}, and leads "
        f"{runner_up.architecture} ({runner_up.macro_f1:.3f}) by {_describe(comparison)}."
    )


def _explain_tie(
    winner: ScoredCandidate, runner_up: ScoredCandidate, comparison: Comparison
) -> str:
    best, second = (
        (winner, runner_up) if winner.architecture == comparison.first else (runner_up, winner)
    )
    if winner.num_parameters < runner_up.num_parameters:
        rule = (
            f"has fewer parameters ({format_millions(winner.num_parameters)} against "
            f"{format_millions(runner_up.num_parameters)})"
        )
    else:
        rule = "has the higher macro-F1, both having as many parameters"
    return (
        f"{best.architecture} ({best.macro_f1:.3f}) and {second.architecture} "
        f"({second.macro_f1:.3f}) cannot be told apart on {winner.evaluation.num_galaxies:,} "
        f"test galaxies: their macro-F1 differs by {_describe(comparison)}. "
        f"{winner.architecture} wins because it {rule}."
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
