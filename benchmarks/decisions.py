"""How often a challenger that is no better takes the champion's place, by simulation.

    python -m benchmarks.decisions [--decisions 2000] [--samples 2000] [--smallest-class 5,10,40]

The world is that of `benchmarks.coverage`. Printed for each number of test galaxies in the smallest
of five classes is how often a challenger is promoted that is exactly as good as the champion; one
that was trained by the same recipe with another seed, and so is truly better or worse by its luck;
and one that is better by about 0.03 in macro-F1.
"""

import argparse

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from benchmarks.coverage import OTHER_CLASSES, World
from galaxy_tasks.evaluation.metrics import compare_models
from galaxy_tasks.evaluation.promotion import is_better

_LUCK = 0.12


def _decide(
    labels: NDArray[np.int64],
    challenger: NDArray[np.int64],
    champion: NDArray[np.int64],
    *,
    samples: int,
    seed: int,
) -> bool:
    tables = [np.eye(labels.max() + 1)[calls] for calls in (challenger, champion)]
    comparison = compare_models(
        *tables,
        labels=labels,
        first="challenger",
        second="champion",
        bootstrap_samples=samples,
        seed=seed,
    )
    return is_better(comparison)


def _simulate(sizes: tuple[int, ...], *, samples: int, seed: int) -> tuple[bool, bool, bool]:
    """Return whether an equal, a retrained and a better challenger are promoted."""
    random = np.random.default_rng(seed)
    decide = {"samples": samples, "seed": seed}
    labels, equal = World(sizes, (0.0, 0.0, 0.0)).draw(1, random)
    others, retrained = World(sizes, (_LUCK, _LUCK, _LUCK)).draw(1, random)
    return (
        _decide(labels, equal[0], equal[1], **decide),
        _decide(others, retrained[0], retrained[1], **decide),
        _decide(labels, equal[0], equal[2], **decide),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--smallest-class", default="5,10,40")
    options = parser.parse_args()
    print(f"{options.decisions:,} decisions a row, {options.samples:,} bootstrap samples each")
    print("smallest class  equal promoted  retrained promoted  better by 0.03 promoted")
    for smallest in map(int, options.smallest_class.split(",")):
        done = Parallel(n_jobs=-1)(
            delayed(_simulate)((*OTHER_CLASSES, smallest), samples=options.samples, seed=number)
            for number in range(options.decisions)
        )
        equal, retrained, better = np.mean(np.array(done), axis=0)
        print(f"{smallest:14}  {equal:14.4f}  {retrained:18.4f}  {better:23.4f}", flush=True)


if __name__ == "__main__":
    main()
