"""Any images through the preparation and a trained model, to class probabilities."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from galaxy_tasks.errors import InputError
from galaxy_tasks.images import ImageSettings, RejectedImage, prepare_image
from galaxy_tasks.trained_model import load_classifier, read_record

_GROUP = 256
_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class PredictionCount:
    """How many images were classified, and how many refused."""

    classified: int
    rejected: int


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Return the image files that these paths name: files as they are, folders with their images.

    Raises:
        InputError: a path does not exist, or there is no image at all.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"{path} does not exist. Expected an image or a folder of images.")
    if not found:
        names = ", ".join(str(path) for path in paths)
        raise InputError(f"No image ({', '.join(_SUFFIXES)}) found in: {names}")
    return found


def predict_to_csv(images: Sequence[Path], *, model_folder: Path, output: Path) -> PredictionCount:
    """Write a row for each image: id, path, class, probability of each class, reason if refused.

    The id is the file's name without its ending. Images are prepared as the model's were. The file
    appears when it is complete.

    Raises:
        InputError: the folder holds no whole model, or no image could be read.
    """
    from galaxy_tasks.classifier import predict_probabilities
    from galaxy_tasks.devices import set_up_device

    record = read_record(model_folder)
    settings, classes = ImageSettings.from_config(record.config), record.classes
    set_up_device(record.config)
    model = load_classifier(model_folder)
    counts = {"classified": 0, "rejected": 0}
    partial = output.with_name(f".{output.name}.part")
    with partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "path", "class", *(f"p_{name}" for name in classes), "rejected"])
        for group in _in_groups(images):
            prepared = [_prepare(path, settings) for path in group]
            good = [item for item in prepared if isinstance(item, np.ndarray)]
            views = record.config.prediction_views
            results = iter(
                predict_probabilities(model, [np.stack(good)], views=views) if good else ()
            )
            for path, item in zip(group, prepared, strict=True):
                if isinstance(item, str):
                    counts["rejected"] += 1
                    writer.writerow([path.stem, path, "", *([""] * len(classes)), item])
                    continue
                row = next(results)
                counts["classified"] += 1
                probabilities = [f"{p:.6f}" for p in row]
                writer.writerow([path.stem, path, classes[int(row.argmax())], *probabilities, ""])
            print(f"classified {counts['classified']:,} / {len(images):,}", flush=True)
    if not counts["classified"]:
        partial.unlink()
        raise InputError(f"None of the {len(images)} images could be read; nothing was written.")
    partial.replace(output)
    return PredictionCount(**counts)


def _prepare(path: Path, settings: ImageSettings) -> np.ndarray | str:
    """Return the network input, or why there is none."""
    try:
        return prepare_image(path.read_bytes(), settings)
    except RejectedImage as problem:
        return f"{problem.reason}: {problem.detail}"


def _in_groups(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(paths), _GROUP):
        yield paths[start : start + _GROUP]
