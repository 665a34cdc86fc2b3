"""Does it help to start from a network that knows other galaxies?

    python -m benchmarks.starts CHALLENGE GALAXY_ZOO_1 [--image-size-px 64] [--epochs 20]
        [--seeds 3] [--simulated-galaxies 2400]

CHALLENGE and GALAXY_ZOO_1 are folders of galaxies with a class: training_classes.csv beside
images_training_rev1, and labels.csv beside images. A ResNet-18 is trained on the challenge's
galaxies from random weights, from a network that was trained on simulated galaxies, and from one
that was trained on those of Galaxy Zoo 1; with all training galaxies, and with a tenth that is
drawn anew for each seed, for three times as many epochs of smaller batches, so that it takes about
as many steps. With the tenth it is also tried to slow the trunk down, or to freeze it.

All are scored on the same test galaxies. Trainings are kept below GALAXY_HOME: what was trained
before is not trained again. No id or position says whether a galaxy is in both sets: those whose
images are alike are listed, and left out of the test.
"""

import argparse
from collections.abc import Collection
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.cli.workflow import clean_labels
from galaxy_tasks.config import parse_config
from galaxy_tasks.evaluation.candidates import Candidate, gather_repeats, read_candidate
from galaxy_tasks.evaluation.comparisons import Comparer
from galaxy_tasks.evaluation.repeats import score_networks
from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.prediction.calibration import Answers
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.model_record import PredictedGalaxies

RECIPE = {
    "architectures": ["resnet18"],
    "holdout": "ignore",
    "max_rejected_fraction": 1,
    "weight_decay": 0.05,
    "class_balance_power": 0.75,
    "early_stopping_patience_epochs": 1000,
}
FEW: dict[str, Any] = {"training_fraction": 0.1, "batch_size": 16}
TRUNK_RATES = (0.1, 0.0)
SIDE_PX = 64
SCALES = tuple(0.9**power for power in range(7))
"""Central fractions of a cutout, as the two sets need not have one scale."""
LEAST_ALIKE = 0.55


def main() -> None:
    """Run it; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("challenge", type=Path)
    parser.add_argument("galaxy_zoo_1", type=Path)
    parser.add_argument("--image-size-px", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--simulated-galaxies", type=int, default=2400)
    options = parser.parse_args()
    set_up_logging()
    alike = find_alike(options.challenge / "images_training_rev1", options.galaxy_zoo_1 / "images")
    print(f"In both sets, and left out of the test: {alike}", flush=True)
    starts = train_starts(options)
    every, few, slowed = list_ways(options, starts)
    for title, ways in (
        ("a tenth of the labels", few),
        ("all labels", every),
        ("a tenth of the labels", {**few, **slowed}),
    ):
        trained = {
            name: [leave_out(one, alike) for one in train_seeds(own, options.seeds)]
            for name, own in ways.items()
        }
        print(tabulate(trained, title), flush=True)


Ways = dict[str, dict[str, Any]]
"""Settings by what networks start from."""


def train_starts(options: argparse.Namespace) -> dict[str, str]:
    """Return the keys of the networks to start from, '' for none, by what they know."""
    galaxy_zoo_1 = {
        "release": "class_table",
        "source": str(options.galaxy_zoo_1),
        "ignored_classes": ["dont_know", "merger"],
        "class_names": {"spiral_clockwise": "spiral", "spiral_anticlockwise": "spiral"},
    }
    simulated = {"simulated_galaxies": options.simulated_galaxies}
    return {
        "random weights": "",
        "simulated galaxies": train(complete(options, simulated), seed=1).key,
        "Galaxy Zoo 1": train(complete(options, galaxy_zoo_1), seed=1).key,
    }


def list_ways(options: argparse.Namespace, starts: dict[str, str]) -> tuple[Ways, Ways, Ways]:
    """Return how to train with all labels, with a tenth, and with that and a slower trunk."""
    challenge = {
        "release": "class_table",
        "source": str(options.challenge),
        "catalogue_file": "training_classes.csv",
        "images_folder": "images_training_rev1",
        "ignored_classes": ["not_in_clean_sample"],
        "validation_fraction": 0.1,
    }
    every = {
        name: complete(options, {**challenge, "start_from": start})
        for name, start in starts.items()
    }
    few = {
        name: {**settings, **FEW, "epochs": 3 * options.epochs} for name, settings in every.items()
    }
    slowed = {
        f"{name}, trunk at {rate:g}": {**settings, "trunk_rate": rate}
        for name, settings in few.items()
        if settings["start_from"]
        for rate in TRUNK_RATES
    }
    return every, few, slowed


def complete(options: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with those that all trainings share."""
    shared = {"image_size_px": options.image_size_px, "epochs": options.epochs}
    return {**RECIPE, **shared, **settings}


def train(settings: dict[str, Any], *, seed: int) -> Artifact:
    """Return the network that these settings and this seed give, trained if it is not yet.

    The seed also draws which galaxies are learned from where these are not all, and which of the
    validation galaxies stop the training.
    """
    config, images = prepare(settings)
    own = {**config, "split_seed": seed}
    step = {"settings": own, "images": images, "architecture": "resnet18", "seed": seed}
    return Artifact.from_reference(run_step("train_network", **step))


