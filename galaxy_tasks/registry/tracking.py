"""Trainings and evaluations as runs in MLflow, read from what was published.

Nothing is sent while networks train: a server that is away loses nothing, and whatever it does not
know yet is logged the next time. Each evaluation is a run, and the trainings that it was the first
to list are runs below it.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galaxy_tasks.errors import ResourceError
from galaxy_tasks.registry.challenger import register_challenger
from galaxy_tasks.registry.files import MODEL_CARD, REPORT, RESULTS
from galaxy_tasks.registry.page import find_winner, write_page
from galaxy_tasks.registry.store import open_store, tracking_uri
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json
from galaxy_tasks.training.model_record import HISTORY, read_record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

EXPERIMENT = "galaxy-morphology"
ARTIFACT_TAG, PATH_TAG = "galaxy.artifact", "path"
"""Tags with the kind and the key of the artifact that a run stands for, and with its folder."""
_FILES = (REPORT, MODEL_CARD, RESULTS)
_SCORES = ("macro_f1", "accuracy", "loss", "weighted_f1", "balanced_accuracy")
_MOST_METRICS = 1000
"""Of one request to MLflow."""
_logger = logging.getLogger(__name__)


def record_if_possible(evaluation: Artifact) -> None:
    """Register an evaluation's challenger and log what MLflow does not know, if it answers."""
    with _tell_if_impossible(), open_store() as client:
        register_challenger(client, evaluation)
        track(client)
        write_page(client)


def track_if_possible() -> None:
    """Log what MLflow does not know and write the list of all runs, if it answers."""
    with _tell_if_impossible(), open_store() as client:
        track(client)
        write_page(client)


@contextmanager
def _tell_if_impossible() -> Iterator[None]:
    try:
        yield
    except ResourceError as error:
        _logger.warning(
            "Not logged in MLflow yet; the next run does it, or 'galaxy-morphology models track'. "
            "%s",
            error,
        )


def track(client: "MlflowClient") -> int:
    """Log every published evaluation and training that MLflow does not know; return how many."""
    experiment, count = find_experiment(client), 0
    known = {
        run.data.tags.get(ARTIFACT_TAG, ""): run.info.run_id
        for run in list_finished(client, experiment)
    }
    for evaluation in sorted(artifacts.list_published("evaluations"), key=_published):
        try:
            count += _track_evaluation(client, experiment, evaluation, known)
        except (ValueError, KeyError, TypeError, OSError) as error:
            _logger.warning("%s is passed over, it is damaged: %r", evaluation.path, error)
    return count


def _published(artifact: Artifact) -> str:
    try:
        return str(artifact.manifest["published"])
    except (ValueError, KeyError, TypeError):
        return ""


def find_experiment(client: "MlflowClient") -> str:
    """Return the id of the experiment that holds all runs; make it where it is missing."""
    if found := client.get_experiment_by_name(EXPERIMENT):
        return found.experiment_id
    # A server has a place of its own for files.
    is_file = tracking_uri().startswith("sqlite:")
    return client.create_experiment(
        EXPERIMENT, artifact_location=(artifacts.home() / "mlflow").as_uri() if is_file else None
    )


def list_finished(client: "MlflowClient", experiment: str) -> list["Run"]:
    """Return the runs that are whole; those that a killed process began here go."""
    found, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            if run.info.status == "FINISHED":
                found.append(run)
            elif is_own(run):
                client.delete_run(run.info.run_id)
        token = page.token
        if not token:
            return found


def is_own(run: "Run") -> bool:
    """Return whether a run is of an artifact below this GALAXY_HOME: a server may have others'."""
    return Path(run.data.tags.get(PATH_TAG, "")).is_relative_to(artifacts.home())


