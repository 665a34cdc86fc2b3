"""Resampled scores of all models at once, beside a loop over scikit-learn.

    python -m benchmarks.resampling [--models 9] [--galaxies 50000] [--samples 10000] [--rounds 3]

A user would otherwise draw galaxies with replacement within each class, and ask scikit-learn for
the macro-F1 of each model. The loop is measured on 20 samples and scaled up.
"""

import argparse
import time

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from galaxy_tasks.evaluation.resampling import draw_scores

SHARES = (0.35, 0.3, 0.02, 0.13, 0.2)
_LOOP_SAMPLES = 20


def draw_predictions(models: int, galaxies: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return labels, and predictions (models, galaxies) that err mostly on the same galaxies."""
    random = np.random.default_rng(0)
    labels = random.choice(len(SHARES), galaxies, p=SHARES)
    hardness = random.random(galaxies)
    predictions = [
        np.where(
            hardness + 0.1 * random.normal(size=galaxies) > 0.88,
            random.integers(0, len(SHARES), galaxies),
            labels,
        )
        for _ in range(models)
    ]
    return labels, np.array(predictions)


def loop(labels: NDArray[np.int64], predictions: NDArray[np.int64], *, samples: int) -> None:
    """Score resampled galaxies one sample and one model at a time."""
    random = np.random.default_rng(0)
    groups = [np.flatnonzero(labels == label) for label in range(len(SHARES))]
    for _ in range(samples):
        rows = np.concatenate([random.choice(group, len(group)) for group in groups])
        for calls in predictions:
            f1_score(labels[rows], calls[rows], average="macro")


def main() -> None:
    """Print both times and their ratio, the medians over interleaved rounds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=9)
    parser.add_argument("--galaxies", type=int, default=50_000)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    labels, predictions = draw_predictions(options.models, options.galaxies)
    here, by_loop = [], []
    for _ in range(options.rounds):
        started = time.perf_counter()
        draw_scores(
            predictions,
            labels=labels,
            num_classes=len(SHARES),
            samples=options.samples,
            random=np.random.default_rng(0),
        )
        here.append(time.perf_counter() - started)
        started = time.perf_counter()
        loop(labels, predictions, samples=_LOOP_SAMPLES)
        by_loop.append((time.perf_counter() - started) * options.samples / _LOOP_SAMPLES)
    seconds, loop_seconds = float(np.median(here)), float(np.median(by_loop))
    print(
        f"{options.samples:,} samples of {options.galaxies:,} galaxies, {options.models} models: "
        f"{seconds:.1f} s here, {loop_seconds:,.0f} s in a loop over scikit-learn "
        f"({loop_seconds / seconds:,.0f} times)"
    )


if __name__ == "__main__":
    main()
