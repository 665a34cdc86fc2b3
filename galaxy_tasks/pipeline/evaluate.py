"""Compares the trained models of a run, names the winner and writes results and report.

Artifacts in, artifact out: needs no TensorFlow, because each model brings its probabilities.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from galaxy_tasks.config import FAMILIES, RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.candidates import (
    Candidate,
    check_same_galaxies,
    describe_tested,
    read_candidate,
    score_candidate,
)
from galaxy_tasks.evaluation.challenge import ChampionComparison, compare_with_champion
from galaxy_tasks.evaluation.metrics import Comparison, compare_models
from galaxy_tasks.evaluation.winner import (
    Compare,
    ScoredCandidate,
    Selection,
    choose_winner,
    rank,
)
from galaxy_tasks.report.contents import MissingModel, gather_report
from galaxy_tasks.report.leaderboard import render_leaderboard
from galaxy_tasks.report.page import render_report
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact, Draft
from galaxy_tasks.storage.atomic_io import read_json, write_json

_logger = logging.getLogger(__name__)

REPORT, RESULTS, LEADERBOARD = "report.html", "results.json", "leaderboard.txt"
"""Names of an evaluation's files."""


def evaluate(
    settings: dict[str, Any],
    labels: dict[str, str],
    images: dict[str, str],
    trainings: Sequence[dict[str, Any] | None],
    champion: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Compare the models on the test galaxies, name the winner, publish results and report.

    `trainings` are the results of the train tasks, None for one that failed or was skipped;
    `champion` refers to the champion's predictions, None where there is none.

    The result has winner, model (its folder), report, results (paths) and leaderboard (records).

    Raises:
        InputError: no model was trained, or the models' test galaxies differ.
    """
    config, prepared = parse_config(settings), Artifact.from_reference(images)
    models = _find_models(config, prepared, trainings)
    missing = _list_missing(config, trainings, models)
    if not models:
        raise InputError(_explain_no_model(missing))
    predictions = Artifact.from_reference(champion) if champion else None
    made_from = cache_keys.evaluation_made_from(
        config,
        [model.key for model in models],
        missing=[f"{m.architecture} {m.status}" for m in missing],
        predictions_key=predictions.key if predictions else None,
    )
    with artifacts.open_draft("evaluations", made_from) as draft:
        evaluation = draft.published or _publish(
            draft,
            config,
            labels=Artifact.from_reference(labels),
            images=prepared,
            predictions=predictions,
            candidates=[read_candidate(model, config) for model in models],
            missing=missing,
        )
    return _describe_outcome(evaluation)


def _publish(
    draft: Draft,
    config: RunConfig,
    *,
    labels: Artifact,
    images: Artifact,
    predictions: Artifact | None,
    candidates: Sequence[Candidate],
    missing: tuple[MissingModel, ...],
) -> Artifact:
    """Choose the winner, compare it with the champion, and publish results and report."""
    draft.clear()
    check_same_galaxies(candidates)
    scored = tuple(score_candidate(candidate, config) for candidate in candidates)
    selection = choose_winner(scored, compare=_make_compare(candidates, config))
    winner = next(c for c in candidates if c.architecture == selection.winner)
    comparison = compare_with_champion(
        config, labels=labels, images=images, predictions=predictions, winner=winner
    )
    inputs = gather_report(
        config,
        labels=labels,
        images=images,
        candidates=candidates,
        scored=scored,
        selection=selection,
        missing=missing,
        winner=winner,
        champion=comparison,
    )
    (draft.path / REPORT).write_text(render_report(inputs), encoding="utf-8")
    leaderboard = [render_leaderboard(selection, scored, missing), comparison.describe()]
    (draft.path / LEADERBOARD).write_text("\n".join(leaderboard), encoding="utf-8")
    results = _describe_results(scored, selection, missing, comparison)
    write_json(draft.path / RESULTS, {"test_set": describe_tested(winner, labels), **results})
    return draft.publish({"winner": selection.winner, "model": winner.artifact.key})


def _make_compare(candidates: Sequence[Candidate], config: RunConfig) -> Compare:
    """Return the paired comparison of two of these models."""
    by_key = {candidate.artifact.key: candidate for candidate in candidates}

    def compare(first: ScoredCandidate, second: ScoredCandidate) -> Comparison:
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
) -> list[Artifact]:
    """Return all models that this run's trainings have published.

    A train task that failed returned nothing, though some of its networks may be finished.
    """
    models = {r["key"]: Artifact.from_reference(r) for t in trainings if t for r in t["models"]}
    for architecture in config.architectures:
        found = artifacts.find(
            "models", cache_keys.model_made_from(config, images.key, architecture)
        )
        if found:
            models.setdefault(found.key, found)
    return list(models.values())


def _explain_no_model(missing: Sequence[MissingModel]) -> str:
    reasons = "\n".join(f"  {m.architecture}: {m.status} ({m.reason})" for m in missing)
    return f"No model was trained, so there is no winner:\n{reasons}"


def _list_missing(
    config: RunConfig, trainings: Sequence[Mapping[str, Any] | None], models: Sequence[Artifact]
) -> tuple[MissingModel, ...]:
    """Return the chosen architectures without a model, and the families that were not chosen."""
    trained = [model.manifest["made_from"]["architecture"] for model in models]
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
    candidates: Sequence[ScoredCandidate],
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


def _describe_outcome(evaluation: Artifact) -> dict[str, Any]:
    """Return what travels through the XCom; log the leaderboard and where the report is."""
    results = read_json(evaluation.path / RESULTS)
    winner = results["selection"]["winner"]
    (folder,) = (m["path"] for m in results["models"] if m["evaluation"]["architecture"] == winner)
    report = evaluation.path / REPORT
    leaderboard = (evaluation.path / LEADERBOARD).read_text(encoding="utf-8")
    _logger.info("%s\nReport: %s\nWinning model: %s", leaderboard, report, folder)
    return {
        "winner": winner,
        "model": folder,
        "report": str(report),
        "results": str(evaluation.path / RESULTS),
        "leaderboard": [_describe_row(model) for model in results["models"]],
    }


def _describe_row(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model of results.json as the leaderboard has it."""
    scores = model["evaluation"]
    return {
        "model": scores["architecture"],
        "macro_f1": scores["macro_f1"]["value"],
        "interval": [scores["macro_f1"]["low"], scores["macro_f1"]["high"]],
        "accuracy": scores["accuracy"]["value"],
        "loss": scores["loss"]["value"],
        "weighted_f1": scores["weighted_f1"]["value"],
        "parameters": model["num_parameters"],
        "training_s": round(model["training_s"], 1),
    }
