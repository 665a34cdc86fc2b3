"""How often the intervals hold the truth, and how often networks are told apart, by simulation.

    python -m benchmarks.coverage [--simulations 2000] [--samples 1000] [--seeds 1,3,5]
        [--smallest-class 10,20,40,80] [--seed-deviations 0.12,0.12,0.12]

Three networks are trained and tested in a world whose truth is known: galaxies differ in how hard
they are, alike for all networks; a training's luck moves the whole network and each class. The
first two networks are equally good, the third is worse by about 0.03 in macro-F1. Of five classes,
one is small. The truth is what trainings of any seed score on any galaxies of these classes in
these numbers.

Printed for each number of seeds and of galaxies in the smallest class: how often a network's 95 %
interval holds its true macro-F1, how often all three intervals of differences hold together (95 %
is the aim), how often the equal networks are told apart, and how often the first and the third,
beside the power that the comparison announces for their true difference.
"""

import argparse
import gc
from dataclasses import dataclass, replace

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from galaxy_tasks.evaluation.comparisons import Comparer
from galaxy_tasks.evaluation.metrics import Estimate, evaluate_probabilities
from galaxy_tasks.evaluation.reliability import Reliability, measure_reliability
from galaxy_tasks.evaluation.repeats import Repeats, ScoredModel, score_networks
from galaxy_tasks.evaluation.resampling import score_confusions
from galaxy_tasks.prediction.calibration import Calibration

NAMES = ("first", "second", "third")
OTHER_CLASSES = (96, 94, 45, 212)
"""Test galaxies of the other classes, about those of 2,253 clean galaxies of the challenge."""
_SKILLS = (-1.6, -1.6, -1.4)
_HARDNESS, _NOISE = 0.8, 0.6
_CLASSES = tuple("abcde")
gc.freeze()  # statsmodels collects garbage whenever it adjusts p values


@dataclass(frozen=True)
class World:
    """Networks and galaxies whose truth is known."""

    sizes: tuple[int, ...]
    """Test galaxies of each class."""
    seed_deviations: tuple[float, ...]
    """How far luck moves each network's skill."""

    def draw(
        self, num_seeds: int, random: np.random.Generator, *, factor: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the labels, and the predictions of all trainings (3 * num_seeds, galaxies)."""
        num_classes = len(self.sizes)
        labels = np.repeat(np.arange(num_classes), np.array(self.sizes) * factor)
        hardness = _HARDNESS * random.normal(size=len(labels))
        other = (labels + random.integers(1, num_classes, len(labels))) % num_classes
        predictions = []
        for skill, deviation in zip(_SKILLS, self.seed_deviations, strict=True):
            for _ in range(num_seeds):
                luck = deviation * (random.normal() + random.normal(size=num_classes))
                noise = _NOISE * random.normal(size=len(labels))
                is_wrong = skill + luck[labels] + hardness + noise > 0
                predictions.append(np.where(is_wrong, other, labels))
        return labels, np.array(predictions)

    def measure_truth(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Return the mean macro_f1 of each network over many seeds and galaxies."""
        rounds, num_seeds = 60, 8
        total = np.zeros(len(NAMES))
        for _ in range(rounds):
            labels, predictions = self.draw(num_seeds, random, factor=40)
            scores = score_confusions(_count(labels, predictions, len(self.sizes)))["macro_f1"]
            total += scores.reshape(len(NAMES), num_seeds).mean(axis=1)
        return total / rounds


def _count(labels: NDArray, predictions: NDArray, num_classes: int) -> NDArray[np.int64]:
    counts = np.zeros((len(predictions), num_classes, num_classes), dtype=np.int64)
    for table, calls in zip(counts, predictions, strict=True):
        np.add.at(table, (labels, calls), 1)
    return counts


def _make_reliability() -> Reliability:
    """Return the reliability of a perfect model: it plays no part here."""
    count = len(_CLASSES)
    calibration = Calibration((1.0,) * count, 1.0, 0, 0.9, 0.5, (None,) * count)
    answers, labels = calibration.answer(np.eye(count)[np.newaxis]), np.arange(count)
    return measure_reliability(answers, labels, calibration=calibration, classes=_CLASSES, seed=0)


_RELIABILITY = _make_reliability()
_EVALUATION = evaluate_probabilities(
    np.eye(len(_CLASSES)),
    labels=np.arange(len(_CLASSES)),
    architecture="",
    classes=_CLASSES,
    bootstrap_samples=2,
    seed=0,
)
_SCORES = ("accuracy", "macro_f1", "weighted_f1", "balanced_accuracy")


def _repeat(name: str, predictions: NDArray[np.int64], labels: NDArray[np.int64]) -> Repeats:
    """Return the trainings of a network; of their evaluations only the scores play a part."""
    scores = score_confusions(_count(labels, predictions, len(_CLASSES)))
    tables = np.eye(len(_CLASSES))[predictions] * 0.75 + 0.05
    models = tuple(
        ScoredModel(
            seed=number,
            evaluation=replace(
                _EVALUATION,
                architecture=name,
                **{score: Estimate(*[float(scores[score][number])] * 3) for score in _SCORES},
            ),
            reliability=_RELIABILITY,
            validation_macro_f1=0.0,
            training_s=0.0,
            images_per_s=0.0,
            key="",
            path="",
        )
        for number in range(len(predictions))
    )
    return Repeats(tables, tables, models, 0, 0)


def _simulate(
    world: World, truth: NDArray[np.float64], *, num_seeds: int, samples: int, seed: int
) -> NDArray[np.float64]:
    """Return one simulation's share of intervals that hold, then its verdicts."""
    random = np.random.default_rng(seed)
    labels, predictions = world.draw(num_seeds, random)
    groups = predictions.reshape(len(NAMES), num_seeds, -1)
    networks, draws = score_networks(
        [_repeat(name, group, labels) for name, group in zip(NAMES, groups, strict=True)],
        labels=labels,
        bootstrap_samples=samples,
        seed=seed,
    )
    comparer = Comparer(NAMES, draws, num_galaxies=len(labels), alpha=0.05, seed=seed)
    pairs = comparer.compare_all(NAMES)
    differences = truth[[0, 0, 1]] - truth[[1, 2, 2]]
    return np.array(
        [
            np.mean(
                [
                    n.macro_f1.low <= t <= n.macro_f1.high
                    for n, t in zip(networks, truth, strict=True)
                ]
            ),
            all(
                p.difference.low <= d <= p.difference.high
                for p, d in zip(pairs, differences, strict=True)
            ),
            pairs[0].is_distinguishable,
            pairs[1].is_distinguishable,
            pairs[1].detectable,
        ],
        dtype=float,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seeds", default="1,3,5")
    parser.add_argument("--smallest-class", default="10,20,40,80")
    parser.add_argument("--seed-deviations", default="0.12,0.12,0.12")
    options = parser.parse_args()
    deviations = tuple(float(one) for one in options.seed_deviations.split(","))
    print(f"{options.simulations:,} simulations, {options.samples:,} bootstrap samples each")
    print(
        "seeds  smallest class  scores hold  differences hold  tie broken  0.03 found  detectable"
    )
    for smallest in map(int, options.smallest_class.split(",")):
        world = World((*OTHER_CLASSES, smallest), deviations)
        truth = world.measure_truth(np.random.default_rng(0))
        for num_seeds in map(int, options.seeds.split(",")):
            done = Parallel(n_jobs=-1)(
                delayed(_simulate)(
                    world, truth, num_seeds=num_seeds, samples=options.samples, seed=number
                )
                for number in range(options.simulations)
            )
            table = np.array(done)
            scores, together, false, found = table[:, :4].mean(axis=0)
            print(
                f"{num_seeds:5}  {smallest:14}  {scores:11.3f}  {together:16.3f}  {false:10.3f}  "
                f"{found:10.3f}  {np.median(table[:, 4]):10.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
