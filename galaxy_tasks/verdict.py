"""Compares the trained models of a run, names the winner and writes results and report.

Artifacts in, artifact out: needs no TensorFlow, because each model brings its probabilities.
"""

import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from galaxy_tasks import __version__, artifacts, lineage
from galaxy_tasks.artifacts import Artifact
from galaxy_tasks.config import FAMILIES, RunConfig
from galaxy_tasks.contestants import (
    Contestant,
    check_same_galaxies,
    evaluate_contestant,
    read_contestant,
)
from galaxy_tasks.durable import read_json, write_json
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation import Comparison, compare_models
from galaxy_tasks.examples import ExampleGalaxy, choose_examples
from galaxy_tasks.report import (
    MissingModel,
    RejectedFile,
    ReportInputs,
    render_leaderboard,
    render_report,
)
from galaxy_tasks.selection import Candidate, Selection, choose_winner, rank

NUM_EXAMPLES = 12
"""Galaxies called right, and as many called wrong, that the report shows."""


def judge_models(
    config: RunConfig, *, images: Artifact, trainings: Sequence[Mapping[str, Any] | None]
) -> dict[str, Any]:
    """Evaluate, choose, write `results.json` and `report.html`; return winner and paths.

    The result's keys: winner (architecture), model (its folder), report, results (paths),
    leaderboard (a record for each model, best first).

    Raises:
        InputError: no model was trained, or the models' test galaxies differ.
    """
    references = _find_models(config, images, trainings)
    contestants = [read_contestant(reference) for reference in references]
    missing = _list_missing(config, trainings, [c.record.architecture for c in contestants])
    if not contestants:
        reasons = "\n".join(f"  {m.architecture}: {m.status} ({m.reason})" for m in missing)
        raise InputError(f"No model was trained, so there is no winner:\n{reasons}")
    check_same_galaxies(contestants)
    candidates = tuple(evaluate_contestant(contestant, config) for contestant in contestants)
    by_key = {contestant.artifact.key: contestant for contestant in contestants}

    def compare(first: Candidate, second: Candidate) -> Comparison:
        one, two = by_key[first.key], by_key[second.key]
        return compare_models(
            one.probabilities,
            two.probabilities,
            labels=one.galaxies["label_index"].to_numpy(),
            first=first.architecture,
            second=second.architecture,
            bootstrap_samples=config.bootstrap_samples,
            seed=config.seed,
        )

    selection = choose_winner(candidates, compare=compare)
    print(render_leaderboard(selection, candidates, missing), flush=True)
    made_from = lineage.evaluation_made_from(
        config, sorted(by_key), missing=[f"{m.architecture} {m.status}" for m in missing]
    )
    with artifacts.open_draft("evaluations", made_from) as draft:
        artifact = draft.published
        if artifact is None:
            draft.clear()
            winner = next(c for c in contestants if c.record.architecture == selection.winner)
            inputs = _gather_report(
                config, images, contestants, candidates, selection, missing, winner
            )
            (draft.path / "report.html").write_text(render_report(inputs), encoding="utf-8")
            write_json(
                draft.path / "results.json", _describe_results(candidates, selection, missing)
            )
            artifact = draft.publish({"winner": selection.winner})
    return _describe_outcome(artifact, candidates, selection)


def _find_models(
    config: RunConfig, images: Artifact, trainings: Sequence[Mapping[str, Any] | None]
) -> list[Mapping[str, str]]:
    """Return the references of all models that this run's trainings have published.

    A train task that failed returned nothing, though some of its networks may be finished.
    """
    references = {r["key"]: r for t in trainings if t for r in t["models"]}
    for architecture in config.architectures:
        found = artifacts.find("models", lineage.model_made_from(config, images.key, architecture))
        if found:
            references.setdefault(found.key, found.as_reference())
    return list(references.values())


def _list_missing(
    config: RunConfig, trainings: Sequence[Mapping[str, Any] | None], trained: Sequence[str]
) -> tuple[MissingModel, ...]:
    """Return what was asked for and has no model, and the families that were not asked for."""
    reasons = {name: why for t in trainings if t for name, why in t["failed"].items()}
    failed = [
        MissingModel(name, "failed", reasons.get(name, "its training task failed; see its log"))
        for name in config.architectures
        if name not in trained
    ]
    skipped = [
        MissingModel(family, "skipped", "no network of this family was chosen")
        for family in FAMILIES
        if not config.variants(family)
    ]
    return (*failed, *skipped)