def prepare(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the complete settings, and the reference of the images that they prepare."""
    config = parse_config(settings).model_dump(mode="json")
    inputs = {"settings": config, "release_files": run_step("prepare_release", settings=config)}
    return config, run_step("preprocess_images", **inputs, labels=clean_labels(**inputs))


def train_seeds(settings: dict[str, Any], count: int) -> list[Candidate]:
    """Return the networks of the first seeds."""
    models = [train(settings, seed=seed) for seed in range(1, count + 1)]
    return [read_candidate(model, parse_config(settings)) for model in models]


def tabulate(ways: dict[str, list[Candidate]], title: str) -> str:
    """Return the scores of each way, and its lead over the first, as a table in Markdown."""
    config = parse_config({**RECIPE, "bootstrap_samples": 2000})
    repeats = [gather_repeats(candidates, config)[0] for candidates in ways.values()]
    labels = next(iter(ways.values()))[0].tested.labels
    drawn = {"bootstrap_samples": config.bootstrap_samples, "seed": 1}
    networks, draws = score_networks(repeats, labels=labels, **drawn)
    names = list(ways)
    comparer = Comparer(names, draws, num_galaxies=len(labels), alpha=config.alpha, seed=1)
    first = names[0]
    leads = {
        pair.second: pair.difference for pair in comparer.compare_all(names) if pair.first == first
    }
    lines = [f"{title}, {len(labels):,} test galaxies", ""]
    lines += ["| start | macro-F1 | accuracy | loss | lead in macro-F1 |", "|---|---|---|---|---|"]
    for name, network in zip(names, networks, strict=True):
        scores = [
            f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"
            for score in (network.macro_f1, network.accuracy, network.loss)
        ]
        lead = leads.get(name)
        told = f"{-lead.value:+.3f} ({-lead.high:+.3f} to {-lead.low:+.3f})" if lead else ""
        lines.append(f"| {name} | {' | '.join(scores)} | {told} |")
    return "\n".join(lines)


def find_alike(first: Path, second: Path) -> dict[str, str]:
    """Return which image of the first folder shows a galaxy of the second, by name.

    Details are compared, such as spiral arms and the stars around: what is left of an image without
    its large structures and without what is alike on rings around the centre. Whichever has the
    wider field is cut to several scales. Images of 1,934 and 2,733 galaxies part clearly: nine
    pairs have a correlation of 0.61 to 0.95 and show one galaxy each, the next 0.47 and two.
    """
    names, theirs = read_details(first)
    others, own = read_details(second)
    best = np.zeros((len(names), len(others)), np.float32)
    for scale in range(len(SCALES)):
        for one, other in ((theirs[0], own[scale]), (theirs[scale], own[0])):
            np.maximum(best, one @ other.T, out=best)
    found = zip(*np.nonzero(best >= LEAST_ALIKE), strict=True)
    return {names[row]: others[column] for row, column in found}


def read_details(folder: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Return the names of a folder's images, and (scales, images, pixels), each of length 1."""
    paths = sorted(folder.iterdir())
    table = np.zeros((len(SCALES), len(paths), SIDE_PX**2), np.float32)
    for row, path in enumerate(paths):
        grey = np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        for number, scale in enumerate(SCALES):
            margin = int(len(grey) * (1 - scale) / 2)
            cut = grey[margin : len(grey) - margin, margin : len(grey) - margin]
            table[number, row] = find_details(cut).ravel()
    return [path.stem for path in paths], table


def find_details(cut: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the small structures of an image that are not alike on rings around its centre."""
    small = cv2.resize(cut, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    light = np.log1p(small.astype(np.float32))
    fine = cv2.GaussianBlur(light, (0, 0), 0.7) - cv2.GaussianBlur(light, (0, 0), 3.0)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] - (SIDE_PX - 1) / 2
    rings = np.hypot(x, y).astype(int)
    details = fine - (np.bincount(rings.ravel(), fine.ravel()) / np.bincount(rings.ravel()))[rings]
    limit = 4 * details.std() + 1e-6  # a bright star is no more than another
    clipped = np.clip(details, -limit, limit)
    return (clipped / max(float(np.linalg.norm(clipped)), 1e-6)).astype(np.float32)


def leave_out(candidate: Candidate, galaxy_ids: Collection[str]) -> Candidate:
    """Return a candidate without some of its test galaxies."""
    galaxies = candidate.galaxies
    is_kept = ~galaxies["galaxy_id"].isin(list(galaxy_ids)).to_numpy()
    tested = PredictedGalaxies(
        candidate.tested.probabilities[:, is_kept], galaxies[is_kept].reset_index(drop=True)
    )
    answers = Answers(*(getattr(candidate.answers, one.name)[is_kept] for one in fields(Answers)))
    return replace(candidate, tested=tested, answers=answers)


if __name__ == "__main__":
    main()
