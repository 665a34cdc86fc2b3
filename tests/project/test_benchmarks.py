"""Every benchmark runs to its end on little input; what it measures there means nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "last_line"),
    [
        (["image_preparation", "--images", "200", "--rounds", "1"], "times with two processes"),
        (["zipped_images", "--images", "3"], "zip, deflated / zip, unpacked"),
        (
            [
                *("training", "--architectures", "resnet18", "--image-size-px", "32"),
                *("--batch-size", "8", "--steps", "2", "--rounds", "1"),
            ],
            "resnet18",
        ),
        (["label_cleaning", "--rows", "2000", "--rounds", "1"], "all give the same"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_benchmark_runs_to_its_end(arguments, last_line):
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{arguments[0]}", *arguments[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout.splitlines()[-1:], done.stderr
    assert done.stdout.splitlines()[-1].startswith(last_line), done.stderr
