"""Image preparation beside what a user would otherwise write.

    python -m benchmarks.image_preparation [FOLDER WITH JPEGS] [--images 300] [--rounds 7]

Every row turns the same 424 px cutouts into 224 px inputs: decode, scale, Gaussian filter with a
3×3 window and sigma 0.8. Rates are images a second of one core's time (process CPU time, so that
a busy machine does not spoil them; the best of several interleaved rounds). Without a folder,
galaxies are drawn. Exits with 1 if a target is missed.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageFilter

from galaxy_tasks.config import parse_config
from galaxy_tasks.images.prepare import prepare_image, use_one_thread
from galaxy_tasks.images.resume import HEADER_BYTES, SlotFile
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.images.workers import Chunk, WorkOrder, prepare_chunks

SIZE_PX = 224
SIGMA_PX = 0.8
CHILDREN = ("children_user", "children_system")
SETTINGS = replace(
    ImageSettings.from_config(parse_config({})),
    image_size_px=SIZE_PX,
    crop_fraction=1.0,
    denoise_method="gaussian",
    gaussian_sigma_px=SIGMA_PX,
)


def prepare_here(path: Path) -> np.ndarray:
    """This project."""
    return prepare_image(path.read_bytes(), SETTINGS)


def prepare_with_opencv(path: Path) -> np.ndarray:
    """What one writes with OpenCV."""
    pixels: Any = cv2.imread(str(path))
    pixels = cv2.resize(pixels, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
    pixels = cv2.GaussianBlur(pixels, (3, 3), SIGMA_PX)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def prepare_with_pillow(path: Path) -> np.ndarray:
    """What one writes with Pillow; its bilinear scaling averages when it shrinks."""
    with Image.open(path) as image:
        scaled = image.convert("RGB").resize((SIZE_PX, SIZE_PX), Image.Resampling.BILINEAR)
    return np.asarray(scaled.filter(ImageFilter.GaussianBlur(SIGMA_PX)))


def draw_cutouts(folder: Path, count: int) -> list[Path]:
    """Write drawn galaxies with noise, JPEGs of about the 14 kB of real ones."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:424, :424] - 211.5
    paths = []
    for number in range(count):
        turn = rng.uniform(0, np.pi)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        radius = np.hypot(along, across / rng.uniform(0.3, 1)) / rng.uniform(20, 60)
        light = 200 * np.exp(-radius)[..., None] * rng.uniform(0.6, 1, 3)
        sky = cv2.GaussianBlur(rng.normal(25, 9, (424, 424, 3)), (3, 3), 0.7)
        pixels = np.clip(light + sky, 0, 255).astype(np.uint8)
        paths.append(folder / f"{number}.jpg")
        cv2.imwrite(str(paths[-1]), pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return paths


def rate_of(prepare: Callable[[Path], np.ndarray], paths: list[Path]) -> float:
    """Return images a second of CPU time."""
    started_s = time.process_time()
    for path in paths:
        prepare(path)
    return len(paths) / (time.process_time() - started_s)


def rate_of_processes(workers: int, paths: list[Path], repeats: int) -> tuple[float, float]:
    """Return the best of three: images a second of wall time once running, and of CPU time."""
    _, start_cpu_s = run_processes(workers, paths[:1], repeats=workers)
    runs = [run_processes(workers, paths, repeats) for _ in range(3)]
    least_cpu_s = min(cpu_s for _, cpu_s in runs) - start_cpu_s
    return max(rate for rate, _ in runs), len(paths) * repeats / least_cpu_s


def run_processes(workers: int, paths: list[Path], repeats: int) -> tuple[float, float]:
    """Return images a second of wall time after the first came, and the workers' CPU seconds."""
    places = {path.name: path.name for path in paths}
    names = tuple(places)
    done, first_s, before = 0, 0.0, os.times()
    with tempfile.TemporaryDirectory() as folder:
        slots = SlotFile(Path(folder, "slots.npy"), count=len(names) * repeats, size_px=SIZE_PX)
        slots.reserve()
        order = WorkOrder((paths[0].parent,), slots.path, HEADER_BYTES, SETTINGS)
        chunks = [Chunk(n, n * len(names), names, 0, places) for n in range(repeats)]
        for outcomes in prepare_chunks(chunks, order=order, workers=workers):
            if first_s:
                done += sum(len(outcome.reason) for outcome in outcomes)
            elif outcomes:
                first_s = time.monotonic()
        wall_s = time.monotonic() - first_s
    if not done and repeats > workers:
        raise SystemExit(f"{len(names)} images are over before a rate shows. Take 200 or more.")
    after = os.times()
    spent = [getattr(after, name) - getattr(before, name) for name in CHILDREN]
    return done / wall_s, sum(spent)


def main() -> int:
    """Print the table and return the exit code."""
    parser = argparse.ArgumentParser(description="Image preparation, compared")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    use_one_thread()
    with tempfile.TemporaryDirectory() as drawn:
        found = sorted(asked.folder.glob("*.jp*g"))[: asked.images] if asked.folder else None
        paths = found or draw_cutouts(Path(drawn), asked.images)
        kind = "real" if found else "drawn"
        mean_bytes = np.mean([path.stat().st_size for path in paths])
        print(f"{len(paths)} {kind} cutouts of {mean_bytes / 1000:.1f} kB on average")
        return compare(paths, asked.rounds)


def compare(paths: list[Path], rounds: int) -> int:
    """Run all contenders and say which targets are met."""
    contenders = [prepare_here, prepare_with_opencv, prepare_with_pillow]
    rates = {contender: 0.0 for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            rates[contender] = max(rates[contender], rate_of(contender, paths))
    decibels = [cv2.PSNR(prepare_here(path), prepare_with_opencv(path)) for path in paths]
    print(f"{'':22s}  images/s of one core")
    for contender, rate in rates.items():
        print(f"{contender.__name__:22s}  {rate:8,.0f}")
    one, two = (rate_of_processes(workers, paths, repeats=20) for workers in (1, 2))
    load = os.getloadavg()[0]
    print(f"one process   {one[0]:8,.0f} images/s of wall time, {one[1]:8,.0f} of CPU time")
    print(f"two processes {two[0]:8,.0f} images/s of wall time, {two[1]:8,.0f} of CPU time")
    print(f"{os.cpu_count()} cores, load average {load:.1f}: above the number of cores, wall times")
    print("measure the other programs too, and the CPU times say what two free cores would do.")
    targets = [
        ("times OpenCV", rates[prepare_here] / rates[prepare_with_opencv], 2.5),
        ("times Pillow", rates[prepare_here] / rates[prepare_with_pillow], 4.0),
        ("dB to OpenCV, mean", float(np.mean(decibels)), 45.0),
        ("dB to OpenCV, worst", min(decibels), 45.0),
        ("times with two processes", two[0] / one[0], 1.8),
    ]
    for name, value, target in targets:
        verdict = "met" if value >= target else "MISSED"
        print(f"{name:26s} {value:6.2f}  target {target:5.2f}  {verdict}")
    return 0 if all(value >= target for _, value, target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
