"""A report's inputs with known content, for the tests of the report."""

import numpy as np

from galaxy_tasks.config import parse_config
from galaxy_tasks.evaluation import compare_models, evaluate_probabilities
from galaxy_tasks.examples import ExampleGalaxy, choose_examples
from galaxy_tasks.report import MissingModel, RejectedFile, ReportInputs
from galaxy_tasks.selection import Candidate, choose_winner

CLASSES: tuple[str, ...] = (
    "completely_round_smooth",
    "in_between_smooth",
    "cigar_shaped_smooth",
    "edge_on",
    "spiral",
)
CLASS_COUNTS = {
    "train": (325, 320, 25, 139, 721),
    "validation": (58, 57, 4, 25, 128),
    "test": (96, 94, 8, 41, 212),
}
LABELS = np.repeat(np.arange(5), CLASS_COUNTS["test"])
COMMON = {"labels": LABELS, "bootstrap_samples": 300, "seed": 1}
SKILL = {"alexnet": 0.8, "resnet50": 0.92, "densenet121": 0.9}
NUM_PARAMETERS = {"alexnet": 58_300_000, "resnet50": 23_600_000, "densenet121": 7_040_000}


def draw_probabilities(skill, *, seed):
    random = np.random.default_rng(seed)
    is_right = random.random(len(LABELS)) < skill
    calls = np.where(is_right, LABELS, random.integers(0, 5, len(LABELS)))
    table = random.dirichlet(np.full(5, 0.6), len(LABELS)) * 0.45
    table[np.arange(len(LABELS)), calls] += 0.55
    return table


def draw_history(skill):
    return [
        {
            "epoch": epoch,
            "loss": 1.6 * 0.9**epoch + 0.2,
            "val_loss": 1.6 * 0.9**epoch + 0.3 + 0.002 * epoch,
            "accuracy": skill * (1 - 0.8**epoch),
            "val_accuracy": skill * (1 - 0.82**epoch) - 0.01,
            "val_macro_f1": skill * (1 - 0.85**epoch) - 0.05 - 0.02 * (epoch % 3),
            "learning_rate": 1e-3,
            "images_per_s": 1480.0,
            "seconds": 4.1,
        }
        for epoch in range(1, 31)
    ]


def draw_galaxy(*, seed):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:112j, -1:1:112j]
    light = np.exp(-3 * np.hypot(x, y * random.uniform(1, 4))) + random.normal(0.06, 0.02, x.shape)
    return (np.clip(light[..., None] * [1, 0.9, 0.75], 0, 1) * 255).astype(np.uint8)


def make_candidates(tables) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            evaluation=evaluate_probabilities(table, architecture=name, classes=CLASSES, **COMMON),
            num_parameters=NUM_PARAMETERS[name],
            training_s=754.0,
            images_per_s=1480.0,
            key=f"5d2c{name}",
            path=f"models/5d2c{name}",
        )
        for name, table in tables.items()
    )


def draw_examples(table) -> tuple[ExampleGalaxy, ...]:
    rows = choose_examples(table, labels=LABELS, num_each=12)
    return tuple(
        ExampleGalaxy(
            galaxy_id=f"58772295{row:06}",
            image=draw_galaxy(seed=row),
            label=CLASSES[LABELS[row]],
            prediction=CLASSES[table[row].argmax()],
            probability=float(table[row].max()),
        )
        for row in (*rows.right, *rows.wrong)
    )


def make_inputs() -> ReportInputs:
    """Return what a run of three networks would report; the scores come from drawn answers."""
    tables = {name: draw_probabilities(skill, seed=7) for name, skill in SKILL.items()}
    candidates = make_candidates(tables)
    selection = choose_winner(
        candidates,
        compare=lambda first, second: compare_models(
            tables[first.architecture],
            tables[second.architecture],
            first=first.architecture,
            second=second.architecture,
            **COMMON,
        ),
    )
    return ReportInputs(
        config=parse_config({"epochs": 30, "image_size_px": 112, "architectures": tuple(SKILL)}),
        selection=selection,
        candidates=candidates,
        missing_models=(MissingModel("resnet18", "skipped", "not chosen in the form"),),
        histories={name: draw_history(skill) for name, skill in SKILL.items()},
        examples=draw_examples(tables[selection.winner]),
        num_rows=60_369,
        class_counts={
            split: dict(zip(CLASSES, numbers, strict=True))
            for split, numbers in CLASS_COUNTS.items()
        },
        dropped={"no_image_file": 57_636, "class_ignored": 480},
        rejected_images=(RejectedFile("100008.jpg", "truncated: 2,131 of 14,002 bytes"),),
        artifacts={"labels": "9f31c0de22aa7b14", "images": "0c55e1aa9b7d0f02"},
        hardware={"training": "NVIDIA H100 80GB HBM3", "processor": "16 cores"},
        times_s={"clean_labels": 21.4, "preprocess_images": 9.7, "train_resnet": 754.0},
        succession=None,
        changes=None,
        code_version="0.1.0",
        written="2026-11-23 20:40 UTC",
    )
