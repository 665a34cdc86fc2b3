"""All that the evaluation of a run finds: scores, the winner, and how it does against others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.candidates import (
    Candidate,
    check_same_galaxies,
    describe_tested,
    gather_repeats,
)
from galaxy_tasks.evaluation.challenge import ChampionComparison, Opponent, compare_with_champion
from galaxy_tasks.evaluation.comparisons import Comparer
from galaxy_tasks.evaluation.known_coverage import describe_coverage
from galaxy_tasks.evaluation.promotion import Decision, count_decisions, decide
from galaxy_tasks.evaluation.references import Reference, score_references
from galaxy_tasks.evaluation.repeats import ScoredNetwork, score_networks
from galaxy_tasks.evaluation.subsets import Subset, score_subsets
from galaxy_tasks.evaluation.votes import VoteScores, score_votes
from galaxy_tasks.evaluation.winner import Selection, choose_challenger, choose_winner
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.model_record import MEASUREMENTS


@dataclass(frozen=True)
class Outcome:
    """The evaluation of a run."""

    candidates: tuple[Candidate, ...]
    networks: tuple[ScoredNetwork, ...]
    selection: Selection
    coverage_note: str
    """What is known of the intervals where a class is small; '' where none is."""
    winner: Candidate
    """The training of the winning network that is used if the network is."""
    challenger: Candidate
    """The model that may become champion, of the network that `choose_challenger` names."""
    votes: tuple[VoteScores, ...]
    """Of networks that have learned votes, in the order of `networks`; else none."""
    references: tuple[Reference, ...]
    subsets: tuple[Subset, ...]
    champion: ChampionComparison
    decision: Decision
    test_set: Mapping[str, Any]
    """Of `describe_tested`."""


def evaluate_run(
    config: RunConfig,
    candidates: Sequence[Candidate],
    *,
    labels: Artifact,
    images: Artifact,
    baseline: Artifact | None,
    opponent: Opponent,
) -> Outcome:
    """Return the evaluation of a run's trained models.

    `baseline` has the test probabilities of gradient boosting; None where there are none.

    Raises:
        InputError: models or baseline were tested on different galaxies.
    """
    check_same_galaxies(candidates)
    networks, selection = _select(config, candidates)
    by_key = {one.artifact.key: one for one in candidates}
    served = {one.architecture: by_key[one.served.key] for one in networks}
    winner, challenger = served[selection.winner], served[choose_challenger(networks)]
    champion = compare_with_champion(
        config, labels=labels, images=images, opponent=opponent, challenger=challenger
    )
    test_set = describe_tested(winner, labels)
    return Outcome(
        candidates=tuple(candidates),
        networks=networks,
        selection=selection,
        coverage_note=_describe_coverage(networks),
        winner=winner,
        challenger=challenger,
        votes=score_votes(candidates, images, config),
        references=_score_references(config, candidates, selection, labels, baseline),
        subsets=_score_subsets(config, winner, labels=labels, baseline=baseline),
        champion=champion,
        decision=_decide(config, challenger, champion, opponent, test_set),
        test_set=test_set,
    )


def _decide(
    config: RunConfig,
    challenger: Candidate,
    compared: ChampionComparison,
    opponent: Opponent,
    test_set: Mapping[str, Any],
) -> Decision:
    return decide(
        config,
        compared,
        challenger=challenger.artifact.key,
        is_first=opponent.is_first,
        times_decided=count_decisions(test_set["sha256"]),
    )


def _describe_coverage(networks: Sequence[ScoredNetwork]) -> str:
    scores = networks[0].served.evaluation.class_scores
    return describe_coverage(
        smallest=min(score.support for score in scores if score.support),
        num_seeds=min(len(one.models) for one in networks),
    )


def _select(
    config: RunConfig, candidates: Sequence[Candidate]
) -> tuple[tuple[ScoredNetwork, ...], Selection]:
    """Return the networks' scores and the winner among them."""
    labels = candidates[0].tested.labels
    networks, draws = score_networks(
        gather_repeats(candidates, config),
        labels=labels,
        bootstrap_samples=config.bootstrap_samples,
        seed=config.seed,
    )
    comparer = Comparer(
        [network.architecture for network in networks],
        draws,
        num_galaxies=len(labels),
        alpha=config.alpha,
        seed=config.seed,
    )
    return networks, choose_winner(networks, comparer, margin=config.margin, alpha=config.alpha)


def _score_references(
    config: RunConfig,
    candidates: Sequence[Candidate],
    selection: Selection,
    labels: Artifact,
    baseline: Artifact | None,
) -> tuple[Reference, ...]:
    return score_references(
        config,
        winners=[one for one in candidates if one.architecture == selection.winner],
        training_counts=_count_training(labels),
        baseline=baseline,
    )


def _score_subsets(
    config: RunConfig, winner: Candidate, *, labels: Artifact, baseline: Artifact | None
) -> tuple[Subset, ...]:
    return score_subsets(
        config,
        winner,
        labels=pd.read_parquet(labels.path / "labels.parquet", columns=["galaxy_id", "agreement"]),
        measurements=pd.read_parquet(baseline.path / MEASUREMENTS) if baseline else None,
    )


def _count_training(labels: Artifact) -> dict[str, int]:
    counts = labels.manifest["summary"]["classes"]
    return {name: by_split["train"] for name, by_split in counts.items()}
