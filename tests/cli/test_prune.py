"""`prune` removes what nothing needs, and never what a champion, a report or a run needs."""

import os
import time
from pathlib import Path

import pytest
from fixtures.published_runs import OBSERVED, publish, publish_run
from typer.testing import CliRunner

from galaxy_tasks.cli.main import app
from galaxy_tasks.registry import champions, models
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.pruning import find_unneeded, remove

pytestmark = pytest.mark.usefixtures("home")


def promote_of(run: dict[str, Artifact]) -> str:
    """Make the model of a published run champion and return the model's name."""
    with open_store() as client:
        name = "observed-2"
        model, evaluation = run["model"].key, run["evaluation"].key
        facts = models.Facts(model, evaluation, "ab", "resnet18", "a release")
        version = models.register(client, name, facts, classes=("round", "spiral"), card="")
        champions.promote(client, version, reason="better")
    return name


def prune(*options: str, answer: str = "") -> str:
    result = CliRunner().invoke(app, ["prune", *options], input=answer)
    assert result.exit_code in (0, 1), result.output
    return result.output


def list_folders(home) -> set[str]:
    return {f"{p.parent.name}/{p.name}" for p in home.glob("*/*/")}


def name_of(artifact: Artifact) -> str:
    return f"{artifact.kind}/{artifact.key}"


def lock_of(artifact: Artifact) -> Path:
    return artifacts.lock_path(artifact.path.parent, artifact.key)


def test_what_champions_and_reports_need_stays(home):
    oldest, older = publish_run("1", OBSERVED), publish_run("2", OBSERVED)
    summary = {"evaluation": older["evaluation"].key, "model": older["model"].key}
    predictions = publish("predictions", "3", summary)
    before = publish_run("3", OBSERVED, predictions=predictions.key)
    champion, loser = publish_run("4", OBSERVED), publish_run("5", OBSERVED)
    for run in (oldest, older, before, champion):
        name = promote_of(run)
    old_predictions = publish("predictions", "2", {"evaluation": oldest["evaluation"].key})
    unlisted, drawn = publish("models", "failed"), publish("releases", "drawn")
    unneeded = {oldest["images"], loser["images"], old_predictions, unlisted, drawn}
    there = list_folders(home)

    output = prune("--unused-days", "0", "--yes")

    assert there - list_folders(home) == {name_of(artifact) for artifact in unneeded}
    assert all(name_of(artifact) in output for artifact in unneeded)
    assert "Nothing to remove" in prune("--unused-days", "0", "--yes")
    with open_store() as client:
        assert champions.roll_back(client, name).model == before["model"]


def test_what_a_champion_started_from_stays(home):
    """Its galaxies must not come into a later test, also when its own report is gone."""
    one = {"architectures": ("resnet18",)}
    first = publish_run("1", OBSERVED)
    start = {"start_from": first["model"].key, **one}
    second = publish_run("2", OBSERVED.model_copy(update=start))
    start = {"start_from": second["model"].key, **one}
    third = publish_run("3", OBSERVED.model_copy(update=start))
    promote_of(third)
    gone = {first["evaluation"], second["evaluation"]}
    there = list_folders(home)

    prune("--unused-days", "0", "--report-days", "0", "--yes")

    assert there - list_folders(home) == {name_of(artifact) for artifact in gone}


def test_without_the_registry_nothing_is_removed(home, monkeypatch):
    drawn = publish("releases", "drawn")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = CliRunner().invoke(app, ["prune", "--unused-days", "0", "--yes"])
    assert "MLflow (http://127.0.0.1:9)" in str(result.exception)
    assert drawn.path.is_dir()


def test_it_asks_before_it_removes(home):
    publish("releases", "drawn")
    there = list_folders(home)
    for answer in ("n\n", ""):
        assert "? [y/N]" in prune("--unused-days", "0", answer=answer)
        assert list_folders(home) == there
    assert "Removed" in prune("--unused-days", "0", answer="y\n")
    assert list_folders(home) == set()


def test_what_was_used_lately_stays(home):
    used, unused = publish("images", "used"), publish("images", "unused")
    for artifact in (used, unused):
        for path in (artifact.path / artifacts.MANIFEST, lock_of(artifact)):
            os.utime(path, (0, time.time() - 8 * 86_400))
    Artifact.from_reference(used.as_reference())  # as the task of a run that is under way
    prune("--yes")
    assert list_folders(home) == {name_of(used)}


def test_unfinished_work_goes_unless_it_is_under_way(home):
    with artifacts.open_draft("models", {"name": "killed"}) as killed:
        (killed.path / "last-0001.npz").write_bytes(bytes(1000))
    with artifacts.open_draft("models", {"name": "at work"}) as at_work:
        output = prune("--unused-days", "0", "--yes")
        assert at_work.path.is_dir()
    assert not killed.path.exists()
    assert f"Kept models/{at_work.path.name}: a process is writing it." in output
    assert "Removed 1.0 kB" in output


def test_a_report_that_cannot_be_read_stops_it(home):
    run = publish_run("1", OBSERVED)
    (run["evaluation"].path / artifacts.MANIFEST).write_text("{")
    result = CliRunner().invoke(app, ["prune", "--unused-days", "0", "--yes"])
    assert "its manifest is damaged" in str(result.exception)
    assert run["model"].path.is_dir()


def test_what_a_run_has_begun_to_use_since_it_was_listed_stays():
    images = publish("images", "old")
    (listed,) = find_unneeded([], unused_days=0)
    os.utime(lock_of(images), (time.time() + 1, time.time() + 1))
    assert remove(listed) == "it was used meanwhile"
    assert images.path.is_dir()


def test_a_removal_that_was_killed_is_ended(home):
    images = publish("images", "old")
    left = images.path.with_name(f".removed-{images.key}")
    images.path.rename(left)
    assert "left by a removal that was interrupted" in prune("--unused-days", "0", "--yes")
    assert not left.exists()
