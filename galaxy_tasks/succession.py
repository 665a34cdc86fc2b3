"""This run's winner against the last one, on test galaxies that neither has learned from.

Where that is not certain, every sentence about them says so.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxy_tasks.artifacts import Artifact
from galaxy_tasks.config import RunConfig
from galaxy_tasks.contestants import Contestant
from galaxy_tasks.evaluation import (
    Comparison,
    Evaluation,
    compare_models,
    evaluate_probabilities,
)
from galaxy_tasks.former import FormerWinner
from galaxy_tasks.former_doubt import Doubt
from galaxy_tasks.former_prediction import GALAXIES, PROBABILITIES
from galaxy_tasks.morphology import name_kind

LEAST_GALAXIES = 20
"""Fewer common galaxies are no ground for a comparison."""


@dataclass(frozen=True)
class Succession:
    """The last winner and this run's, or why they cannot be compared."""

    former_architecture: str
    former_release: str
    former_published: str
    former_evaluation: str
    """Key of the evaluation that it won."""
    num_test: int
    """This run's test galaxies."""
    num_unseen: int
    """Those of them that the last winner has not learned from."""
    num_without_place: int
    """Those whose place on the sky is unknown, so that only id and image can tell them."""
    num_uncertain: int
    """Those of the unseen of which only id and image could tell, as places are not known on both
    sides."""
    may_know: str
    """Why the last winner may know some of them all the same; empty: no reason is known."""
    num_common: int
    """Those of the unseen whose class both could name: the comparison rests on these."""
    classes: tuple[str, ...]
    """The classes that both could name."""
    are_kinds: bool
    """Whether finer classes were added up to the kinds that both know."""
    former: Evaluation | None
    current: Evaluation | None
    comparison: Comparison | None
    """Current against former; None where there were too few common galaxies or classes."""
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
    former: NDArray[np.float64]
    current: NDArray[np.float64]


def compare_with_former(
    config: RunConfig, *, former: FormerWinner, predictions: Artifact, winner: Contestant
) -> Succession:
    """Return the comparison of this run's winner with the former one.

    Args:
        config: this run's settings.
        former: the former winner.
        predictions: what it says of the test galaxies that it has not learned from.
        winner: this run's winner.
    """
    summary = predictions.manifest["summary"]
    doubt = Doubt(summary.get("galaxies_uncertain", 0), summary.get("may_know", ""))
    asked = pd.read_parquet(predictions.path / GALAXIES)["galaxy_id"]
    rows = winner.galaxies.reset_index().set_index("galaxy_id")["index"][asked].to_numpy()
    names = np.array(winner.record.classes, dtype=object)
    ground = _find_ground(
        former_classes=former.record.classes,
        former=np.load(predictions.path / PROBABILITIES).astype(np.float64),
        current_classes=winner.record.classes,
        current=winner.probabilities[rows].astype(np.float64),
        labels=names[winner.galaxies["label_index"].to_numpy()[rows]],
    )
    is_enough = len(ground.labels) >= LEAST_GALAXIES and len(np.unique(ground.labels)) > 1
    scores = _score(config, ground, former=former, winner=winner) if is_enough else None
    old, new, comparison = scores or (None, None, None)
    return Succession(
        former_architecture=former.record.architecture,
        former_release=former.record.config.release_title,
        former_published=former.published,
        former_evaluation=former.evaluation.key,
        num_test=len(winner.galaxies),
        num_unseen=len(asked),
        num_without_place=summary["galaxies_without_place"],
        num_uncertain=doubt.num_uncertain,
        may_know=doubt.may_know,
        num_common=len(ground.labels),
        classes=ground.classes,
        are_kinds=ground.are_kinds,
        former=old,
        current=new,
        comparison=comparison,
        verdict=_explain(former, winner, ground, comparison, doubt),
    )


def _find_ground(
    *,
    former_classes: Sequence[str],
    former: NDArray[np.float64],
    current_classes: Sequence[str],
    current: NDArray[np.float64],
    labels: NDArray[Any],
) -> _Ground:
    """Return both on the classes that both know: by name if these are all, else by kind."""
    are_kinds = set(former_classes) != set(current_classes)

    def name(one: str) -> str:
        return name_kind(one) if are_kinds else one

    classes = sorted(set(map(name, former_classes)) & set(map(name, current_classes)))
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
        former=reduce(former[is_common], former_classes),
        current=reduce(current[is_common], current_classes),
    )


def _score(
    config: RunConfig, ground: _Ground, *, former: FormerWinner, winner: Contestant
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
            (ground.former, former.record.architecture),
            (ground.current, winner.record.architecture),
        )
    )
    comparison = compare_models(
        ground.current,
        ground.former,
        labels=ground.labels,
        first=winner.record.architecture,
        second=former.record.architecture,
        **common,
    )
    return old, new, comparison


def _explain(
    former: FormerWinner,
    winner: Contestant,
    ground: _Ground,
    comparison: Comparison | None,
    doubt: Doubt,
) -> str:
    which = _describe_unseen(doubt)
    own = f"This run's winner, {winner.record.architecture},"
    who = f"the last one, {former.record.architecture} of {former.published[:10]}"
    if (winner.record.weights_from or winner.artifact.key) == (
        former.record.weights_from or former.model.key
    ):
        who += " (the same network, asked in other views)"
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
        return f"of which the last winner may know some ({doubt.may_know})"
    if doubt.num_uncertain:
        return (
            "that neither has learned from as far as id and image tell (places are not known on "
            "both sides)"
        )
    return "that neither has learned from"
