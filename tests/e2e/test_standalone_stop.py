import signal

import psutil
import pytest
from announcing import announce, wait_for_runs
from fixtures.processes import list_alive
from harness import DAG_ID, run_once, start_standalone, wait_for

pytestmark = pytest.mark.e2e


def end_while_training(standalone):
    """Press Ctrl-C while a network trains; nothing may be left of what all tests share."""
    settings = {**standalone.settings, "epochs": 500, "architectures": ["resnet18"]}
    run_id = standalone.client.trigger(DAG_ID, settings)
    wait_for(lambda: "epoch   1/500" in read_log_so_far(standalone, run_id), timeout_s=240)
    command = psutil.Process(standalone.process.pid)
    family = command.children(recursive=True)
    assert any("train_network" in line for line in list_alive(family))

    standalone.process.send_signal(signal.SIGINT)

    assert standalone.process.wait(timeout=60) == 0  # the command's own run had succeeded
    assert list_alive(family) == []


def test_ctrl_c_while_a_network_trains_leaves_no_process(standalone):
    end_while_training(standalone)


@pytest.mark.slow
def test_another_start_remembers_the_runs_and_repeats_none_for_an_old_manifest(
    standalone, zenodo, variables
):
    folder = standalone.runs / "inbox"
    if standalone.process.poll() is None:  # the test above was not asked for
        if not (folder / "first.toml").exists():  # nor those of the releases
            announce(standalone, name="first", file_name="first.toml", bootstrap_samples=150)
            announce(standalone, name="followed", file_name="f.toml", concept="700")
            (folder / "wrong.toml").write_text("name = 'wrong'")
            wait_for_runs(standalone, 1)
        end_while_training(standalone)
    announced = {path.name for path in folder.glob("*.toml")}
    assert announced >= {"first.toml", "f.toml", "wrong.toml"}, "needs the tests of the releases"
    asked = len(zenodo.requests)
    with start_standalone(standalone.home.parent, **variables) as again:
        runs = again.client.get(f"dags/{DAG_ID}/dagRuns?limit=100")["dag_runs"]
        assert again.client.is_healthy()
        log = again.home / "standalone.log"
        wait_for(lambda: "wrong.toml: expected a 'name'" in log.read_text(), timeout_s=60)
        wait_for(lambda: len(zenodo.requests) > asked + 1, timeout_s=60)
        after = again.client.get(f"dags/{DAG_ID}/dagRuns?limit=100")["dag_runs"]
    assert standalone.run_id in [run["dag_run_id"] for run in runs]
    assert len(after) == len(runs)


@pytest.mark.slow
def test_once_ends_by_itself_and_its_exit_code_is_that_of_the_run(standalone, tmp_path):
    if standalone.process.poll() is None:
        end_while_training(standalone)
    folder = standalone.home.parent
    done = run_once(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Winner: " in done.stdout
    failed = run_once(folder, release="galaxy_zoo_challenge", source=tmp_path)
    assert failed.returncode == 1
    assert "The run FAILED" in failed.stdout


def read_log_so_far(standalone, run_id):
    is_running = standalone.tasks(run_id)["train_resnet"]["state"] == "running"
    return standalone.log("train_resnet", run_id) if is_running else ""
