"""Each process that classifies loads what it needs, and no more: a catalogue waits for them."""

import json
import subprocess
import sys

SLOW_TO_LOAD = ("keras", "matplotlib", "pandas", "scipy.optimize", "scipy.stats", "sklearn")


def test_a_process_that_classifies_loads_no_library_that_only_others_need():
    program = (
        "import json, sys, galaxy_tasks.prediction.workers\n"
        f"print(json.dumps([name for name in {SLOW_TO_LOAD} if name in sys.modules]))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == []
