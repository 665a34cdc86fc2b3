"""The five classes that Galaxy Zoo 2 and later releases share: clean samples of their votes."""

from galaxy_tasks.morphology import Morphology
from galaxy_tasks.releases.rules import Criterion, LabelRule, VoteScheme


def make_clean5(
    *,
    smooth: Criterion,
    featured: Criterion,
    edge_on: Criterion,
    not_edge_on: Criterion,
    spiral: Criterion,
    completely_round: Criterion,
    in_between: Criterion,
    cigar_shaped: Criterion,
    not_clumpy: Criterion | None = None,
) -> VoteScheme:
    """Return the five clean samples of Willett et al. 2013, from a release's own criteria.

    Each morphology asks for the answers on the way to it through the decision tree. Where that
    asks after clumps between the features and the disk, `not_clumpy` is on the way, too.
    """
    disk = (featured,) if not_clumpy is None else (featured, not_clumpy)
    return VoteScheme(
        rules=(
            LabelRule(
                morphology=Morphology.COMPLETELY_ROUND_SMOOTH, criteria=(smooth, completely_round)
            ),
            LabelRule(morphology=Morphology.IN_BETWEEN_SMOOTH, criteria=(smooth, in_between)),
            LabelRule(morphology=Morphology.CIGAR_SHAPED_SMOOTH, criteria=(smooth, cigar_shaped)),
            LabelRule(morphology=Morphology.EDGE_ON, criteria=(*disk, edge_on)),
            LabelRule(morphology=Morphology.SPIRAL, criteria=(*disk, not_edge_on, spiral)),
        )
    )
