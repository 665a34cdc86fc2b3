"""This run's winner against the last one, on test galaxies that neither has learned from.

Where that is not certain, every sentence about them says so.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.champion import (
    GALAXIES,
    PROBABILITIES,
    Champion,
    Doubt,
    open_champion,
)
from galaxy_tasks.evaluation.drift import ReleaseDrift, describe_drift
from galaxy_tasks.evaluation.metrics import (
    Comparison,
    Evaluation,
    compare_models,
    evaluate_probabilities,
)
from galaxy_tasks.evaluation.selection import CandidateModel
from galaxy_tasks.releases.morphology import name_kind
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact

LEAST_GALAXIES = 20
"""Fewer common galaxies are no ground for a comparison."""


@dataclass(frozen=True)
class Challenge:
    """The champion and this run's, or why they cannot be compared."""

    champion_architecture: str
    champion_release: str
    champion_published: str
    champion_evaluation: str
    """Key of the evaluation that it won."""
    num_test: int
    """This run's test galaxies."""
    num_unseen: int
    """Those of them that the champion has not learned from."""
    num_without_place: int
    """Those whose place on the sky is unknown, so that only id and image can tell them."""
    num_uncertain: int
    """Those of the unseen of which only id and image could tell, as places are not known on both
    sides."""
    may_know: str
    """Why the champion may know some of them all the same; empty: no reason is known."""
    num_common: int
    """Those of the unseen whose class both could name: the comparison rests on these."""
    classes: tuple[str, ...]
    """The classes that both could name."""
    are_kinds: bool
    """Whether finer classes were added up to the kinds that both know."""
    champion: Evaluation | None
    current: Evaluation | None
    comparison: Comparison | None
    """Current against champion; None where there were too few common galaxies or classes."""
    verdict: str
    """One or two sentences for people."""

    def as_dict(self) -> dict[str, Any]:
        """Return the form that JSON can hold."""
        return asdict(self)


@dataclass(frozen=True)
class _Ground:
    """Two tables of probabilities over the same galaxies and classes."""

    classes: tuple[str, ...]
    are_kinds: bool
    labels: NDArray[np.int64]
    champion: NDArray[np.float64]
    current: NDArray[np.float64]


def compare_with_champion(
    config: RunConfig, *, champion: Champion, predictions: Artifact, winner: CandidateModel
) -> Challenge:
    """Return the comparison of this run's winner with the champion one.

    Args:
        config: this run's settings.
        champion: the champion.
        predictions: what it says of the test galaxies that it has not learned from.
        winner: this run's winner.
    """
    summary = predictions.manifest["summary"]
    doubt = Doubt(summary.get("galaxies_uncertain", 0), summary.get("may_know", ""))
    asked = pd.read_parquet(predictions.path / GALAXIES)["galaxy_id"]
    rows = winner.galaxies.reset_index().set_index("galaxy_id")["index"][asked].to_numpy()
    names = np.array(winner.record.classes, dtype=object)
    ground = _find_ground(
        champion_classes=champion.record.classes,
        champion=np.load(predictions.path / PROBABILITIES).astype(np.float64),
        current_classes=winner.record.classes,
        current=winner.probabilities[rows].astype(np.float64),
        labels=names[winner.galaxies["label_index"].to_numpy()[rows]],
    )
    is_enough = len(ground.labels) >= LEAST_GALAXIES and len(np.unique(ground.labels)) > 1
    scores = _score(config, ground, champion=champion, winner=winner) if is_enough else None
    old, new, comparison = scores or (None, None, None)
    return Challenge(
        champion_architecture=champion.record.architecture,
        champion_release=champion.record.config.release_title,
        champion_published=champion.published,
        champion_evaluation=champion.evaluation.key,
        num_test=len(winner.galaxies),
        num_unseen=len(asked),
        num_without_place=summary["galaxies_without_place"],
        num_uncertain=doubt.num_uncertain,
        may_know=doubt.may_know,
        num_common=len(ground.labels),
        classes=ground.classes,
        are_kinds=ground.are_kinds,
        champion=old,
        current=new,
        comparison=comparison,
        verdict=_explain(champion, winner, ground, comparison, doubt),
    )


