"""`prune` removes what nothing needs, and never what a champion, a report or a run needs."""

import os
import time
from pathlib import Path

import pytest
from fixtures.published_runs import OBSERVED, publish, publish_run
from typer.testing import CliRunner

from galaxy_tasks.cli.main import app
from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.champion import find_champion
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.pruning import find_unneeded, remove


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    return tmp_path


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
    oldest = publish_run("1", OBSERVED)
    before = publish_run("2", OBSERVED)
    predictions = publish("predictions", "3", evaluation=before["evaluation"].key)
    champion = publish_run("3", OBSERVED, predictions=predictions.key)
    simulated = publish_run("4", RunConfig())
    old_predictions = publish("predictions", "2", evaluation=oldest["evaluation"].key)
    unlisted, drawn = publish("models", "failed"), publish("releases", "drawn")
    unneeded = {oldest["images"], old_predictions, unlisted, drawn}
    there = list_folders(home)

    output = prune("--unused-days", "0", "--yes")

    assert there - list_folders(home) == {name_of(artifact) for artifact in unneeded}
    assert all(name_of(artifact) in output for artifact in unneeded)
    found = find_champion(OBSERVED, "another")
    assert found is not None
    assert found.model == champion["model"]
    found = find_champion(RunConfig(), "another")
    assert found is not None
    assert found.model == simulated["model"]
    assert "Nothing to remove" in prune("--unused-days", "0", "--yes")


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
