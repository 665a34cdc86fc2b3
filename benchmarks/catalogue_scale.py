"""Catalogues of more and more rows: time a row, and memory.

    python -m benchmarks.catalogue_scale [--rows 50000,400000] [--architecture resnet18]

A Parquet table of ids of 18 digits, positions and paths leads to small images in a zip, which a
network of random weights classifies in one orientation, at 32 px: what is left is mostly what
does not depend on the network. Each size is one command, `predict` into Parquet, timed from start
to end; memory is the largest that all of its processes had together (proportional set size). Exits
with 1 if a row costs 1.2 times as much in the largest as in the smallest, or memory grows by more
than 64 bytes a row.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.prediction import publish_model
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


def measure(command: list[str]) -> tuple[float, float]:
    """Return the seconds that a command takes, and the most bytes that its processes had."""
    started_s, most_bytes = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        process = psutil.Process(child.pid)
        while child.poll() is None:
            most_bytes = max(most_bytes, sum_memory(process))
            time.sleep(POLL_INTERVAL_S)
    if child.returncode:
        raise SystemExit(f"{command} ended with {child.returncode}")
    return time.perf_counter() - started_s, most_bytes


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
        export_model(model)
        archive = draw_zip(work / "images.zip")
        sizes = [int(rows) for rows in asked.rows.split(",")]
        found: dict[int, tuple[float, float]] = {}
        for num_rows in sizes:
            table = write_table(work / "table.parquet", num_rows)
            command = [sys.executable, "-m", "galaxy_tasks.cli.main", "predict", str(table)]
            options = ["--images", str(archive), "--model", str(model), "--engine", "onnxruntime"]
            output = work / "catalogue.parquet"
            seconds, most_bytes = measure([*command, *options, "-o", str(output)])
            found[num_rows] = seconds, most_bytes
            print(
                f"{num_rows:>12,} rows  {seconds:9,.1f} s  {num_rows / seconds:8,.0f} rows/s  "
                f"{most_bytes / 1e6:8,.0f} MB  {output.stat().st_size / 1e6:8,.1f} MB written",
                flush=True,
            )
    smallest, largest = min(sizes), max(sizes)
    growth = found[largest][0] / largest / (found[smallest][0] / smallest)
    bytes_a_row = (found[largest][1] - found[smallest][1]) / max(largest - smallest, 1)
    print(f"a row costs {growth:.2f} times as much, and {bytes_a_row:.1f} more bytes of memory")
    return int(growth > MOST_GROWTH or bytes_a_row > MOST_BYTES_A_ROW)


if __name__ == "__main__":
    sys.exit(main())
