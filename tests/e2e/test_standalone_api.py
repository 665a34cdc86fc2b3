import stat
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from fixtures.processes import look_at
from harness import ALL_TASKS, DAG_ID, SETTINGS, TRAINERS

from galaxy_tasks.errors import InputError
from galaxy_tasks.standalone import progress

pytestmark = pytest.mark.e2e


def list_artifacts(standalone):
    """Return the artifacts and when each was published."""
    manifests = standalone.runs.glob("*/*/manifest.json")
    return {str(path.parent): path.stat().st_mtime_ns for path in manifests}


def clear(standalone, run_id, task_ids):
    """Clear tasks as the web page's button does."""
    body = {"dry_run": False, "dag_run_id": run_id, "task_ids": task_ids, "only_failed": False}
    standalone.client.call("POST", f"dags/{DAG_ID}/clearTaskInstances", body)


def test_every_task_succeeds_at_its_first_try(standalone):
    tasks = standalone.tasks(standalone.run_id)
    assert {name: (task["state"], task["try_number"]) for name, task in tasks.items()} == {
        **{name: ("success", 1) for name in ALL_TASKS},
        "request_approval": ("skipped", 1),
    }


def test_trainers_run_at_the_same_time(standalone):
    tasks = standalone.tasks(standalone.run_id)
    spans = sorted((tasks[name]["start_date"], tasks[name]["end_date"]) for name in TRAINERS)
    assert all(second[0] < first[1] for first, second in pairwise(spans))


@pytest.mark.parametrize(
    ("task_id", "telling"),
    [
        ("choose_release", ["Settings of this run", "simulated_galaxies"]),
        ("prepare_release", ["SIMULATED", "training_solutions_rev1.csv"]),
        ("clean_labels", ["rows in", "kept", "contested", "edge_on"]),
        ("preprocess_images", ["images/s", "Most common: 424×424 px"]),
        ("predict_champion", ["there is nothing to compare with"]),
        ("train_alexnet", ["Training alexnet", "Running on CPU", "epoch   1/1", "macro-F1"]),
        ("train_resnet", ["Training resnet18", "epoch   1/1"]),
        ("train_densenet", ["Training densenet121", "epoch   1/1"]),
        (
            "evaluate",
            ["Leaderboard", "alexnet", "resnet18", "densenet121", "Winner", "report.html"],
        ),
    ],
)
def test_task_log_tells_what_was_done(standalone, task_id, telling):
    log = standalone.log(task_id)
    assert [words for words in telling if words not in log] == []


def test_command_prints_progress_winner_report_and_login(standalone):
    printed = standalone.printed.read_text()
    result = standalone.result("evaluate")
    assert f"Winner: {result['winner']}" in printed
    assert f"Report: {result['report']}" in printed
    assert "train_resnet       epoch   1/1" in printed
    assert standalone.password in printed


def test_report_is_there_and_needs_no_network(standalone):
    report = Path(standalone.result("evaluate")["report"]).read_text()
    assert "densenet121" in report
    assert 'src="http' not in report


def test_everything_listens_on_the_loopback_address_only(standalone):
    family = [psutil.Process(standalone.process.pid)]
    family += family[0].children(recursive=True)
    listening = {
        connection.laddr.ip
        for connections in look_at(family, lambda process: process.net_connections(kind="inet"))
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert listening


def test_password_is_for_its_owner_alone(standalone):
    assert stat.S_IMODE((standalone.home / "passwords.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(standalone.home.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("name", "value"), [("image_size_px", 16), ("release", "galaxy_zoo_99"), ("learning_rate", 0)]
)
def test_api_refuses_a_value_out_of_bounds_and_names_it(standalone, name, value):
    with pytest.raises(InputError, match=f"HTTP 400.*{name}"):
        standalone.client.trigger(DAG_ID, {**SETTINGS, name: value})


def test_clearing_every_task_gives_the_same_result_and_repeats_no_finished_work(standalone):
    before, result = list_artifacts(standalone), standalone.result("evaluate")

    clear(standalone, standalone.run_id, list(ALL_TASKS))

    assert standalone.wait_for_end(standalone.run_id) == "success"
    assert {standalone.task(name)["try_number"] for name in ALL_TASKS} == {2}
    assert standalone.result("evaluate") == result
    assert list_artifacts(standalone) == before


def test_bad_settings_fail_at_once_with_a_message_and_spoil_no_other_task(standalone, tmp_path):
    settings = {**SETTINGS, "release": "galaxy_zoo_challenge", "source": str(tmp_path)}
    run_id = standalone.client.trigger(DAG_ID, settings)

    assert standalone.wait_for_end(run_id) == "failed"

    tasks = standalone.tasks(run_id)
    assert (tasks["prepare_release"]["state"], tasks["prepare_release"]["try_number"]) == (
        "failed",
        1,
    )
    assert str(tmp_path) in standalone.log("prepare_release", run_id)
    assert tasks["clean_labels"]["state"] == "upstream_failed"
    assert "no prepared images" in standalone.log("evaluate", run_id)


def test_run_is_reachable_by_its_page(standalone):
    path = progress.run_path(DAG_ID, standalone.run_id)
    assert standalone.settings["architectures"] == SETTINGS["architectures"]
    assert standalone.client.get(path)["run_type"] == "manual"
