"""Scores of the winner on parts of the test galaxies: where volunteers agree, by brightness, size.

Brightness and size are measured in the prepared images, so that every release has them; thirds hold
as many galaxies each. A part is scored where it has LEAST_GALAXIES and two classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.candidates import Candidate
from galaxy_tasks.evaluation.metrics import Evaluation, evaluate_probabilities

HIGH_AGREEMENT = 0.8
"""Our choice: the smallest vote fraction behind a label on which volunteers agree."""
LEAST_GALAXIES = 30
_THIRDS = {
    "brightness": ("faintest third", "middle third in brightness", "brightest third"),
    "size": ("smallest third", "middle third in size", "largest third"),
}


@dataclass(frozen=True)
class Subset:
    """A part of the test galaxies, and the winner's scores there."""

    name: str
    evaluation: Evaluation


def score_subsets(
    config: RunConfig,
    winner: Candidate,
    *,
    labels: pd.DataFrame,
    measurements: pd.DataFrame | None,
) -> tuple[Subset, ...]:
    """Return the scores of the parts that are large enough.

    Args:
        config: this run's settings.
        winner: the model that is scored.
        labels: the run's labels: galaxy_id and agreement, which is null without votes.
        measurements: brightness and size of the test galaxies, in their order; None where they
            were not measured.
    """
    parts = [*_list_agreed(winner, labels), *_list_thirds(measurements)]
    truth = winner.tested.labels
    return tuple(
        Subset(name, _score(config, winner, rows))
        for name, rows in parts
        if len(rows) >= LEAST_GALAXIES and len(np.unique(truth[rows])) > 1
    )


def _list_agreed(
    winner: Candidate, labels: pd.DataFrame
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    by_id = labels.set_index("galaxy_id")["agreement"]
    agreement = by_id[winner.galaxies["galaxy_id"]].to_numpy(dtype=np.float64)
    if not np.isnan(agreement).all():
        yield (
            f"volunteers agree (above {HIGH_AGREEMENT})",
            np.flatnonzero(agreement > HIGH_AGREEMENT),
        )
        yield "volunteers agree less", np.flatnonzero(agreement <= HIGH_AGREEMENT)


def _list_thirds(
    measurements: pd.DataFrame | None,
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    if measurements is None:
        return
    for column, names in _THIRDS.items():
        ranked = np.argsort(measurements[column].to_numpy(), kind="stable")
        yield from zip(names, np.array_split(ranked, len(names)), strict=True)


def _score(config: RunConfig, winner: Candidate, rows: NDArray[np.int64]) -> Evaluation:
    return evaluate_probabilities(
        winner.answers.decisive[rows],
        calibrated=winner.answers.calibrated[rows],
        labels=winner.tested.labels[rows],
        architecture=winner.architecture,
        classes=winner.record.classes,
        bootstrap_samples=config.bootstrap_samples,
        seed=config.seed,
    )
