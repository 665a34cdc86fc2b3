"""The largest release, at its size, is cleaned in memory that does not grow with it."""

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.release_inputs import CLASSES

from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig
from galaxy_tasks.labels.spark_settings import spark_submit_conf
from galaxy_tasks.releases.clean_samples import make_modern_tree

SCALE_ROWS = int(os.environ.get("GALAXY_SCALE_ROWS", "8670000"))  # DESI's own number
SCALE_IMAGES = 21_000
HEAP_MIB = 1024
"""Memory of Spark's virtual machine, whatever the rows: too little, and the job would fail."""
PYTHON_MIB = 500
"""The driver's Python with its libraries; 8.67 million ids as objects would be beyond."""


def draw_desi_rows(first: int, count: int) -> pa.Table:
    """Return galaxies of each class in turn, then one of no class and one without an answer."""
    kind = np.arange(first, first + count) % 7
    noise = np.random.default_rng(first).integers(0, 20, (len(make_modern_tree()), count)) / 100
    votes = {f"{stem}_fraction": row for stem, row in zip(make_modern_tree(), noise, strict=True)}
    featured = (kind == 3) | (kind == 4)
    votes["smooth-or-featured_smooth_fraction"][kind < 3] = 0.9
    votes["smooth-or-featured_featured-or-disk_fraction"][featured] = 0.9
    for number, answer in enumerate(("round", "in-between", "cigar-shaped")):
        votes[f"how-rounded_{answer}_fraction"][kind == number] = 0.8
        votes[f"how-rounded_{answer}_fraction"][kind >= 3] = np.nan
    for answer, chosen in (("yes", 3), ("no", 4)):
        votes[f"disk-edge-on_{answer}_fraction"][kind == chosen] = 0.9
        votes[f"disk-edge-on_{answer}_fraction"][~featured] = np.nan
    votes["has-spiral-arms_yes_fraction"][kind == 4] = 0.9
    votes["smooth-or-featured_smooth_fraction"][kind == 6] = np.nan
    ids = np.arange(first, first + count)
    table = {
        "dr8_id": pa.array([f"{number // 5000}_{number % 5000}" for number in ids]),
        # One galaxy to a square of 0.02 degrees, so that none shares its group.
        "ra": (ids % 17_000) * 0.02,
        "dec": (ids // 17_000) * 0.02 - 10,
        **{name: pa.array(row.astype("f4"), from_pandas=True) for name, row in votes.items()},
    }
    return pa.table(table)


def write_desi(folder: Path, rows: int) -> Path:
    (folder / "images").mkdir(parents=True)
    path = folder / "gz_desi_deep_learning_catalog_friendly.parquet"
    step = 250_000
    with pq.ParquetWriter(path, draw_desi_rows(0, 7).schema) as writer:
        for first in range(0, rows, step):
            writer.write_table(draw_desi_rows(first, min(step, rows - first)))
    for number in range(SCALE_IMAGES):
        (folder / "images" / f"{number // 5000}_{number % 5000}.jpg").touch()
    return folder


def clean_in_its_own_process(source: Path, home: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the labels' summary, and seconds and peak memory of what the job was."""
    config = RunConfig(release="galaxy_zoo_desi", source=str(source))
    conf = {**spark_submit_conf(), "spark.driver.memory": f"{HEAP_MIB}m"}
    scripts = Path(sys.executable).parent
    root = Path(__file__).resolve().parents[2]
    command = [
        *("spark-submit", "--master=local[2]", *(f"--conf={k}={v}" for k, v in conf.items())),
        *(str(root / "galaxy_tasks" / "pipeline" / "clean_labels.py"), "--settings"),
        *(json.dumps(config.model_dump(mode="json")), "--release-files"),
        *(json.dumps(locate_release(config).as_dict()), "--result", str(home.parent / "result")),
    ]
    path = f"{scripts}:{os.environ['PATH']}"
    environment = os.environ | {"GALAXY_HOME": str(home), "PATH": path, "PYTHONPATH": str(root)}
    environment.pop("SPARK_SUBMIT_OPTS", None)  # this job is long enough for all compilers
    started = time.monotonic()
    with (home.parent / "log.txt").open("wb") as log:
        job = psutil.Popen(command, env=environment, stdout=log, stderr=log)
        peaks = watch(job)
    peaks["wall_s"] = time.monotonic() - started
    assert job.returncode == 0, (home.parent / "log.txt").read_text()
    (manifest,) = home.glob("labels/*/manifest.json")
    return json.loads(manifest.read_text())["summary"], peaks


def watch(job: psutil.Popen) -> dict[str, float]:
    """Return the processor seconds and the peak memory of the job's processes, by kind."""
    peaks: dict[str, float] = {"java_mib": 0, "python_mib": 0}
    seconds: dict[int, float] = {}
    while job.poll() is None:
        for known in [job, *job.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                # Looked at anew: psutil remembers the shell that has become Java. By its program,
                # since what Java starts is named after one of Java's threads at first.
                process = psutil.Process(known.pid)
                kind = "java_mib" if Path(process.exe()).name == "java" else "python_mib"
                peaks[kind] = max(peaks[kind], process.memory_info().rss / 2**20)
                times = process.cpu_times()
                seconds[process.pid] = times.user + times.system
        time.sleep(0.2)  # between two looks at a process that we can only watch
    return peaks | {"cpu_s": sum(seconds.values())}


@pytest.mark.slow
def test_desi_is_cleaned_in_memory_that_does_not_grow_with_its_rows(tmp_path):
    rows = SCALE_ROWS
    source = write_desi(tmp_path / "source", rows)
    summary, cost = clean_in_its_own_process(source, tmp_path / "runs")
    print(f"{rows:,} rows: " + ", ".join(f"{name} {value:,.1f}" for name, value in cost.items()))
    kept = SCALE_IMAGES // 7 * 5
    per_kind = [len(range(kind, rows, 7)) for kind in range(7)]
    assert summary["rows_in"] == rows
    assert summary["kept"] == kept
    assert summary["dropped"] == {
        "missing_value": per_kind[6],
        "contested_no_rule": per_kind[5],
        "no_image": sum(per_kind[:5]) - kept,
    }
    assert {name: sum(splits.values()) for name, splits in summary["classes"].items()} == (
        dict.fromkeys(sorted(CLASSES), SCALE_IMAGES // 7)
    )
    assert cost["python_mib"] < PYTHON_MIB
    assert cost["java_mib"] < 2 * HEAP_MIB  # the heap, and what the machine keeps beside it