def _find_ground(
    *,
    champion_classes: Sequence[str],
    champion: NDArray[np.float64],
    current_classes: Sequence[str],
    current: NDArray[np.float64],
    labels: NDArray[Any],
) -> _Ground:
    """Return both on the classes that both know: by name if these are all, else by kind."""
    are_kinds = set(champion_classes) != set(current_classes)

    def name(one: str) -> str:
        return name_kind(one) if are_kinds else one

    classes = sorted(set(map(name, champion_classes)) & set(map(name, current_classes)))
    truths = [name(one) for one in labels]
    is_common = np.array([truth in classes for truth in truths], dtype=bool)
    indices = [classes.index(truth) for truth in truths if truth in classes]

    def reduce(table: NDArray[np.float64], own: Sequence[str]) -> NDArray[np.float64]:
        totals = np.zeros((len(table), len(classes)))
        for column, one in enumerate(own):
            if name(one) in classes:
                totals[:, classes.index(name(one))] += table[:, column]
        # What went to classes that only one of them knows is no answer to this question.
        totals = np.maximum(totals, 1e-9)
        return totals / totals.sum(axis=1, keepdims=True)

    return _Ground(
        classes=tuple(classes),
        are_kinds=are_kinds,
        labels=np.array(indices, dtype=np.int64),
        champion=reduce(champion[is_common], champion_classes),
        current=reduce(current[is_common], current_classes),
    )


def _score(
    config: RunConfig, ground: _Ground, *, champion: Champion, winner: CandidateModel
) -> tuple[Evaluation, Evaluation, Comparison]:
    common = {"bootstrap_samples": config.bootstrap_samples, "seed": config.seed}
    old, new = (
        evaluate_probabilities(
            table,
            labels=ground.labels,
            architecture=architecture,
            classes=ground.classes,
            **common,
        )
        for table, architecture in (
            (ground.champion, champion.record.architecture),
            (ground.current, winner.record.architecture),
        )
    )
    comparison = compare_models(
        ground.current,
        ground.champion,
        labels=ground.labels,
        first=winner.record.architecture,
        second=champion.record.architecture,
        **common,
    )
    return old, new, comparison


def _explain(
    champion: Champion,
    winner: CandidateModel,
    ground: _Ground,
    comparison: Comparison | None,
    doubt: Doubt,
) -> str:
    which = _describe_unseen(doubt)
    own = f"This run's winner, {winner.record.architecture},"
    who = f"the last one, {champion.record.architecture} of {champion.published[:10]}"
    if winner.artifact.key == champion.model.key:
        who += " (the same model)"
    if comparison is None:
        return (
            f"{own} cannot be compared with {who}: there are "
            f"{len(ground.labels):,} test galaxies whose class both could name, of "
            f"{len(np.unique(ground.labels))} classes, {which}."
        )
    difference = comparison.difference
    by = (
        f"{abs(difference.value):.3f} in macro-F1 (95 % interval of the difference "
        f"{difference.low:+.3f} to {difference.high:+.3f})"
    )
    on = f"on {len(ground.labels):,} galaxies {which}"
    if not comparison.is_distinguishable:
        return f"{own} and {who}, cannot be told apart {on}: they differ by {by}."
    verb = "is ahead of" if difference.value > 0 else "is behind"
    return f"{own} {verb} {who}, {on}, by {by}."


def _describe_unseen(doubt: Doubt) -> str:
    """Return what is known of the galaxies that the comparison rests on, as a clause."""
    if doubt.may_know:
        return f"of which the champion may know some ({doubt.may_know})"
    if doubt.num_uncertain:
        return (
            "that neither has learned from as far as id and image tell (places are not known on "
            "both sides)"
        )
    return "that neither has learned from"


# This run beside the last one: the two winners, and the two releases.


@dataclass(frozen=True)
class ChampionComparison:
    """This run beside the last one; None where there was none, or nothing changed."""

    challenge: Challenge | None
    changes: ReleaseDrift | None

    def describe(self) -> str:
        """Return a line or two for the task log."""
        if self.challenge is None:
            return "Champion: none to compare with (or asking it failed: see predict_champion)."
        lines = [f"Champion: {self.challenge.verdict}"]
        if self.changes:
            lines.append(
                f"Since its release: {self.changes.common_galaxies:,} galaxies are common, "
                f"{self.changes.changed_galaxies:,} of them with another label."
            )
        return "\n".join(lines)


def look_back(
    config: RunConfig, images: Artifact, predictions: Artifact | None, winner: CandidateModel
) -> ChampionComparison:
    """Return what there is to say; `predictions` are the champion's, None if there is none."""
    if predictions is None:
        return ChampionComparison(None, None)
    champion = open_champion(predictions.manifest["summary"]["evaluation"])
    return ChampionComparison(
        compare_with_champion(config, champion=champion, predictions=predictions, winner=winner),
        describe_drift(config, champion=champion, labels=labels_of(images), images=images),
    )


def labels_of(images: Artifact) -> Artifact:
    """Return the labels that prepared images were made from."""
    return artifacts.get("labels", images.manifest["summary"]["labels"])
