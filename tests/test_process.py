"""A step in its own process: results, errors and lines come through as they were."""

import json
import sys

import pytest

from galaxy_tasks.errors import InputError
from galaxy_tasks.process import _stream, run_step


def run_program(program: str, tmp_path) -> int:
    path = tmp_path / "program.py"
    path.write_text(program)
    return _stream([sys.executable, str(path)])


def test_an_error_of_the_input_keeps_its_kind_and_its_words(capfd):
    with pytest.raises(InputError, match="image_size_px: Input should be greater"):
        run_step("prepare_release", settings={"image_size_px": 1})
    assert "Traceback" not in capfd.readouterr().out


def test_an_unknown_step_is_named(capfd):
    with pytest.raises(InputError, match=r"No step 'dance'\. Steps: prepare_release"):
        run_step("dance")


def test_a_crash_says_how_the_step_ended_and_shows_its_traceback(capfd):
    with pytest.raises(ChildProcessError, match="Step train_alexnet was ended with exit code 1"):
        run_step("train_alexnet", settings={}, images={})
    assert "KeyError" in capfd.readouterr().out


def test_lines_come_through_but_for_what_tensorflow_says_while_it_loads(capfd, tmp_path):
    lines = [
        "epoch 1/2",
        "I0000 00:00:1795470965.823130   16655 port.cc:153] oneDNN custom operations are on.",
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "E0000 00:00:1795470965.823130   16655 cuda.cc:1] out of memory",
        "WARNING: disk nearly full",
        "I0000 galaxies",
    ]
    assert run_program(f"for line in {json.dumps(lines)}: print(line)", tmp_path) == 0
    printed = capfd.readouterr().out.splitlines()
    assert printed == [lines[0], lines[3], lines[4], lines[5]]


def test_the_exit_code_of_a_killed_process_is_its_signal(tmp_path):
    assert run_program("import os; os.kill(os.getpid(), 9)", tmp_path) == -9
