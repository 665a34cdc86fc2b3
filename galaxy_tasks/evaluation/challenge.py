"""The challenger, this run's winner, against the champion, on galaxies that are new to both.

Where it is uncertain whether galaxies are new to the champion, the verdict says so. Beside the
models, the two releases that they were trained on are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.candidates import Candidate
from galaxy_tasks.evaluation.champion import (
    CALIBRATED,
    GALAXIES,
    PROBABILITIES,
    Champion,
    Doubt,
    find_champion,
    open_champion,
)
from galaxy_tasks.evaluation.drift import ReleaseDrift, measure_drift
from galaxy_tasks.evaluation.metrics import (
    Comparison,
    Evaluation,
    compare_models,
    evaluate_probabilities,
)
from galaxy_tasks.releases.morphology import name_kind
from galaxy_tasks.storage.artifacts import Artifact

LEAST_GALAXIES = 20
"""Fewer common galaxies are no ground for a comparison."""


@dataclass(frozen=True)
class Challenge:
    """The champion and the challenger, or why they cannot be compared."""

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
    """Those of the unseen whose position is unknown: only id and image identify them."""
    num_uncertain: int
    """Those of the unseen that only id and image can tell from the champion's training galaxies,
    because a position is missing on either side."""
    may_know: str
    """Why the champion may have learned from some all the same; empty: no reason is known."""
    num_common: int
    """Those of the unseen whose class both models know: the comparison rests on these."""
    classes: tuple[str, ...]
    """The classes that both models know."""
    are_kinds: bool
    """Whether finer classes were merged into the kinds that both know."""
    champion: Evaluation | None
    challenger: Evaluation | None
    comparison: Comparison | None
    """Challenger against champion; None with too few common galaxies or classes."""
    verdict: str
    """One or two sentences for people."""


@dataclass(frozen=True)
class ChampionComparison:
    """This run beside the champion's: the two models, and the two releases."""

    challenge: Challenge | None
    """None without a champion, or where it could not be run."""
    drift: ReleaseDrift | None
    """None without a champion, or where it had the same images."""
    missing: str = ""
    """Why there is no challenge; empty where there is one."""

    def describe(self) -> str:
        """Return a line or two for the task log."""
        if self.challenge is None:
            return f"Champion: {self.missing}"
        lines = [f"Champion: {self.challenge.verdict}"]
        if self.drift:
            lines.append(
                f"Drift since its release: {self.drift.common_galaxies:,} galaxies are in both, "
                f"{self.drift.changed_galaxies:,} of them with a different label."
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class _Ground:
    """The probabilities of two models over the same galaxies and classes."""

    classes: tuple[str, ...]
    are_kinds: bool
    labels: NDArray[np.int64]
    champion: "_Tables"
    challenger: "_Tables"


@dataclass(frozen=True)
class _Tables:
    """A model's probabilities as they decide and calibrated, each (galaxies, classes)."""

    decisive: NDArray[np.float64]
    calibrated: NDArray[np.float64]


def compare_with_champion(
    config: RunConfig,
    *,
    labels: Artifact,
    images: Artifact,
    predictions: Artifact | None,
    winner: Candidate,
) -> ChampionComparison:
    """Return this run beside the champion's; `predictions` are the champion's, None without one."""
    if predictions is None:
        return ChampionComparison(None, None, _explain_missing(config, images))
    champion = open_champion(predictions.manifest["summary"]["evaluation"])
    return ChampionComparison(
        challenge_champion(config, champion=champion, predictions=predictions, winner=winner),
        measure_drift(config, champion=champion, labels=labels, images=images),
    )


def _explain_missing(config: RunConfig, images: Artifact) -> str:
    champion = find_champion(config, images.key)
    if champion is None:
        kind = "simulated" if config.release == "simulated" else "observed"
        return f"There is no champion yet: no other run on {kind} galaxies has a winner."
    return (
        f"The champion, {champion.record.architecture} of {champion.published[:10]}, could not be "
        "compared with: the task predict_champion failed, and its log says why."
    )


def challenge_champion(
    config: RunConfig, *, champion: Champion, predictions: Artifact, winner: Candidate
) -> Challenge:
    """Return how the challenger does against the champion.

    Args:
        config: this run's settings.
        champion: the champion.
        predictions: the champion's, of the test galaxies that it has not learned from.
        winner: this run's winner, the challenger.
    """
    summary = predictions.manifest["summary"]
    doubt = Doubt(summary["galaxies_uncertain"], summary["may_know"])
    ground = _read_ground(champion, predictions, winner)
    is_enough = len(ground.labels) >= LEAST_GALAXIES and len(np.unique(ground.labels)) > 1
    scores = _score(config, ground, champion=champion, winner=winner) if is_enough else None
    old, new, comparison = scores or (None, None, None)
    return Challenge(
        champion_architecture=champion.record.architecture,
        champion_release=champion.record.config.release_title,
        champion_published=champion.published,
        champion_evaluation=champion.evaluation.key,
        num_test=len(winner.galaxies),
        num_unseen=summary["galaxies"],
        num_without_place=summary["galaxies_without_place"],
        num_uncertain=doubt.num_uncertain,
        may_know=doubt.may_know,
        num_common=len(ground.labels),
        classes=ground.classes,
        are_kinds=ground.are_kinds,
        champion=old,
        challenger=new,
        comparison=comparison,
        verdict=_explain(champion, winner, ground, comparison, doubt),
    )


def _read_ground(champion: Champion, predictions: Artifact, winner: Candidate) -> _Ground:
    """Return both models' probabilities of the galaxies that the champion has predicted."""
    unseen = pd.read_parquet(predictions.path / GALAXIES)["galaxy_id"]
    rows = winner.galaxies.reset_index().set_index("galaxy_id")["index"][unseen].to_numpy()
    names = np.array(winner.record.classes, dtype=object)
    return _find_ground(
        champion_classes=champion.record.classes,
        champion=_Tables(
            *(np.load(predictions.path / name) for name in (PROBABILITIES, CALIBRATED))
        ),
        challenger_classes=winner.record.classes,
        challenger=_Tables(winner.answers.decisive[rows], winner.answers.calibrated[rows]),
        labels=names[winner.galaxies["label_index"].to_numpy()[rows]],
    )


def _find_ground(
    *,
    champion_classes: Sequence[str],
    champion: _Tables,
    challenger_classes: Sequence[str],
    challenger: _Tables,
    labels: NDArray[Any],
) -> _Ground:
    """Return both tables on the classes that both know: by name if these are all, else by kind."""
    are_kinds = set(champion_classes) != set(challenger_classes)

    def name(morphology: str) -> str:
        return name_kind(morphology) if are_kinds else morphology

    classes = sorted(set(map(name, champion_classes)) & set(map(name, challenger_classes)))
    truths = [name(one) for one in labels]
    is_common = np.array([truth in classes for truth in truths], dtype=bool)
    indices = [classes.index(truth) for truth in truths if truth in classes]

    def reduce(table: NDArray[np.float64], own: Sequence[str]) -> NDArray[np.float64]:
        totals = np.zeros((len(table), len(classes)))
        for column, one in enumerate(own):
            if name(one) in classes:
                totals[:, classes.index(name(one))] += table[:, column]
        # What one of them gave to classes that the other does not know is left out.
        totals = np.maximum(totals, 1e-9)
        return totals / totals.sum(axis=1, keepdims=True)

    def reduce_both(tables: _Tables, own: Sequence[str]) -> _Tables:
        return _Tables(
            *(reduce(table[is_common], own) for table in (tables.decisive, tables.calibrated))
        )

    return _Ground(
        classes=tuple(classes),
        are_kinds=are_kinds,
        labels=np.array(indices, dtype=np.int64),
        champion=reduce_both(champion, champion_classes),
        challenger=reduce_both(challenger, challenger_classes),
    )


def _score(
    config: RunConfig, ground: _Ground, *, champion: Champion, winner: Candidate
) -> tuple[Evaluation, Evaluation, Comparison]:
    common = {"bootstrap_samples": config.bootstrap_samples, "seed": config.seed}
    old, new = (
        evaluate_probabilities(
            tables.decisive,
            calibrated=tables.calibrated,
            labels=ground.labels,
            architecture=architecture,
            classes=ground.classes,
            **common,
        )
        for tables, architecture in (
            (ground.champion, champion.record.architecture),
            (ground.challenger, winner.record.architecture),
        )
    )
    comparison = compare_models(
        ground.challenger.decisive,
        ground.champion.decisive,
        labels=ground.labels,
        first=winner.record.architecture,
        second=champion.record.architecture,
        **common,
    )
    return old, new, comparison


def _explain(
    champion: Champion,
    winner: Candidate,
    ground: _Ground,
    comparison: Comparison | None,
    doubt: Doubt,
) -> str:
    challenger = f"The challenger, {winner.record.architecture},"
    opponent = f"the champion, {champion.record.architecture} of {champion.published[:10]},"
    if winner.artifact.key == champion.model.key:
        opponent += " which is the same model,"
    num_galaxies, unseen = len(ground.labels), _describe_unseen(doubt)
    if comparison is None:
        return (
            f"{challenger} cannot be compared with {opponent} on {num_galaxies:,} galaxies of "
            f"{len(np.unique(ground.labels))} common classes {unseen}: there are too few."
        )
    difference = comparison.difference
    by = (
        f"{abs(difference.value):.3f} in macro-F1 (95 % interval of the difference "
        f"{difference.low:+.3f} to {difference.high:+.3f}) on {num_galaxies:,} galaxies {unseen}"
    )
    if not comparison.is_distinguishable:
        return f"{challenger} and {opponent} cannot be told apart: they differ by {by}."
    verb = "leads" if difference.value > 0 else "trails"
    return f"{challenger} {verb} {opponent} by {by}."


def _describe_unseen(doubt: Doubt) -> str:
    """Return what is known of the galaxies that the comparison rests on, as a clause."""
    if doubt.may_know:
        return f"of which the champion may have learned from some ({doubt.may_know})"
    if doubt.num_uncertain:
        return "that neither has learned from, as far as id and image tell (positions are missing)"
    return "that neither has learned from"
