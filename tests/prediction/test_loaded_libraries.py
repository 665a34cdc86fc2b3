"""Predicting loads what it needs, and no more: a catalogue waits for it."""

import json
import subprocess
import sys

import pytest

UNUSED = ("keras", "matplotlib", "scipy.stats", "sklearn", "tensorflow")


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        # A spawned process loads the command that began it, too.
        ("prediction.workers", (*UNUSED, "pandas", "scipy.optimize")),
        ("pipeline.predict_catalogue", UNUSED),
    ],
)
def test_no_library_is_loaded_that_only_others_need(module, unused):
    program = (
        f"import json, sys, galaxy_tasks.cli.main, galaxy_tasks.{module}\n"
        f"print(json.dumps([name for name in {unused} if name in sys.modules]))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == []
