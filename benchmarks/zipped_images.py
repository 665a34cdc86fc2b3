"""Images read in place from a zip beside the same from a folder.

    python -m benchmarks.zipped_images [FOLDER WITH JPEGS] [--images 300]

Every row turns the same cutouts into 224 px inputs, as a worker of the preparation does: chunk by
chunk, with the zip opened for each; the last row unpacks the deflated zip first, as one has to
without reading in place. Rates are images a second of one core's time (process CPU time, system
included; the best of several interleaved rounds). Without a folder, galaxies are drawn. Exits with
1 if a target is missed.

JPEGs hardly shrink, so what inflating costs (40 µs for one of 14 kB) buys nothing; a zip that only
stores them is read faster than the folder, as nothing has to be opened.
"""

import argparse
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from benchmarks.image_preparation import SETTINGS, draw_cutouts
from galaxy_tasks.acquisition.archives import unpack_archives
from galaxy_tasks.acquisition.download import DownloadSettings
from galaxy_tasks.acquisition.image_folder import list_images
from galaxy_tasks.images.prepare import prepare_image, use_one_thread
from galaxy_tasks.images.source import open_images

ROUNDS = 9
CHUNK_IMAGES = 64
METHODS = {"deflated": zipfile.ZIP_DEFLATED, "stored": zipfile.ZIP_STORED}
UNPACKED_FIRST = "zip, unpacked"
TARGETS = {
    ("zip, deflated", "folder"): 0.8,
    ("zip, stored", "folder"): 0.95,
    ("zip, deflated", UNPACKED_FIRST): 1.0,
}
"""Rate of the one over the rate of the other, at least."""


def pack(paths: list[Path], archive: Path, method: int) -> Path:
    """Write a zip with these files."""
    with zipfile.ZipFile(archive, "w", method) as opened:
        for path in paths:
            opened.write(path, f"images/{path.name}")
    return archive


def time_reading(images: Path, names: list[str]) -> tuple[float, float]:
    """Return images a second of CPU time: only read, and read and prepared."""
    places = list_images(images).images
    rates = []
    for prepare in (len, lambda data: prepare_image(data, SETTINGS)):
        started_s = time.process_time()
        for first in range(0, len(names), CHUNK_IMAGES):
            chunk = {name: places[name] for name in names[first : first + CHUNK_IMAGES]}
            with open_images(images, chunk, max_side_px=SETTINGS.max_source_side_px) as read:
                for name in chunk:
                    prepare(read(name))
        rates.append(len(names) / (time.process_time() - started_s))
    return rates[0], rates[1]


def time_unpacking(archive: Path, names: list[str]) -> float:
    """Return images a second of CPU time to unpack a zip."""
    started_s = time.process_time()
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        settings = DownloadSettings(reserve_bytes=0)
        unpack_archives([archive], Path(folder, "images"), settings=settings)
        return len(names) / (time.process_time() - started_s)


def measure(paths: list[Path], work: Path) -> dict[str, tuple[float, float]]:
    """Return for each contender the best of its rates: only read, and read and prepared."""
    contenders = {"folder": paths[0].parent}
    for name, method in METHODS.items():
        contenders[f"zip, {name}"] = pack(paths, work / f"{name}.zip", method)
    names = [path.name for path in paths]
    best = dict.fromkeys([*contenders, UNPACKED_FIRST], (0.0, 0.0))
    unpacking = 0.0
    for _ in range(ROUNDS):
        for name, images in contenders.items():
            rates = time_reading(images, names)
            best[name] = (max(best[name][0], rates[0]), max(best[name][1], rates[1]))
        unpacking = max(unpacking, time_unpacking(contenders["zip, deflated"], names))
    together = [1 / (1 / unpacking + 1 / rate) for rate in best["folder"]]
    return {**best, UNPACKED_FIRST: (together[0], together[1])}


def compare(paths: list[Path], work: Path) -> int:
    """Print the table and return the exit code."""
    rates = measure(paths, work)
    print(f"{'':16s}  only read  prepared   (images/s of one core)")
    for name, (read, prepared) in rates.items():
        print(f"{name:16s}  {read:9,.0f} {prepared:9,.0f}")
    missed = 0
    for (name, other), target in TARGETS.items():
        ratio = rates[name][1] / rates[other][1]
        missed += ratio < target
        verdict = "met" if ratio >= target else "MISSED"
        print(f"{name + ' / ' + other:30s} {ratio:6.3f}  target {target:5.2f}  {verdict}")
    return 1 if missed else 0


def main() -> int:
    """Print the table and return the exit code."""
    parser = argparse.ArgumentParser(description="Images from a zip and from a folder")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=300)
    asked = parser.parse_args()
    use_one_thread()
    with tempfile.TemporaryDirectory() as work:
        drawn = Path(work, "drawn")
        drawn.mkdir()
        found = sorted(asked.folder.glob("*.jp*g"))[: asked.images] if asked.folder else None
        return compare(found or draw_cutouts(drawn, asked.images), Path(work))


if __name__ == "__main__":
    sys.exit(main())
