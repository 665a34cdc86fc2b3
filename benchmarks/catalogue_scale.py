"""Catalogues of more and more rows: time a row, and memory.

    python -m benchmarks.catalogue_scale [--rows 50000,400000] [--architecture resnet18]

A Parquet table of ids of 18 digits, positions and paths leads to small images in a zip, which a
network of random weights classifies in one orientation, at 32 px, run by the program that `predict`
chooses. Each size is one command, `predict` into Parquet, from start to end. What a row costs is
the processor's time, which other programs on the machine change little; memory is the largest that
all of its processes had together (proportional set size). Exits with 1 if a row costs 1.2 times as
much in the largest as in the smallest, or memory grows by more than 64 bytes a row.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.prediction import publish_model
from galaxy_tasks.pipeline.engine_choice import choose_way
from galaxy_tasks.pipeline.export_champion import export_model

NUM_IMAGES = 10_000
SIZE_PX = 32
CHUNK_ROWS = 1_000_000
POLL_INTERVAL_S = 0.5
MOST_GROWTH = 1.2
MOST_BYTES_A_ROW = 64


def draw_zip(path: Path) -> Path:
    """Write a zip of small JPEGs: spots with noise."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:40, :40] - 20
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(NUM_IMAGES):
            light = 200 * np.exp(-np.hypot(x, y / random.uniform(0.3, 1)) / random.uniform(3, 8))
            pixels = light[..., None] + random.integers(0, 30, (40, 40, 3))
            encoded = cv2.imencode(".jpg", pixels.clip(0, 255).astype(np.uint8))[1].tobytes()
            archive.writestr(f"{number}.jpg", encoded)
    return path


def write_table(path: Path, num_rows: int) -> Path:
    """Write a table of so many galaxies, each with one of the images."""
    schema = pa.schema(
        {"id": pa.string(), "path": pa.string(), "ra": pa.float64(), "dec": pa.float64()}
    )
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, num_rows, CHUNK_ROWS):
            numbers = np.arange(first, min(first + CHUNK_ROWS, num_rows))
            columns = {
                "id": [f"{587722952767439450 + n}" for n in numbers.tolist()],
                "path": [f"{n % NUM_IMAGES}.jpg" for n in numbers.tolist()],
                "ra": numbers * 1e-5 % 360,
                "dec": numbers * 1e-5 % 90,
            }
            writer.write_table(pa.table(columns, schema=schema))
    return path


class Cost(NamedTuple):
    """What a command took."""

    seconds: float
    cpu_s: float
    """Of all its processes together."""
    most_bytes: float
    """The most that its processes had at a time."""


def measure(command: list[str]) -> Cost:
    """Run a command and return what it took."""
    started_s, cpu_before_s, most_bytes = time.perf_counter(), sum_cpu_s(), 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            most_bytes = max(most_bytes, sum_memory(process))
            time.sleep(POLL_INTERVAL_S)
    if child.returncode:
        raise SystemExit(f"{command} ended with {child.returncode}")
    return Cost(time.perf_counter() - started_s, sum_cpu_s() - cpu_before_s, most_bytes)


def sum_cpu_s() -> float:
    """Return the processor time of all processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def sum_memory(process: psutil.Process) -> float:
    """Return the bytes that a process and its children have, shared ones in equal parts."""
    total = 0.0
    try:
        for one in (process, *process.children(recursive=True)):
            memory = one.memory_full_info()
            total += getattr(memory, "pss", memory.uss)
    except psutil.Error:  # one has just ended
        pass
    return total


def main() -> int:
    """Print a line a size and return the exit code."""
    parser = argparse.ArgumentParser(description="Catalogues of many rows")
    parser.add_argument("--rows", default="50000,400000")
    parser.add_argument("--architecture", default="resnet18")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ["GALAXY_HOME"] = str(work / "runs")
        model = publish_model(asked.architecture, SIZE_PX, orientations=1)
        export = export_model(model)
        way = choose_way(export, model, engine="auto", precision="auto", image_size_px=SIZE_PX)
        print(f"{asked.architecture} {SIZE_PX} px, {way}", flush=True)
        archive = draw_zip(work / "images.zip")
        sizes = [int(rows) for rows in asked.rows.split(",")]
        found: dict[int, Cost] = {}
        for num_rows in sizes:
            table = write_table(work / "table.parquet", num_rows)
            command = [sys.executable, "-m", "galaxy_tasks.cli.main", "predict", str(table)]
            options = ["--images", str(archive), "--model", str(model)]
            output = work / "catalogue.parquet"
            cost = found[num_rows] = measure([*command, *options, "-o", str(output)])
            print(
                f"{num_rows:>12,} rows  {cost.seconds:9,.1f} s  "
                f"{num_rows / cost.seconds:8,.0f} rows/s  "
                f"{1000 * cost.cpu_s / num_rows:8.3f} ms of processor time a row  "
                f"{cost.most_bytes / 1e6:8,.0f} MB  {output.stat().st_size / 1e6:8,.1f} MB written",
                flush=True,
            )
    smallest, largest = min(sizes), max(sizes)
    growth = found[largest].cpu_s / largest / (found[smallest].cpu_s / smallest)
    grown_bytes = found[largest].most_bytes - found[smallest].most_bytes
    bytes_a_row = grown_bytes / max(largest - smallest, 1)
    print(f"a row costs {growth:.2f} times as much, and {bytes_a_row:.1f} more bytes of memory")
    return int(growth > MOST_GROWTH or bytes_a_row > MOST_BYTES_A_ROW)


if __name__ == "__main__":
    sys.exit(main())
