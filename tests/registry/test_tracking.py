"""What was published is logged in MLflow: once, whole, and later where a server was away."""

import shutil
import socket
from dataclasses import asdict
from threading import Thread

import pytest
from fixtures.registry_inputs import CLASSES, OBSERVED, publish_evaluation, publish_model
from fixtures.trained_inputs import make_record
from mlflow.entities import ViewType
from typer.testing import CliRunner

from galaxy_tasks.cli.main import app
from galaxy_tasks.errors import ResourceError
from galaxy_tasks.evaluation.metrics import Estimate
from galaxy_tasks.pipeline.promote import promote
from galaxy_tasks.registry import champions, models
from galaxy_tasks.registry.challenger import register_challenger
from galaxy_tasks.registry.files import MODEL_CARD, RESULTS
from galaxy_tasks.registry.forgetting import forget_removed
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.registry.tracking import ARTIFACT_TAG, EXPERIMENT, record_if_possible, track
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import write_json
from galaxy_tasks.training.model_record import HISTORY, MODEL, WEIGHTS

SCORES = {
    name: asdict(Estimate(value, value - 0.1, value + 0.1))
    for name, value in {
        "macro_f1": 0.8,
        "accuracy": 0.9,
        "loss": 0.3,
        "weighted_f1": 0.88,
        "balanced_accuracy": 0.79,
    }.items()
}


def train(seed: int) -> Artifact:
    with artifacts.open_draft("models", {"seed": seed, "images": "i"}) as draft:
        record = make_record(OBSERVED.for_training(seed), classes=CLASSES, device="CPU (2 cores)")
        write_json(draft.path / MODEL, asdict(record))
        (draft.path / WEIGHTS).write_bytes(bytes([seed]))
        history = [{"epoch": n, "val_loss": 1 / n, "is_kept": n == 2} for n in (1, 2)]
        write_json(draft.path / HISTORY, history)
        return draft.publish()


def evaluate(*trained: Artifact) -> Artifact:
    keys = [model.key for model in trained]
    with artifacts.open_draft("evaluations", {"models": keys}) as draft:
        trainings = [{"key": key, "seed": 1, "evaluation": SCORES} for key in keys]
        results = {
            "selection": {"winner": "resnet18"},
            "networks": [{"architecture": "resnet18", **SCORES, "models": trainings}],
            "decision": {
                "is_promoted": True,
                "challenger": keys[0],
                "champion": None,
                "reason": "Promoted: it is the first.",
                "times_decided": 0,
            },
        }
        write_json(draft.path / RESULTS, results)
        (draft.path / MODEL_CARD).write_text("# A card\n")
        (draft.path / "report.html").write_text("<h1>A report</h1>")
        return draft.publish()


@pytest.fixture
def client(home):
    with open_store() as client:
        yield client


def list_runs(client) -> dict[str, object]:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return {run.data.tags[ARTIFACT_TAG]: run for run in runs}


def test_an_evaluation_is_a_run_and_its_trainings_are_runs_below_it(client):
    trained = [train(1), train(2)]
    evaluation = evaluate(*trained)
    assert track(client) == 3
    runs = list_runs(client)
    parent = runs[f"evaluations/{evaluation.key}"]
    assert parent.data.params["winner"] == "resnet18"
    assert parent.data.metrics["test_macro_f1"] == pytest.approx(0.8)
    assert parent.data.tags["code_version"] == evaluation.manifest["version"]
    assert parent.data.tags["keras"]
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"report.html", "model_card.md", "results.json"}
    training = runs[f"models/{trained[1].key}"]
    assert training.info.run_name == "resnet18 seed 2"
    assert training.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert training.data.tags["device"] == "CPU (2 cores)"
    assert training.data.params["learning_rate"] == str(OBSERVED.learning_rate)
    history = client.get_metric_history(training.info.run_id, "val_loss")
    assert [(one.step, one.value) for one in history] == [(1, 1.0), (2, 0.5)]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_what_is_known_is_not_logged_again_and_more_seeds_add_their_own(client):
    first = train(1)
    evaluate(first)
    assert track(client) == 2
    assert track(client) == 0
    evaluate(first, train(2))
    assert track(client) == 2  # the new training and the new evaluation
    assert len(list_runs(client)) == 4


