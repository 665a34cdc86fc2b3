"""An ablation on Airflow's page: a training for each value and part, and a table at the end."""

from pathlib import Path

import pytest
from harness import SETTINGS, wait_for

from galaxy_tasks.standalone import progress
from galaxy_tasks.storage.atomic_io import read_json

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DAG_ID = "galaxy_ablation"
ABLATION = {
    **SETTINGS,
    "architectures": ["resnet18"],
    "repeats": 2,
    "vary": {"denoise_method": ["none", "gaussian"]},
}


def list_tasks(standalone, run_id) -> list[dict]:
    path = f"{progress.run_path(DAG_ID, run_id)}/taskInstances"
    return standalone.client.get(path)["task_instances"]


def run(standalone, **settings) -> tuple[str, str]:
    """Return the run and the state in which it ended."""
    run_id = standalone.client.trigger(DAG_ID, {**ABLATION, **settings})
    path = progress.run_path(DAG_ID, run_id)
    state = wait_for(
        lambda: (state := standalone.client.get(path)["state"]) in ("success", "failed") and state,
        timeout_s=600,
    )
    return run_id, state


def count(standalone, kind) -> int:
    return len(list(standalone.runs.glob(f"{kind}/*/manifest.json")))


def read_log(standalone, run_id, task) -> str:
    entries = progress.read_log(standalone.client, progress.run_path(DAG_ID, run_id), task)
    return "\n".join(entry["event"] for entry in entries)


def test_values_are_trained_on_each_part_compared_and_kept(standalone):
    images, models = count(standalone, "images"), count(standalone, "models")
    run_id, state = run(standalone)
    assert state == "success"
    tasks = list_tasks(standalone, run_id)
    names = sorted(task["rendered_map_index"] for task in tasks if task["task_id"] == "train")
    assert names == [
        f"resnet18, denoise_method {value}, without fold {fold} of 2"
        for value in ("gaussian", "none")
        for fold in (1, 2)
    ]
    # The run that the page began with has prepared the images with one of the two filters.
    assert count(standalone, "images") == images + 1
    assert count(standalone, "fold_models") == 4
    assert count(standalone, "models") == models
    (evaluated,) = [task for task in tasks if task["task_id"] == "evaluate_ablation"]
    log = read_log(standalone, run_id, evaluated)
    assert "denoise_method: values against none, each trained 2 times" in log
    (report,) = standalone.runs.glob("ablations/*/ablation.html")
    assert "Ablation of denoise method" in report.read_text()
    results = read_json(Path(report.parent, "results.json"))
    assert [level["value"] for level in results["factors"][0]["levels"]] == ["none", "gaussian"]

    more = {"denoise_method": ["none", "gaussian", "median"]}
    assert run(standalone, vary=more)[1] == "success"
    assert count(standalone, "fold_models") == 6


def test_what_cannot_be_varied_fails_in_the_first_task_with_the_reason(standalone):
    run_id, state = run(standalone, vary={"minimum_votes": [1, 2]})
    assert state == "failed"
    (first,) = [t for t in list_tasks(standalone, run_id) if t["task_id"] == "choose_release"]
    assert first["try_number"] == 1
    path = progress.run_path(DAG_ID, run_id)
    errors = [
        error["exc_value"]
        for entry in progress.read_log(standalone.client, path, first)
        for error in entry.get("error_detail") or []
    ]
    assert any("'minimum_votes' cannot be varied" in error for error in errors)
