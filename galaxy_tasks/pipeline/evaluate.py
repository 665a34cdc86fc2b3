"""Compares the trained models of a run, names the winner and writes results and report.

Artifacts in, artifact out: needs no TensorFlow, because each model brings its probabilities.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from galaxy_tasks.config import FAMILIES, RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.candidates import read_candidate
from galaxy_tasks.evaluation.challenge import Opponent
from galaxy_tasks.evaluation.outcome import Outcome, evaluate_run
from galaxy_tasks.evaluation.winner import rank
from galaxy_tasks.registry.files import MODEL_CARD, REPORT, RESULTS
from galaxy_tasks.registry.tracking import record_if_possible
from galaxy_tasks.report.contents import MissingModel, gather_report
from galaxy_tasks.report.leaderboard import render_leaderboard
from galaxy_tasks.report.model_card import render_model_card
from galaxy_tasks.report.page import render_report
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact, Draft
from galaxy_tasks.storage.atomic_io import read_json, write_json

_logger = logging.getLogger(__name__)

LEADERBOARD = "leaderboard.txt"
"""Name of the file with what the log shows."""


def evaluate(
    settings: dict[str, Any],
    labels: dict[str, str],
    images: dict[str, str],
    trainings: Sequence[dict[str, Any] | None],
    champion: dict[str, Any] | None = None,
    baseline: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Compare the models on the test galaxies, name the winner, publish results and report.

    `trainings` are the results of the train tasks, `champion` is that of predict_champion and
    `baseline` that of train_baseline; None for a task that failed or was skipped.

    The result has winner, model (its folder), report, results (paths), leaderboard (records),
    evaluation (its key) and is_promoted: whether its challenger is to become champion.

    Raises:
        InputError: no model was trained, or the models' test galaxies differ.
    """
    config, prepared = parse_config(settings), Artifact.from_reference(images)
    models = _find_models(config, prepared, trainings)
    missing = _list_missing(config, trainings, models)
    if not models:
        raise InputError(_explain_no_model(missing))
    opponent, boosted = _read_opponent(champion), _open(baseline)
    made_from = _made_from(config, models, missing, boosted, opponent)
    with artifacts.open_draft("evaluations", made_from) as draft:
        evaluation = draft.published or _publish(
            draft,
            config,
            *(models, missing),
            labels=Artifact.from_reference(labels),
            images=prepared,
            baseline=boosted,
            opponent=opponent,
        )
    record_if_possible(evaluation)
    return _describe_outcome(evaluation)


def _made_from(
    config: RunConfig,
    models: Sequence[Artifact],
    missing: Sequence[MissingModel],
    baseline: Artifact | None,
    opponent: Opponent,
) -> dict[str, Any]:
    return cache_keys.evaluation_made_from(
        config,
        [model.key for model in models],
        missing=[f"{m.architecture} {m.status}" for m in missing],
        baseline_key=baseline.key if baseline else None,
        predictions_key=opponent.predictions.key if opponent.predictions else None,
        is_first=opponent.is_first,
    )


def _read_opponent(champion: dict[str, Any] | None) -> Opponent:
    """Return what predict_champion's result says; None if it failed."""
    if champion is None:
        return Opponent(None, is_first=False)
    return Opponent(_open(champion["predictions"]), is_first=champion["is_first"])


def _open(reference: dict[str, str] | None) -> Artifact | None:
    return Artifact.from_reference(reference) if reference else None


def _publish(
    draft: Draft,
    config: RunConfig,
    models: Sequence[Artifact],
    missing: tuple[MissingModel, ...],
    *,
    labels: Artifact,
    images: Artifact,
    **others: Any,
) -> Artifact:
    """Evaluate the models, and publish results and report; `others` as `evaluate_run` has them."""
    draft.clear()
    candidates = [read_candidate(model, config) for model in models]
    outcome = evaluate_run(config, candidates, labels=labels, images=images, **others)
    inputs = gather_report(config, outcome, labels=labels, images=images, missing=missing)
    (draft.path / REPORT).write_text(render_report(inputs), encoding="utf-8")
    card = render_model_card(
        inputs, outcome.challenger.record, model_key=outcome.challenger.artifact.key
    )
    (draft.path / MODEL_CARD).write_text(card, encoding="utf-8")
    text = (
        f"{render_leaderboard(outcome, missing)}\n{outcome.champion.describe()}\n"
        f"Challenger, the best on the validation galaxies: {outcome.challenger.title}. "
        f"{outcome.decision.reason}"
    )
    (draft.path / LEADERBOARD).write_text(text, encoding="utf-8")
    write_json(draft.path / RESULTS, _describe_results(outcome, missing))
    winner, decision = outcome.winner, outcome.decision
    return draft.publish(
        {
            "winner": winner.architecture,
            "model": winner.artifact.key,
            "challenger": decision.challenger,
            "decided_on": outcome.test_set["sha256"] if decision.champion else None,
        }
    )


