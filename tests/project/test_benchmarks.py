"""Every benchmark runs to its end on little input; what it measures there means nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LITTLE_TRAINING = (
    *("--architectures", "resnet18", "--image-size-px", "32"),
    *("--batch-size", "8", "--steps", "2", "--rounds", "1"),
)
LITTLE_PREDICTION = (
    *("--architectures", "resnet18", "--image-size-px", "32"),
    *("--images", "8", "--rounds", "1"),
)
LITTLE_VOTES = ("--galaxies", "240", "--image-size-px", "32", "--epochs", "1", "--seeds", "2")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "last_line"),
    [
        (["image_preparation", "--images", "200", "--rounds", "1"], "times with two processes"),
        (["zipped_images", "--images", "3"], "zip, deflated / zip, unpacked"),
        (["training", *LITTLE_TRAINING], "resnet18"),
        (["decisions", "--decisions", "4", "--samples", "100", "--smallest-class", "10"], " " * 12),
        (["prediction", *LITTLE_PREDICTION], "    over the slower part alone"),
        (["catalogue_scale", "--rows", "2000,4000"], "a row costs "),
        (["label_cleaning", "--rows", "2000", "--rounds", "1"], "all give the same"),
        (["votes", *LITTLE_VOTES], "Intervals for 90% hold the volunteers: smooth_or_featured"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_benchmark_runs_to_its_end(arguments, last_line, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{arguments[0]}", *arguments[1:]],
        cwd=ROOT,
        env={**os.environ, "GALAXY_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout.splitlines()[-1:], done.stderr
    assert done.stdout.splitlines()[-1].startswith(last_line), done.stderr


WITHOUT_LIBRARIES = """
import runpy, sys

missing = ("tensorflow", "pyspark", "cv2", "httpx", "tenacity", "astropy")

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
runpy.run_module("benchmarks.training", run_name="__main__")
"""


@pytest.mark.slow
def test_training_is_measured_where_there_is_jax_and_no_tensorflow_spark_or_opencv():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARIES, *LITTLE_TRAINING],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert ", jax, " in done.stdout
    assert done.stdout.splitlines()[-1].startswith("resnet18")
