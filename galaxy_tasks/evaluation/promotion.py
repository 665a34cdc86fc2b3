"""Whether this run's challenger is to become champion, and why.

The weights that would be used are compared with those that are used, on galaxies that neither has
learned from. The challenger has to be shown to be better in macro-F1, one-sided at 2.5 %: the 95 %
interval of its lead lies above 0. Of equally good models at most about one in forty would take the
place by luck, and a tie keeps the champion.
"""

import logging
from dataclasses import dataclass

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.challenge import Challenge, ChampionComparison
from galaxy_tasks.evaluation.metrics import Comparison
from galaxy_tasks.formatting import format_signed
from galaxy_tasks.storage.artifacts import list_published

LEAST_OF_CLASS = 5
"""Common galaxies of each class that a decision needs: with fewer, in simulations with two of each
rare class, 5.6 % of equally good challengers were promoted."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """What becomes of the challenger."""

    is_promoted: bool
    challenger: str
    """Key of its model."""
    champion: str | None
    """Key of the champion's model, of the same classes, if a comparison with it decided."""
    reason: str
    """A sentence or two for people."""
    times_decided: int
    """Earlier decisions on the same test galaxies."""


def decide(
    config: RunConfig,
    compared: ChampionComparison,
    *,
    challenger: str,
    is_first: bool,
    times_decided: int,
) -> Decision:
    """Return the decision on a challenger, given as the key of its model.

    `is_first`: no champion knows its classes, so that it becomes the first whatever its scores.
    `times_decided` counts the earlier decisions on the same test galaxies.
    """
    challenge = compared.challenge
    champion, is_promoted = None, is_first and config.holdout != "ignore"
    reason = _explain_undecided(config, challenge, is_first=is_first)
    if challenge and challenge.comparison and not reason:
        champion, is_promoted = challenge.champion_model, is_better(challenge.comparison)
        reason = _describe_lead(challenge, challenge.comparison)
        if times_decided:
            reason += f" {_describe_repeated(times_decided)}"
    return Decision(
        is_promoted=is_promoted,
        challenger=challenger,
        champion=champion,
        reason=reason,
        times_decided=times_decided,
    )


def count_decisions(test_set: str) -> int:
    """Return how many of the evaluations that are kept have decided on a test set (SHA-256)."""
    count = 0
    for evaluation in list_published("evaluations"):
        try:
            count += evaluation.manifest["summary"].get("decided_on") == test_set
        except (ValueError, KeyError, AttributeError) as error:
            _logger.warning(
                "%s is passed over, its manifest is damaged: %r", evaluation.path, error
            )
    return count


def _explain_undecided(config: RunConfig, challenge: Challenge | None, *, is_first: bool) -> str:
    """Return why no comparison with the champion decides; '' where one does."""
    if config.holdout == "ignore":
        return (
            "Not promoted: with 'holdout' set to 'ignore' it may have learned from galaxies that "
            "are the test of other models."
        )
    if is_first:
        return "Promoted: it is the first model of these classes."
    if challenge is None:
        return "Not promoted: it was not compared with the champion."
    if challenge.is_same_model:
        return "Nothing to promote: the challenger is the champion."
    if challenge.comparison is None or challenge.challenger is None:
        return f"Not promoted: {challenge.num_common:,} common galaxies are too few."
    rarest = min(challenge.challenger.class_scores, key=lambda score: score.support)
    if rarest.support < LEAST_OF_CLASS:
        return (
            f"Not promoted: {rarest.support} of the {challenge.num_common:,} common galaxies are "
            f"of class {rarest.morphology}. A decision needs {LEAST_OF_CLASS} of each class."
        )
    return ""


def _describe_lead(challenge: Challenge, comparison: Comparison) -> str:
    lead = comparison.difference
    numbers = (
        f"{format_signed(lead.value)} in macro-F1 (95 % interval {format_signed(lead.low)} to "
        f"{format_signed(lead.high)}) on {challenge.num_common:,} galaxies"
    )
    if is_better(comparison):
        return f"Promoted: it is shown to be better than the champion, by {numbers}."
    return f"Not promoted: it is not shown to be better than the champion: {numbers}."


def is_better(comparison: Comparison) -> bool:
    """Return whether the first model of a comparison is shown to be better than the second."""
    return comparison.difference.low > 0


def _describe_repeated(times: int) -> str:
    often = "once" if times == 1 else f"{times:,} times"
    return (
        f"These test galaxies have decided {often} before, as far as reports are kept; the more "
        "often they do, the likelier it is that one decision is luck."
    )