def _gather_report(
    config: RunConfig,
    images: Artifact,
    contestants: Sequence[Contestant],
    candidates: tuple[Candidate, ...],
    selection: Selection,
    missing: tuple[MissingModel, ...],
    winner: Contestant,
) -> ReportInputs:
    prepared = images.manifest["summary"]
    labels = artifacts.get("labels", prepared["labels"])
    cleaned = labels.manifest["summary"]
    rejected = pd.read_parquet(images.path / "rejected.parquet")
    return ReportInputs(
        config=config,
        selection=selection,
        candidates=candidates,
        missing_models=missing,
        histories={
            c.record.architecture: read_json(c.artifact.path / "history.json") for c in contestants
        },
        examples=_pick_examples(images.path, winner),
        num_rows=cleaned["rows_in"],
        class_counts=_count_by_split(cleaned["classes"]),
        dropped=cleaned["dropped"],
        rejected_images=tuple(
            RejectedFile(row.source_file, row.reason)  # pyright: ignore[reportArgumentType]
            for row in rejected.itertuples()
        ),
        artifacts={
            "labels": labels.key,
            "images": images.key,
            **{c.record.architecture: str(c.artifact.path) for c in contestants},
        },
        hardware={
            "training": "; ".join(sorted({c.record.device for c in contestants})),
            "evaluation": f"{platform.platform()}, Python {platform.python_version()}",
        },
        times_s={f"training {c.record.architecture}": c.record.training_s for c in contestants},
        code_version=__version__,
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def _count_by_split(classes: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Turn counts by class, then split, into counts by split, then class."""
    splits = ("train", "validation", "test")
    return {split: {name: counts[split] for name, counts in classes.items()} for split in splits}


def _pick_examples(images_folder: Path, winner: Contestant) -> tuple[ExampleGalaxy, ...]:
    labels = winner.galaxies["label_index"].to_numpy()
    chosen = choose_examples(winner.probabilities, labels=labels, num_each=NUM_EXAMPLES)
    images = np.load(images_folder / "images.npy", mmap_mode="r")
    classes = winner.record.classes
    return tuple(
        ExampleGalaxy(
            galaxy_id=str(winner.galaxies["galaxy_id"].iloc[row]),
            image=np.array(images[winner.galaxies["row"].iloc[row]]),
            label=classes[labels[row]],
            prediction=classes[int(winner.probabilities[row].argmax())],
            probability=float(winner.probabilities[row].max()),
        )
        for row in (*chosen.right, *chosen.wrong)
    )


def _describe_results(
    candidates: Sequence[Candidate], selection: Selection, missing: Sequence[MissingModel]
) -> dict[str, Any]:
    return {
        "selection": selection.as_dict(),
        "models": [candidate.as_dict() for candidate in rank(candidates)],
        "missing": [
            {"architecture": m.architecture, "status": m.status, "reason": m.reason}
            for m in missing
        ],
    }


def _describe_outcome(
    artifact: Artifact, candidates: Sequence[Candidate], selection: Selection
) -> dict[str, Any]:
    """Return what travels through the XCom, and say where the report is."""
    winner = next(c for c in candidates if c.architecture == selection.winner)
    report = artifact.path / "report.html"
    print(f"Report: {report}\nWinning model: {winner.path}", flush=True)
    return {
        "winner": selection.winner,
        "model": winner.path,
        "report": str(report),
        "results": str(artifact.path / "results.json"),
        "leaderboard": [
            {
                "model": c.architecture,
                "macro_f1": c.macro_f1,
                "interval": [c.evaluation.macro_f1.low, c.evaluation.macro_f1.high],
                "accuracy": c.evaluation.accuracy.value,
                "loss": c.evaluation.loss.value,
                "weighted_f1": c.evaluation.weighted_f1.value,
                "parameters": c.num_parameters,
                "training_s": round(c.training_s, 1),
            }
            for c in rank(candidates)
        ],
    }
