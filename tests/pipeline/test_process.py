"""A step in its own process: results, errors and lines come through as they were."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fixtures.processes import list_alive, look_at

from galaxy_tasks.config import parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.process import relog_output, run_step
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.locks import hold_lock


def run_program(program: str, tmp_path) -> int:
    path = tmp_path / "program.py"
    path.write_text(program)
    return relog_output([sys.executable, str(path)])


@pytest.fixture(autouse=True)
def record_levels(caplog):
    caplog.set_level(logging.INFO)


def test_an_error_of_the_input_keeps_its_kind_and_its_words(caplog):
    with pytest.raises(InputError, match="image_size_px: Input should be greater"):
        run_step("prepare_release", settings={"image_size_px": 1})
    assert "Traceback" not in caplog.text


def test_an_unknown_step_is_named():
    with pytest.raises(InputError, match=r"No step 'dance'\. Steps: pin_start, prepare_release"):
        run_step("dance")


def test_a_crash_says_how_the_step_ended_and_shows_its_traceback(caplog):
    with pytest.raises(ChildProcessError, match="Step train_network was ended with exit code 1"):
        run_step("train_network", settings={}, images={}, architecture="resnet18", seed=1)
    assert "KeyError" in caplog.text


def test_lines_come_through_except_what_libraries_print_while_they_load(caplog, tmp_path):
    lines = [
        "epoch 1/2",
        "I0000 00:00:1795470965.823130   16655 port.cc:153] oneDNN custom operations are on.",
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "WARNING: Using incubator modules: jdk.incubator.vector",
        "E0000 00:00:1795470965.823130   16655 cuda.cc:1] out of memory",
        "100 % done",
        "I0000 galaxies",
    ]
    assert run_program(f"for line in {json.dumps(lines)}: print(line)", tmp_path) == 0
    assert caplog.messages == [lines[0], *lines[4:]]


def test_each_line_keeps_the_level_that_the_step_logged_it_at(caplog, tmp_path):
    program = """
import logging
from galaxy_tasks.logs import set_up_logging
set_up_logging()
logger = logging.getLogger("galaxy_tasks.labels")
logger.info("epoch 1/2")
logger.warning("disk nearly full:\\n95 %%")
logger.error("%d images lost", 3)
logger.debug("unseen")
"""
    assert run_program(program, tmp_path) == 0
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "epoch 1/2"),
        ("WARNING", "disk nearly full:"),
        ("WARNING", "95 %%"),
        ("ERROR", "3 images lost"),
    ]


def test_the_exit_code_of_a_killed_process_is_its_signal(tmp_path):
    assert run_program("import os; os.kill(os.getpid(), 9)", tmp_path) == -9


# A task as Airflow runs it: its execution_timeout is an exception that a signal's handler raises.
TASK = """
import json, signal, sys
from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.pipeline.process import run_step
set_up_logging()
class TimeIsUp(BaseException): # as Airflow's is: logging would swallow an Exception
    pass
def end(*_):
    raise TimeIsUp("the task's time is up")
signal.signal(signal.SIGUSR1, end)
run_step("train_network", **json.loads(sys.argv[1]))
"""


@pytest.fixture
def training(tmp_path, monkeypatch) -> Iterator[list[psutil.Process]]:
    """The task, and the step that it started and that waits for a lock that the test holds."""
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    settings = {"architectures": ["resnet18"]}
    (tmp_path / "images" / "i").mkdir(parents=True)
    (tmp_path / "images" / "i" / artifacts.MANIFEST).write_text("{}")
    images = {"kind": "images", "key": "i", "path": str(tmp_path / "images" / "i")}
    config = parse_config(settings)
    made_from = cache_keys.model_made_from(config.for_training(7), "i", "resnet18")
    arguments = {"settings": settings, "images": images, "architecture": "resnet18", "seed": 7}
    with (
        hold_lock(tmp_path / "models" / f".lock-{artifacts.key_of(made_from)}", timeout_s=1),
        subprocess.Popen(
            [sys.executable, "-c", TASK, json.dumps(arguments)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        ) as task,
    ):
        assert task.stdout is not None
        assert "waiting for process" in task.stdout.readline()
        family = [psutil.Process(task.pid), *psutil.Process(task.pid).children(recursive=True)]
        assert len(family) == 2
        yield family
        look_at(family, psutil.Process.kill)


def list_left(processes: list[psutil.Process]) -> list[str]:
    """Return the command lines of those that have not ended after some time."""
    return list_alive(psutil.wait_procs(processes, timeout=60)[1])


def test_a_task_whose_time_is_up_takes_the_step_with_it(training):
    os.kill(training[0].pid, signal.SIGUSR1)
    assert list_left(training) == []


def test_a_task_that_is_killed_takes_the_step_with_it(training):
    training[0].kill()
    assert list_left(training) == []


def test_a_signal_to_the_task_s_process_group_reaches_the_step(training):
    assert {os.getpgid(process.pid) for process in training} == {training[0].pid}
    os.killpg(training[0].pid, signal.SIGTERM)
    assert list_left(training) == []