def _find_models(
    config: RunConfig, images: Artifact, trainings: Sequence[Mapping[str, Any] | None]
) -> list[Artifact]:
    """Return all models that this run's trainings have published.

    A train task that failed returned nothing, though some of its networks may be finished.
    """
    models = {r["key"]: Artifact.from_reference(r) for t in trainings if t for r in t["models"]}
    for architecture in config.architectures:
        for seed in config.training_seeds:
            made_from = cache_keys.model_made_from(
                config.for_training(seed), images.key, architecture
            )
            if found := artifacts.find("models", made_from):
                models.setdefault(found.key, found)
    return list(models.values())


def _explain_no_model(missing: Sequence[MissingModel]) -> str:
    reasons = "\n".join(f"  {m.architecture}: {m.status} ({m.reason})" for m in missing)
    return f"No model was trained, so there is no winner:\n{reasons}"


def _list_missing(
    config: RunConfig, trainings: Sequence[Mapping[str, Any] | None], models: Sequence[Artifact]
) -> tuple[MissingModel, ...]:
    """Return the trainings without a model, and the families that were not chosen."""
    made = [model.manifest["made_from"] for model in models]
    trained = {(one["architecture"], one["seed"]) for one in made}
    reasons = {
        (name, each["seed"]): why
        for each in trainings
        if each
        for name, why in each["failed"].items()
    }
    failed = [
        MissingModel(
            f"{name} (seed {seed})" if config.repeats > 1 else name,
            "failed",
            reasons.get((name, seed), "its training task failed; see its log"),
        )
        for name in config.architectures
        for seed in config.training_seeds
        if (name, seed) not in trained
    ]
    skipped = [
        MissingModel(family, "skipped", "no network of this family was chosen")
        for family in FAMILIES
        if not config.variants(family)
    ]
    return (*failed, *skipped)


def _describe_results(outcome: Outcome, missing: Sequence[MissingModel]) -> dict[str, Any]:
    champion = outcome.champion
    return {
        "test_set": outcome.test_set,
        "selection": asdict(outcome.selection),
        "coverage_note": outcome.coverage_note,
        "networks": [{**asdict(one), "served": one.served.key} for one in rank(outcome.networks)],
        "references": [asdict(one) for one in outcome.references],
        "subsets": [asdict(one) for one in outcome.subsets],
        "votes": [asdict(one) for one in outcome.votes],
        "missing": [asdict(model) for model in missing],
        "decision": asdict(outcome.decision),
        "challenge": asdict(champion.challenge) if champion.challenge else None,
        "drift": asdict(champion.drift) if champion.drift else None,
    }


def _describe_outcome(evaluation: Artifact) -> dict[str, Any]:
    """Return what travels through the XCom; log the leaderboard and where the report is."""
    results = read_json(evaluation.path / RESULTS)
    winner = results["selection"]["winner"]
    model = artifacts.home() / "models" / evaluation.manifest["summary"]["model"]
    report = evaluation.path / REPORT
    leaderboard = (evaluation.path / LEADERBOARD).read_text(encoding="utf-8")
    _logger.info("%s\nReport: %s\nWinning model: %s", leaderboard, report, model)
    return {
        "winner": winner,
        "model": str(model),
        "report": str(report),
        "results": str(evaluation.path / RESULTS),
        "leaderboard": [_describe_row(network) for network in results["networks"]],
        "evaluation": evaluation.key,
        "is_promoted": results["decision"]["is_promoted"],
    }


def _describe_row(network: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network of results.json as the leaderboard has it."""
    models = network["models"]
    return {
        "network": network["architecture"],
        "macro_f1": network["macro_f1"]["value"],
        "interval": [network["macro_f1"]["low"], network["macro_f1"]["high"]],
        "seeds": len(models),
        "accuracy": network["accuracy"]["value"],
        "loss": network["loss"]["value"],
        "weighted_f1": network["weighted_f1"]["value"],
        "parameters": network["num_parameters"],
        "training_s": round(sum(model["training_s"] for model in models), 1),
    }
