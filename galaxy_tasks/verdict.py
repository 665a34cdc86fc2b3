"""Compares the trained models of a run, names the winner and writes results and report.

Artifacts in, artifact out: needs no TensorFlow, because each model brings its probabilities.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from galaxy_tasks import artifacts, lineage
from galaxy_tasks.artifacts import Artifact
from galaxy_tasks.config import FAMILIES, RunConfig
from galaxy_tasks.contestants import (
    Contestant,
    check_same_galaxies,
    describe_tested,
    evaluate_contestant,
    read_contestant,
)
from galaxy_tasks.durable import write_json
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation import Comparison, compare_models
from galaxy_tasks.history import History, labels_of, look_back
from galaxy_tasks.report import MissingModel, render_leaderboard, render_report
from galaxy_tasks.report_contents import gather_report
from galaxy_tasks.selection import Candidate, Compare, Selection, choose_winner, rank


def judge_models(
    config: RunConfig,
    *,
    images: Artifact,
    trainings: Sequence[Mapping[str, Any] | None],
    predictions: Artifact | None,
) -> dict[str, Any]:
    """Evaluate, choose, write `results.json` and `report.html`; return winner and paths.

    `predictions` are those of the last winner, None where there was none.

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
    selection = choose_winner(candidates, compare=_make_compare(contestants, config))
    print(render_leaderboard(selection, candidates, missing), flush=True)
    made_from = _name_origin(config, contestants, missing, predictions)
    winner = next(c for c in contestants if c.record.architecture == selection.winner)
    history = look_back(config, images, predictions, winner)
    print(history.describe(), flush=True)
    with artifacts.open_draft("evaluations", made_from) as draft:
        artifact = draft.published
        if artifact is None:
            draft.clear()
            inputs = gather_report(
                config,
                images=images,
                contestants=contestants,
                candidates=candidates,
                selection=selection,
                missing=missing,
                winner=winner,
                history=history,
            )
            (draft.path / "report.html").write_text(render_report(inputs), encoding="utf-8")
            results = _describe_results(candidates, selection, missing, history)
            tested = describe_tested(winner, labels_of(images))
            write_json(draft.path / "results.json", {"test_set": tested, **results})
            artifact = draft.publish({"winner": selection.winner, "model": winner.artifact.key})
    return _describe_outcome(artifact, candidates, selection)


def _name_origin(
    config: RunConfig,
    contestants: Sequence[Contestant],
    missing: Sequence[MissingModel],
    predictions: Artifact | None,
) -> dict[str, Any]:
    """Return what determines the evaluation."""
    return lineage.evaluation_made_from(
        config,
        sorted(contestant.artifact.key for contestant in contestants),
        missing=[f"{m.architecture} {m.status}" for m in missing],
        predictions_key=predictions.key if predictions else None,
    )


def _make_compare(contestants: Sequence[Contestant], config: RunConfig) -> Compare:
    """Return the paired comparison of two of these models."""
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

    return compare


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


def _describe_results(
    candidates: Sequence[Candidate],
    selection: Selection,
    missing: Sequence[MissingModel],
    history: History,
) -> dict[str, Any]:
    return {
        "selection": selection.as_dict(),
        "models": [candidate.as_dict() for candidate in rank(candidates)],
        "missing": [
            {"architecture": m.architecture, "status": m.status, "reason": m.reason}
            for m in missing
        ],
        "last_winner": history.succession.as_dict() if history.succession else None,
        "changes": history.changes.as_dict() if history.changes else None,
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
