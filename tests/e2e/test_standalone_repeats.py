"""Trainings with several seeds are tasks of their own: each is kept, killed and retried alone."""

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from fixtures.processes import look_at
from harness import DAG_ID, SETTINGS, wait_for

from galaxy_tasks.standalone import progress

pytestmark = pytest.mark.e2e

REPEATED = {**SETTINGS, "architectures": ["resnet18"], "repeats": 2}


def list_models(standalone):
    return {path.parent.name for path in standalone.runs.glob("models/*/manifest.json")}


def list_trainings(standalone, run_id) -> list[dict[str, Any]]:
    """Return the instances of the mapped task, in the order of the seeds."""
    path = f"{progress.run_path(DAG_ID, run_id)}/taskInstances"
    tasks = standalone.client.get(path)["task_instances"]
    trainings = [task for task in tasks if task["task_id"] == "train_resnet"]
    return sorted(trainings, key=lambda task: task["map_index"])


def read_log(standalone, run_id, task) -> str:
    entries = progress.read_log(standalone.client, progress.run_path(DAG_ID, run_id), task)
    return "\n".join(entry["event"] for entry in entries)


def test_more_repeats_train_only_the_new_seeds(standalone):
    first = standalone.client.trigger(DAG_ID, REPEATED)
    assert standalone.wait_for_end(first) == "success"
    trainings = list_trainings(standalone, first)
    seeds = standalone.result("choose_seeds", first)
    assert [task["rendered_map_index"] for task in trainings] == [f"seed {seed}" for seed in seeds]
    assert seeds[0] == 2026
    models = list_models(standalone)

    second = standalone.client.trigger(DAG_ID, {**REPEATED, "repeats": 3})
    assert standalone.wait_for_end(second) == "success"

    assert len(list_models(standalone) - models) == 1
    logs = [read_log(standalone, second, task) for task in list_trainings(standalone, second)]
    assert ["Already there" in log for log in logs] == [True, True, False]
    assert standalone.result("choose_seeds", second)[:2] == seeds
    (network,) = standalone.result("evaluate", second)["leaderboard"]
    assert (network["network"], network["seeds"]) == ("resnet18", 3)


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_and_disturbs_no_other(standalone):
    settings = {**REPEATED, "repeats": 3, "epochs": 25, "early_stopping_patience_epochs": 25}
    run_id = standalone.client.trigger(DAG_ID, settings)

    def find_victim():
        for task in list_trainings(standalone, run_id):
            if task["state"] == "running" and "epoch   2/25" in read_log(standalone, run_id, task):
                return task["map_index"]
        return None

    # Index 0 is false to wait_for.
    index = wait_for(lambda: (found := find_victim()) is not None and (found,), timeout_s=240)[0]
    seed = standalone.result("choose_seeds", run_id)[index]
    kill_training(standalone, seed)

    assert standalone.wait_for_end(run_id, timeout_s=600) == "success"
    trainings = list_trainings(standalone, run_id)
    tries = [task["try_number"] for task in trainings]
    assert tries == [2 if number == index else 1 for number in range(3)]
    assert "Resuming after epoch" in read_log(standalone, run_id, trainings[index])


def kill_training(standalone, seed: int) -> None:
    """Kill the process that trains with a seed, as the system does when memory is short."""
    family = psutil.Process(standalone.process.pid).children(recursive=True)
    for process, command in look_at(family, lambda process: (process, process.cmdline())):
        if "train_network" in command:
            arguments = Path(command[command.index("--arguments") + 1])
            if json.loads(arguments.read_text())["seed"] == seed:
                process.kill()
                return
    raise AssertionError(f"no process trains with seed {seed}")
