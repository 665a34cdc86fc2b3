"""The first task inside Airflow: what it returns, skips and hands on."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from fixtures.release_events import Store, write_manifest

from galaxy_tasks.storage import artifacts

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Call the task as Airflow does, in a place of its own."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    monkeypatch.syspath_prepend(str(ROOT / "dags"))
    monkeypatch.syspath_prepend(str(ROOT / "plugins"))
    import galaxy_releases
    from galaxy_releases import galaxy_zoo_release, waiting_releases

    from galaxy_tasks.watch.backlog import WatchSettings

    watch = WatchSettings(str(tmp_path / "inbox"), 0.0, "http://127.0.0.1:9", 3600.0)
    monkeypatch.setattr(galaxy_releases, "WATCH", watch)
    store = Store()

    def make(run_type, *, events=None):
        make.pushed, make.handed_on = {}, []

        def hand_on(asset, extra):
            make.handed_on.append((asset.name, extra))

        return galaxy_releases.choose_release.function(
            params={"epochs": 9},
            ti=SimpleNamespace(xcom_push=lambda key, value: make.pushed.update({key: value})),
            dag_run=SimpleNamespace(run_type=run_type, run_id=f"{run_type}-1"),
            triggering_asset_events=events,
            asset_state_store={galaxy_zoo_release: store},
            outlet_events={waiting_releases: SimpleNamespace(add=hand_on)},
        )

    make.folder = tmp_path / "inbox"
    make.folder.mkdir()
    return make


def test_a_run_by_hand_has_the_form(run):
    assert run("manual") == {"epochs": 9}
    assert run.pushed == {"holdout": None, "release": ""}


def test_a_run_has_the_holdout_of_its_beginning(run):
    with artifacts.open_draft("holdouts", {"content": "c"}) as draft:
        holdout = draft.publish({"galaxies": 3})
    run("manual")
    assert run.pushed["holdout"] == holdout.as_reference()


def test_a_scheduled_run_takes_what_is_in_the_inbox_and_starts_the_next(run):
    write_manifest(run.folder, "one")
    write_manifest(run.folder, "two")
    assert run("scheduled") == {"epochs": 3}
    assert run.handed_on == [("galaxy_zoo_release", {"behind": "one"})]
    assert run("asset_triggered", events={"asset": ["event"]}) == {"epochs": 3}
    assert run.handed_on == []


def test_what_cannot_be_started_from_is_left_to_the_next_task(run, caplog):
    """So that the releases behind it have their turn."""
    settings = 'epochs = 3\narchitectures = ["resnet18"]\nstart_from = "nobody"'
    write_manifest(run.folder, "one", settings=settings)
    write_manifest(run.folder, "two")
    assert run("scheduled")["start_from"] == "nobody"
    assert run.handed_on == [("galaxy_zoo_release", {"behind": "one"})]
    assert "Received: 'nobody'" in caplog.text


@pytest.mark.parametrize(("run_type", "events"), [("scheduled", None), ("asset_triggered", {1: 1})])
def test_a_run_without_work_is_skipped_and_says_so(run, run_type, events):
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match=r"There is no new release|Other runs"):
        run(run_type, events=events)
    assert run.pushed == {"idle": True}


def test_the_log_of_a_task_begins_with_the_release_event(run, caplog):
    import galaxy_releases

    write_manifest(run.folder, "one")
    run("scheduled")
    caplog.clear()
    pulled = SimpleNamespace(xcom_pull=lambda task_id, key: run.pushed[key])
    with caplog.at_level("INFO"):
        galaxy_releases.log_release({"ti": pulled})
    assert caplog.messages == ["Release: one"]
