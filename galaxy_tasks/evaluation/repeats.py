"""A network's scores: means over its trainings, which differ in the seed alone.

Their intervals hold two parts. The galaxies' part is the bootstrap of the mean over the trainings,
from samples that are drawn once for all models. The seeds' part is Student's t with the standard
error of that mean: resampling three seeds would lose a third of their variance. What depends on
both, how a training's luck falls on these galaxies, is counted in either part, so that intervals
are rather too wide. With one training there is no seeds' part, and no interval answers for
another seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.evaluation.metrics import Estimate, Evaluation, losses_of
from galaxy_tasks.evaluation.reliability import Reliability
from galaxy_tasks.evaluation.resampling import draw_means, draw_scores

SCORES = ("accuracy", "loss", "macro_f1", "weighted_f1", "balanced_accuracy")


@dataclass(frozen=True)
class ScoredModel:
    """One training of a network, scored by itself: the intervals are over galaxies."""

    seed: int
    evaluation: Evaluation
    validation_macro_f1: float
    training_s: float
    images_per_s: float
    """Galaxies a second in training."""
    reliability: Reliability
    key: str
    """Key of the model's artifact."""
    path: str
    """Folder of the model's artifact."""


@dataclass(frozen=True)
class ScoredNetwork:
    """A network's mean scores beside what it costs."""

    architecture: str
    accuracy: Estimate
    loss: Estimate
    """Cross-entropy, in nats."""
    macro_f1: Estimate
    weighted_f1: Estimate
    balanced_accuracy: Estimate
    seed_deviation: float | None
    """Standard deviation of macro_f1 over the trainings; None of one training."""
    num_parameters: int
    multiply_adds: int
    """Of one image."""
    models: tuple[ScoredModel, ...]
    """One for each seed."""

    @property
    def served(self) -> ScoredModel:
        """The training with the best validation macro-F1: the model that is used if it wins."""
        return max(self.models, key=lambda one: one.validation_macro_f1)

    @property
    def validation_macro_f1(self) -> float:
        """The mean over the trainings."""
        return sum(one.validation_macro_f1 for one in self.models) / len(self.models)

    @property
    def training_s(self) -> float:
        """Seconds that all trainings took."""
        return sum(one.training_s for one in self.models)

    @property
    def images_per_s(self) -> float:
        """Galaxies a second in training, the mean."""
        return sum(one.images_per_s for one in self.models) / len(self.models)


@dataclass(frozen=True)
class Repeats:
    """What a network's trainings say of the test galaxies."""

    probabilities: NDArray[np.float64]
    """(trainings, galaxies, classes); the largest is the class."""
    calibrated: NDArray[np.float64]
    """The same after calibration: the loss is of these."""
    models: tuple[ScoredModel, ...]
    num_parameters: int
    multiply_adds: int

    @property
    def architecture(self) -> str:
        """The network's name in tables."""
        return self.models[0].evaluation.architecture


@dataclass(frozen=True)
class MacroF1Draws:
    """What is known of the networks' macro-F1, in their order: for comparisons."""

    values: NDArray[np.float64]
    """(networks,) means over the trainings."""
    galaxies: NDArray[np.float64]
    """(samples, networks) deviations of the mean in samples of the galaxies."""
    seed_variances: NDArray[np.float64]
    """(networks,) variances over the trainings; NaN of one training."""
    num_seeds: NDArray[np.int64]
    """(networks,) numbers of trainings."""


def score_networks(
    networks: Sequence[Repeats],
    *,
    labels: NDArray[np.integer],
    bootstrap_samples: int,
    seed: int,
) -> tuple[tuple[ScoredNetwork, ...], MacroF1Draws]:
    """Return the networks' mean scores, and what comparisons need, in the same order.

    Args:
        networks: the probabilities of all trainings, on the same galaxies and classes.
        labels: (galaxies,) integers, the true classes.
        bootstrap_samples: samples behind each interval.
        seed: makes the intervals repeatable.
    """
    random = np.random.default_rng(seed)
    tables = np.concatenate([one.probabilities for one in networks])
    drawn = draw_scores(
        tables.argmax(axis=2),
        labels=labels,
        num_classes=tables.shape[2],
        samples=bootstrap_samples,
        random=random,
    )
    scored, deviations, start = [], [], 0
    for network in networks:
        own = slice(start, start + len(network.models))
        start = own.stop
        galaxies = {name: draws[:, own].mean(axis=1) for name, draws in drawn.items()}
        galaxies["loss"] = _draw_losses(network, labels, bootstrap_samples, random)
        scored.append(_score(network, galaxies, random))
        deviations.append(galaxies["macro_f1"] - galaxies["macro_f1"].mean())
    return tuple(scored), MacroF1Draws(
        values=np.array([one.macro_f1.value for one in scored]),
        galaxies=np.stack(deviations, axis=1),
        seed_variances=np.array([_variance(_values(one, "macro_f1")) for one in networks]),
        num_seeds=np.array([len(one.models) for one in networks]),
    )


def _draw_losses(
    network: Repeats, labels: NDArray[np.integer], samples: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Return (samples,) mean losses over the trainings, on resampled galaxies."""
    losses = np.mean([losses_of(table, labels) for table in network.calibrated], axis=0)
    return draw_means(losses, labels=labels, samples=samples, random=random)


def _score(
    network: Repeats, galaxies: dict[str, NDArray[np.float64]], random: np.random.Generator
) -> ScoredNetwork:
    num_seeds = len(network.models)
    samples = len(galaxies["macro_f1"])
    luck = random.standard_t(num_seeds - 1, size=samples) if num_seeds > 1 else np.zeros(samples)
    estimates = {}
    for name in SCORES:
        values = _values(network, name)
        error = np.sqrt(_variance(values) / num_seeds) if num_seeds > 1 else 0.0
        low, high = np.percentile(galaxies[name] + luck * error, [2.5, 97.5])
        value = float(values.mean())
        bound = np.inf if name == "loss" else 1.0
        estimates[name] = Estimate(
            value, max(0.0, min(float(low), value)), min(bound, max(float(high), value))
        )
    deviation = float(np.sqrt(_variance(_values(network, "macro_f1")))) if num_seeds > 1 else None
    return ScoredNetwork(
        architecture=network.architecture,
        **estimates,
        seed_deviation=deviation,
        num_parameters=network.num_parameters,
        multiply_adds=network.multiply_adds,
        models=network.models,
    )


def _values(network: Repeats, name: str) -> NDArray[np.float64]:
    return np.array([getattr(one.evaluation, name).value for one in network.models])


def _variance(values: NDArray[np.float64]) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else float("nan")