def _track_evaluation(
    client: "MlflowClient", experiment: str, evaluation: Artifact, known: dict[str, str]
) -> int:
    """Log an evaluation, and its trainings below it, where they are unknown."""
    manifest, tag = evaluation.manifest, _tag_of(evaluation)
    models = [artifacts.get("models", key) for key in manifest["made_from"]["models"]]
    if all(each in known for each in (tag, *map(_tag_of, models))):
        return 0
    results = read_json(evaluation.path / RESULTS)
    scores = {
        model["key"]: model["evaluation"]
        for network in results["networks"]
        for model in network["models"]
    }
    name = f"{_name_run(manifest)} {manifest['published'][:10]}"
    count = 0
    if tag not in known:
        winner = find_winner(results)
        known[tag] = _log(
            client,
            experiment,
            evaluation,
            name=name,
            params={"winner": winner["architecture"], "networks": len(results["networks"])},
            metrics=_list_scores(winner, manifest),
            files=_FILES,
        )
        count += 1
    for model in models:
        if _tag_of(model) not in known:
            known[_tag_of(model)] = _log_training(
                client, experiment, model, scores[model.key], parent=known[tag]
            )
            count += 1
    return count


def _name_run(manifest: Mapping[str, Any]) -> str:
    first = artifacts.get("models", manifest["made_from"]["models"][0])
    return read_record(first.path).config.release_title


def _tag_of(artifact: Artifact) -> str:
    return f"{artifact.kind}/{artifact.key}"


def _log_training(
    client: "MlflowClient",
    experiment: str,
    model: Artifact,
    scores: Mapping[str, Any],
    *,
    parent: str,
) -> str:
    record, manifest = read_record(model.path), model.manifest
    history = read_json(model.path / HISTORY)
    return _log(
        client,
        experiment,
        model,
        name=f"{record.architecture} seed {record.settings['seed']}",
        params={
            **record.settings,
            "architecture": record.architecture,
            "images": manifest["made_from"]["images"],
            "parameters": record.num_parameters,
            "multiply_adds": record.multiply_adds,
        },
        metrics=[*_list_epochs(history, manifest), *_list_scores(scores, manifest)],
        tags={"mlflow.parentRunId": parent, "device": record.device},
    )


def _log(
    client: "MlflowClient",
    experiment: str,
    artifact: Artifact,
    *,
    name: str,
    params: Mapping[str, Any],
    metrics: "Sequence[Metric]",
    tags: Mapping[str, str] | None = None,
    files: Sequence[str] = (),
) -> str:
    """Log a run from begin to end and return its id."""
    from mlflow.entities import Param, RunTag

    manifest = artifact.manifest
    every = {"code_version": manifest["version"], **manifest["packages"], **(tags or {})}
    run = client.create_run(
        experiment,
        run_name=name,
        start_time=_milliseconds(manifest),
        tags={ARTIFACT_TAG: _tag_of(artifact), PATH_TAG: str(artifact.path)},
    )
    run_id = run.info.run_id
    client.log_batch(
        run_id,
        params=[Param(key, str(value)[:6000]) for key, value in params.items()],
        tags=[RunTag(key, str(value)) for key, value in every.items()],
    )
    for start in range(0, len(metrics), _MOST_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _MOST_METRICS])
    try:
        for file in files:
            client.log_artifact(run_id, str(artifact.path / file))
    except OSError as error:
        raise ResourceError(f"MLflow's folder of files cannot be used: {error}") from error
    client.set_terminated(run_id, "FINISHED", end_time=_milliseconds(manifest))
    return run_id


def _list_scores(scores: Mapping[str, Any], manifest: Mapping[str, Any]) -> "list[Metric]":
    from mlflow.entities import Metric

    time = _milliseconds(manifest)
    return [
        Metric(f"test_{name}{end}", scores[name][part], time, 0)
        for name in _SCORES
        for part, end in (("value", ""), ("low", "_low"), ("high", "_high"))
    ]


def _list_epochs(
    history: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any]
) -> "list[Metric]":
    from mlflow.entities import Metric

    time = _milliseconds(manifest)
    return [
        Metric(name, float(value), time, int(record["epoch"]))
        for record in history
        for name, value in record.items()
        if name not in ("epoch", "is_kept")
    ]


def _milliseconds(manifest: Mapping[str, Any]) -> int:
    return int(datetime.fromisoformat(manifest["published"]).timestamp() * 1000)
