"""Compares the trained models of a run, names the winner and writes results and report.

Artifacts in, artifact out: needs no TensorFlow, because each model brings its probabilities.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from galaxy_tasks.config import FAMILIES, RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.challenge import ChampionComparison, compare_with_champion, labels_of
from galaxy_tasks.evaluation.metrics import Comparison, compare_models
from galaxy_tasks.evaluation.selection import (
    Candidate,
    CandidateModel,
    Compare,
    Selection,
    check_same_galaxies,
    choose_winner,
    describe_tested,
    evaluate_candidate,
    rank,
    read_candidate_model,
)
from galaxy_tasks.report.contents import MissingModel, gather_report
from galaxy_tasks.report.leaderboard import render_leaderboard
from galaxy_tasks.report.page import render_report
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import write_json

_logger = logging.getLogger(__name__)


def evaluate(
    settings: dict[str, Any],
    release_files: dict[str, Any],
    images: dict[str, Any],
    trainings: Sequence[dict[str, Any] | None],
    run_id: str,
    champion: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Compare all trained models on the test galaxies, name the winner and write the report.

    `trainings` are the results of the train tasks, None for one that failed or was skipped;
    `champion` is that of `predict_champion`.
    """
    _logger.info("Evaluating run %s; catalogue %s", run_id, release_files["catalogue"])
    return judge_models(
        parse_config(settings),
        images=Artifact.from_reference(images),
        trainings=trainings,
        predictions=Artifact.from_reference(champion) if champion else None,
    )


def judge_models(
    config: RunConfig,
    *,
    images: Artifact,
    trainings: Sequence[Mapping[str, Any] | None],
    predictions: Artifact | None,
) -> dict[str, Any]:
    """Evaluate, choose, write `results.json` and `report.html`; return winner and paths.

    `predictions` are those of the champion, None where there was none.

    The result's keys: winner (architecture), model (its folder), report, results (paths),
    leaderboard (a record for each model, best first).

    Raises:
        InputError: no model was trained, or the models' test galaxies differ.
    """
    references = _find_models(config, images, trainings)
    candidate_models = [read_candidate_model(reference, config) for reference in references]
    missing = _list_missing(config, trainings, [c.record.architecture for c in candidate_models])
    if not candidate_models:
        reasons = "\n".join(f"  {m.architecture}: {m.status} ({m.reason})" for m in missing)
        raise InputError(f"No model was trained, so there is no winner:\n{reasons}")
    check_same_galaxies(candidate_models)
    candidates = tuple(
        evaluate_candidate(candidate_model, config) for candidate_model in candidate_models
    )
    selection = choose_winner(candidates, compare=_make_compare(candidate_models, config))
    _logger.info(render_leaderboard(selection, candidates, missing))
    made_from = _name_origin(config, candidate_models, missing, predictions)
    winner = next(c for c in candidate_models if c.record.architecture == selection.winner)
    comparison = compare_with_champion(config, images, predictions, winner)
    _logger.info(comparison.describe())
    with artifacts.open_draft("evaluations", made_from) as draft:
        artifact = draft.published
        if artifact is None:
            draft.clear()
            inputs = gather_report(
                config,
                images=images,
                candidate_models=candidate_models,
                candidates=candidates,
                selection=selection,
                missing=missing,
                winner=winner,
                champion=comparison,
            )
            (draft.path / "report.html").write_text(render_report(inputs), encoding="utf-8")
            results = _describe_results(candidates, selection, missing, comparison)
            tested = describe_tested(winner, labels_of(images))
            write_json(draft.path / "results.json", {"test_set": tested, **results})
            artifact = draft.publish({"winner": selection.winner, "model": winner.artifact.key})
    return _describe_outcome(artifact, candidates, selection)


def _name_origin(
    config: RunConfig,
    candidate_models: Sequence[CandidateModel],
    missing: Sequence[MissingModel],
    predictions: Artifact | None,
) -> dict[str, Any]:
    """Return what determines the evaluation."""
    return cache_keys.evaluation_made_from(
        config,
        sorted(candidate_model.artifact.key for candidate_model in candidate_models),
        missing=[f"{m.architecture} {m.status}" for m in missing],
        predictions_key=predictions.key if predictions else None,
    )


def _make_compare(candidate_models: Sequence[CandidateModel], config: RunConfig) -> Compare:
    """Return the paired comparison of two of these models."""
    by_key = {candidate_model.artifact.key: candidate_model for candidate_model in candidate_models}

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

    return compare


def _find_models(
    config: RunConfig, images: Artifact, trainings: Sequence[Mapping[str, Any] | None]
) -> list[Mapping[str, str]]:
    """Return the references of all models that this run's trainings have published.

    A train task that failed returned nothing, though some of its networks may be finished.
    """
    references = {r["key"]: r for t in trainings if t for r in t["models"]}
    for architecture in config.architectures:
        found = artifacts.find(
            "models", cache_keys.model_made_from(config, images.key, architecture)
        )
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


def _describe_results(
    candidates: Sequence[Candidate],
    selection: Selection,
    missing: Sequence[MissingModel],
    champion: ChampionComparison,
) -> dict[str, Any]:
    return {
        "selection": asdict(selection),
        "models": [asdict(candidate) for candidate in rank(candidates)],
        "missing": [asdict(model) for model in missing],
        "challenge": asdict(champion.challenge) if champion.challenge else None,
        "drift": asdict(champion.drift) if champion.drift else None,
    }


def _describe_outcome(
    artifact: Artifact, candidates: Sequence[Candidate], selection: Selection
) -> dict[str, Any]:
    """Return what travels through the XCom, and say where the report is."""
    winner = next(c for c in candidates if c.architecture == selection.winner)
    report = artifact.path / "report.html"
    _logger.info("Report: %s\nWinning model: %s", report, winner.path)
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
