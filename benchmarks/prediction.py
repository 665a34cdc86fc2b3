"""From JPEG files to a catalogue, beside the plain Keras script that a user would write.

    python -m benchmarks.prediction [FOLDER WITH JPEGS] [--architectures resnet18,densenet121]
        [--image-size-px 80,224] [--images 1500] [--rounds 2]

For each network and size, in images a second of wall time, each the best of interleaved rounds, all
with eight orientations and random weights:

- this project: `predict` into a CSV, with the program that it chooses;
- plain script: benchmarks/plain_prediction.py;
- network alone: as many processes as cores, on images in memory;
- preparation alone: the same, without a network.

The first two are commands, timed from start to end; the model is exported and the programs' speeds
are known before. Without a folder, galaxies are drawn. Exits with 1 if a target is missed: 1.5
times the script with ResNet-18 (3 times where the processor has AMX) and never less than it; and
85 % of the slower of network and preparation, which takes some thousand images: starting takes
several seconds, and a core without its last batch of 64 waits for the other.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import cpu_count

from benchmarks.image_preparation import draw_cutouts
from galaxy_tasks.config import Architecture, RunConfig
from galaxy_tasks.images.prepare import prepare_image, use_one_thread
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.pipeline.engine_choice import choose_way, measure_rate
from galaxy_tasks.pipeline.export_champion import NETWORK, export_model
from galaxy_tasks.pipeline.export_files import export_file
from galaxy_tasks.prediction.engines import Way
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import write_json
from galaxy_tasks.training.model_record import MODEL, WEIGHTS, ModelRecord

CLASSES = ("round", "spiral", "edge_on")
ORIENTATIONS = 8
CHECKED = 64
TIMED_S = 10.0
"""A virtual machine's fresh memory comes slowly in a process's first seconds."""
PLAIN = Path(__file__).with_name("plain_prediction.py")


def publish_model(
    architecture: Architecture, size_px: int, *, orientations: int = ORIENTATIONS
) -> Path:
    """Publish a network of random weights, and prepared images to check its export on."""
    from galaxy_tasks.networks.classifier import build_classifier
    from galaxy_tasks.training.device import set_up_device

    config = RunConfig(image_size_px=size_px, architectures=(architecture,))
    set_up_device(config)
    random = np.random.default_rng(0)
    with artifacts.open_draft("images", {"size": size_px}) as draft:
        if not (images := draft.published):
            pixels = random.integers(0, 64, (CHECKED, size_px, size_px, 3), np.uint8)
            np.save(draft.path / "images.npy", pixels)
            columns = {"label_index": np.arange(CHECKED) % 3, "split": ["train", "test"] * 32}
            pd.DataFrame(columns).to_parquet(draft.path / "manifest.parquet")
            images = draft.publish()
    made_from = {"images": images.key, "architecture": architecture}
    with artifacts.open_draft("models", made_from) as draft:
        model = build_classifier(architecture, config=config, num_classes=len(CLASSES))
        model.save_weights(draft.path / WEIGHTS)
        record = ModelRecord(
            *(architecture, CLASSES, (1.0,) * 3, config.model_dump(mode="json"), 1, 1, 1, 1, 1),
            *(0.0, 0.0, 0.0, "none", orientations),
        )
        write_json(draft.path / MODEL, asdict(record))
        table = np.full((orientations, 0, 3), 1 / 3, np.float32)
        np.save(draft.path / "calibration_probabilities.npy", table)
        empty = {"galaxy_id": [], "label_index": np.zeros(0, int), "row": []}
        pd.DataFrame(empty).to_parquet(draft.path / "calibration_galaxies.parquet")
        return draft.publish().path


def run_here(model: Path, folder: Path, work: Path) -> float:
    """Return the images a second of `predict`, from its start to its end."""
    command = [sys.executable, "-m", "galaxy_tasks.cli.main", "predict", str(folder)]
    return run_and_time([*command, "--model", str(model), "-o", str(work / "here.csv")], folder)


def run_and_time(command: list[str], folder: Path) -> float:
    """Return the images a second of a command that classifies a folder."""
    # TensorFlow decides by itself whether it uses oneDNN, as it does for others.
    usual = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    started_s = time.perf_counter()
    subprocess.run(command, env=usual, capture_output=True, check=True)
    return len(list(folder.iterdir())) / (time.perf_counter() - started_s)


def run_plainly(model: Path, folder: Path, work: Path) -> float:
    """Return the images a second of the plain script, from its start to its end."""
    command = [sys.executable, str(PLAIN), str(model), str(folder), str(work / "plain.csv")]
    return run_and_time(command, folder)


def run_network(way: Way, network: Path, size_px: int) -> float:
    """Return the images a second of the network alone, in all orientations, on all cores."""
    with ProcessPoolExecutor(cpu_count(), mp_context=get_context("spawn")) as executor:
        measured = [
            executor.submit(measure_rate, way, network, image_size_px=size_px, timed_s=TIMED_S)
            for _ in range(cpu_count())
        ]
        return sum(one.result() for one in measured) / ORIENTATIONS


def prepare_some(paths: list[Path], settings: ImageSettings) -> float:
    """Return the seconds that one process prepares these images in."""
    use_one_thread()
    started_s = time.perf_counter()
    for path in paths:
        prepare_image(path.read_bytes(), settings)
    return time.perf_counter() - started_s


def run_preparation(paths: list[Path], size_px: int) -> float:
    """Return the images a second of the preparation alone, on all cores."""
    settings = ImageSettings.from_config(RunConfig(image_size_px=size_px))
    with ProcessPoolExecutor(cpu_count(), mp_context=get_context("spawn")) as executor:
        parts = [executor.submit(prepare_some, paths, settings) for _ in range(cpu_count())]
        return cpu_count() * len(paths) / max(part.result() for part in parts)


def has_amx() -> bool:
    """Return whether this processor multiplies matrices of bfloat16, as Linux says."""
    known = Path("/proc/cpuinfo")
    return known.is_file() and "amx_bf16" in known.read_text()


def compare(
    architecture: Architecture, size_px: int, paths: list[Path], work: Path, *, rounds: int
) -> bool:
    """Print the rates of one network; return whether its targets are met."""
    model = publish_model(architecture, size_px)
    export = export_model(model)
    plain = work / f"{architecture}-{size_px}.keras"
    export_file(model, "keras", plain)
    way = choose_way(export, model, engine="auto", precision="auto", image_size_px=size_px)
    contenders = {
        "this project": lambda: run_here(model, paths[0].parent, work),
        "plain script": lambda: run_plainly(plain, paths[0].parent, work),
        "network alone": lambda: run_network(way, export.path / NETWORK, size_px),
        "preparation alone": lambda: run_preparation(paths, size_px),
    }
    best = dict.fromkeys(contenders, 0.0)
    for _ in range(rounds):
        for name, run in contenders.items():
            best[name] = max(best[name], run())
    here = best["this project"]
    rates = "  ".join(f"{name} {rate:8.1f}" for name, rate in best.items())
    print(f"{architecture} {size_px} px, {way}:  {rates}   (images/s)")
    wanted = (3.0 if has_amx() else 1.5) if architecture == "resnet18" else 1.0
    limit = min(best["network alone"], best["preparation alone"])
    ratios = {"plain script": (best["plain script"], wanted), "slower part alone": (limit, 0.85)}
    is_met = True
    for name, (rate, target) in ratios.items():
        verdict = "met" if here / rate >= target else "MISSED"
        is_met &= verdict == "met"
        print(
            f"    over the {name}: {here / rate:5.2f}  target {target:.2f}  {verdict}", flush=True
        )
    return is_met


def main() -> int:
    """Print the table and return the exit code."""
    parser = argparse.ArgumentParser(description="From images to a catalogue")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--architectures", default="resnet18,densenet121")
    parser.add_argument("--image-size-px", default="80,224")
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ["GALAXY_HOME"] = str(work / "runs")
        folder = work / "images"
        folder.mkdir()
        if asked.folder:
            for path in sorted(asked.folder.glob("*.jp*g"))[: asked.images]:
                (folder / f"{path.stem}.jpg").symlink_to(path.absolute())
            paths = sorted(folder.iterdir())
        else:
            paths = draw_cutouts(folder, asked.images)
        are_met = [
            compare(architecture, int(size_px), paths, work, rounds=asked.rounds)
            for architecture in asked.architectures.split(",")
            for size_px in asked.image_size_px.split(",")
        ]
    return 0 if all(are_met) else 1


if __name__ == "__main__":
    sys.exit(main())