def test_what_a_killed_process_had_begun_is_logged_anew(client):
    model = train(1)
    evaluate(model)
    track(client)
    run = list_runs(client)[f"models/{model.key}"]
    client.update_run(run.info.run_id, status="RUNNING")
    assert track(client) == 1
    assert len(list_runs(client)) == 2


def test_pruning_old_reports_takes_their_runs_and_versions_along(home):
    first, second, third = (evaluate(train(seed)) for seed in (1, 2, 3))
    with open_store() as client:
        for evaluation in (first, second, third):
            version = register_challenger(client, evaluation)
            if evaluation != second:
                champions.promote(client, version, reason="better")
        track(client)
        assert len(list_runs(client)) == 6

    output = (
        CliRunner()
        .invoke(app, ["prune", "--unused-days", "0", "--report-days", "0", "--yes"])
        .output
    )

    # The champion and the one before it stay, with their reports.
    assert "Removed 3 runs and versions from MLflow." in output
    with open_store() as client:
        runs = list_runs(client)
        assert {tag for tag in runs if tag.startswith("evaluations/")} == {
            f"evaluations/{one.key}" for one in (first, third)
        }
        assert [one.number for one in models.list_versions(client, version.name)] == [3, 1]
        deleted = client.search_runs(
            [client.get_experiment_by_name(EXPERIMENT).experiment_id],
            run_view_type=ViewType.DELETED_ONLY,
        )
        assert list(deleted) == []
        assert champions.roll_back(client, version.name).number == 1
    assert not second.path.exists()


def test_a_damaged_evaluation_does_not_keep_others_from_being_logged(client, caplog):
    damaged = evaluate(train(1))
    (damaged.path / RESULTS).write_text("{")
    evaluate(train(2))
    assert track(client) == 2
    assert "is damaged" in caplog.text


def test_a_server_that_is_away_loses_nothing(home, monkeypatch, caplog):
    evaluation = evaluate(train(1))
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        record_if_possible(evaluation)
    (warning,) = [one for one in caplog.records if one.levelname == "WARNING"]
    assert "models track" in warning.getMessage()
    assert "Logged 2 trainings" in CliRunner().invoke(app, ["models", "track"]).output


def test_a_server_that_does_not_answer_keeps_nobody_for_long(home, monkeypatch, caplog):
    """It takes connections and says nothing."""
    evaluation = evaluate(train(1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        thread = Thread(target=record_if_possible, args=[evaluation])
        thread.start()
        thread.join(timeout=120)
        assert not thread.is_alive()
    assert "Not logged in MLflow yet" in caplog.text


def test_what_a_server_has_of_others_is_left_alone(home, tmp_path_factory, monkeypatch):
    uri = f"sqlite:///{home / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    theirs = evaluate(train(1))
    with open_store() as client:
        client.create_registered_model("fraud-detector")
        client.create_model_version("fraud-detector", source="elsewhere")
        register_challenger(client, theirs)
        assert track(client) == 2
        runs = list_runs(client)
        begun = client.create_run(next(iter(runs.values())).info.experiment_id)
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path_factory.mktemp("other")))
    with open_store() as client:
        assert forget_removed(client) == 0
        assert client.get_run(begun.info.run_id).info.lifecycle_stage == "active"
        assert len(client.search_model_versions("name='fraud-detector'")) == 1
        (name,) = models.list_names(client)
        assert len(models.list_versions(client, name)) == 1


def test_files_that_cannot_be_kept_are_no_damage(client, home, caplog):
    evaluate(train(1))
    (home / "mlflow").write_text("a file where MLflow's folder should be")
    with pytest.raises(ResourceError, match="folder of files"):
        track(client)
    assert "damaged" not in caplog.text


def test_a_promotion_succeeds_though_nothing_can_be_logged(home, caplog):
    evaluation = evaluate(train(1))
    (home / "mlflow").write_text("a file where MLflow's folder should be")
    assert promote(evaluation.key)["is_new"]
    assert "Not logged in MLflow yet" in caplog.text


def test_a_prune_that_was_killed_is_finished_by_the_next(home):
    evaluation = evaluate(train(1))
    record_if_possible(evaluation)
    for folder in ("evaluations", "models"):
        shutil.rmtree(home / folder)
    output = CliRunner().invoke(app, ["prune", "--report-days", "0", "--yes"]).output
    assert "Removed 3 runs and versions from MLflow." in output


def test_an_evaluation_without_scores_is_passed_over(client):
    publish_evaluation(publish_model(1), is_promoted=False)
    assert track(client) == 0
