"""The challenger, the model that this run puts forward, against the champion.

They meet on galaxies that are new to both: the weights that would be used, as they are.

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
    open_champion,
)
from galaxy_tasks.evaluation.drift import ReleaseDrift, measure_drift
from galaxy_tasks.evaluation.metrics import (
    Comparison,
    Evaluation,
    compare_models,
    evaluate_probabilities,
)
from galaxy_tasks.formatting import format_signed
from galaxy_tasks.releases.morphology import name_kind
from galaxy_tasks.storage.artifacts import Artifact

LEAST_GALAXIES = 20
"""Fewer common galaxies are no ground for a comparison."""


@dataclass(frozen=True)
class Opponent:
    """Whom this run's challenger meets."""

    predictions: Artifact | None
    """The champion's, of this run's test galaxies; None without a champion, or where its task
    failed."""
    is_first: bool
    """Whether it is known that no champion knows these classes. The predictions are then of a
    champion of other classes."""


@dataclass(frozen=True)
class Challenge:
    """The champion and the challenger, or why they cannot be compared."""

    champion_architecture: str
    champion_release: str
    champion_published: str
    champion_evaluation: str
    """Key of the evaluation that put it forward."""
    champion_model: str
    """Key of its model."""
    is_same_model: bool
    """Whether the challenger is the champion itself."""
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
    """Challenger against champion; None with too few common galaxies or classes, or where they are
    one model."""
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
    opponent: Opponent,
    challenger: Candidate,
) -> ChampionComparison:
    """Return this run beside the champion's."""
    predictions = opponent.predictions
    if predictions is None:
        return ChampionComparison(None, None, _explain_missing(config, opponent))
    summary = predictions.manifest["summary"]
    champion = open_champion(summary["evaluation"], summary["model"])
    return ChampionComparison(
        challenge_champion(
            config, champion=champion, predictions=predictions, challenger=challenger
        ),
        measure_drift(config, champion=champion, labels=labels, images=images),
    )


def _explain_missing(config: RunConfig, opponent: Opponent) -> str:
    if opponent.is_first:
        kind = "simulated" if config.release == "simulated" else "observed"
        return f"There is no champion yet on {kind} galaxies."
    return (
        "It is unknown how this run does against the champion: the task predict_champion failed, "
        "and its log says why."
    )


def challenge_champion(
    config: RunConfig, *, champion: Champion, predictions: Artifact, challenger: Candidate
) -> Challenge:
    """Return how the challenger does against the champion.

    Args:
        config: this run's settings.
        champion: the champion.
        predictions: the champion's, of the test galaxies that it has not learned from.
        challenger: the model that this run puts forward.
    """
    summary = predictions.manifest["summary"]
    doubt = Doubt(summary["galaxies_uncertain"], summary["may_know"])
    ground = _read_ground(champion, predictions, challenger)
    is_same = challenger.artifact.key == champion.model.key
    is_enough = len(ground.labels) >= LEAST_GALAXIES and len(np.unique(ground.labels)) > 1
    has_two = is_enough and not is_same
    scores = _score(config, ground, champion=champion, model=challenger) if has_two else None
    old, new, comparison = scores or (None, None, None)
    return Challenge(
        champion_architecture=champion.record.architecture,
        champion_release=champion.record.config.release_title,
        champion_published=champion.published,
        champion_evaluation=champion.evaluation.key,
        champion_model=champion.model.key,
        is_same_model=is_same,
        num_test=len(challenger.galaxies),
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
        verdict=_explain(champion, challenger, ground, comparison, doubt),
    )


def _read_ground(champion: Champion, predictions: Artifact, challenger: Candidate) -> _Ground:
    """Return both models' probabilities of the galaxies that the champion has predicted."""
    unseen = pd.read_parquet(predictions.path / GALAXIES)["galaxy_id"]
    rows = challenger.galaxies.reset_index().set_index("galaxy_id")["index"][unseen].to_numpy()
    names = np.array(challenger.record.classes, dtype=object)
    return _find_ground(
        champion_classes=champion.record.classes,
        champion=_Tables(
            *(np.load(predictions.path / name) for name in (PROBABILITIES, CALIBRATED))
        ),
        challenger_classes=challenger.record.classes,
        challenger=_Tables(challenger.answers.decisive[rows], challenger.answers.calibrated[rows]),
        labels=names[challenger.galaxies["label_index"].to_numpy()[rows]],
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
    config: RunConfig, ground: _Ground, *, champion: Champion, model: Candidate
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
            (ground.challenger, model.record.architecture),
        )
    )
    comparison = compare_models(
        ground.challenger.decisive,
        ground.champion.decisive,
        labels=ground.labels,
        first=model.record.architecture,
        second=champion.record.architecture,
        **common,
    )
    return old, new, comparison


def _explain(
    champion: Champion,
    model: Candidate,
    ground: _Ground,
    comparison: Comparison | None,
    doubt: Doubt,
) -> str:
    known = f"{champion.record.architecture} of {champion.published[:10]}"
    if model.artifact.key == champion.model.key:
        return f"The challenger is the champion itself, {known}."
    challenger = f"The challenger, {model.record.architecture},"
    opponent = f"the champion, {known},"
    num_galaxies, unseen = len(ground.labels), _describe_unseen(doubt)
    if comparison is None:
        return (
            f"{challenger} cannot be compared with {opponent} on {num_galaxies:,} galaxies of "
            f"{len(np.unique(ground.labels))} common classes {unseen}: there are too few."
        )
    difference = comparison.difference
    by = (
        f"{abs(difference.value):.3f} in macro-F1 (95 % interval of the difference "
        f"{format_signed(difference.low)} to {format_signed(difference.high)}) "
        f"on {num_galaxies:,} galaxies {unseen}"
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
