"""What the last winner says of this run's test galaxies, those that it has learned from left out.

Its images are prepared as its own were. This runs where the trainings run, for it needs the model.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from galaxy_tasks.artifacts import Artifact
from galaxy_tasks.config import RunConfig
from galaxy_tasks.former import FormerWinner, find_unseen, read_galaxies
from galaxy_tasks.former_doubt import judge_doubt
from galaxy_tasks.images import ImageSettings
from galaxy_tasks.preparation import prepare_cutouts
from galaxy_tasks.trained_model import load_classifier

PROBABILITIES, GALAXIES = "probabilities.npy", "galaxies.parquet"
_BATCH = 64


def predict_unseen(
    folder: Path,
    *,
    config: RunConfig,
    former: FormerWinner,
    labels: Artifact,
    images: Artifact,
    image_folders: Sequence[Path],
) -> dict[str, Any]:
    """Write what the former winner says of the test galaxies that it has not learned from.

    Writes probabilities.npy, (galaxies, its classes) float32, and galaxies.parquet with their
    galaxy_id in the same order; both are empty where it has learned from all. Returns the summary.

    Args:
        folder: where to write.
        config: this run's settings.
        former: the winner to ask.
        labels: this run's labels.
        images: this run's prepared images.
        image_folders: the folder of each release's source images, by release_index.
    """
    galaxies = read_galaxies(labels, images)
    test = galaxies[galaxies["split"] == "test"].sort_values("galaxy_id", ignore_index=True)
    theirs = read_galaxies(former.labels, former.images)
    is_unseen = find_unseen(test, theirs, radius_arcsec=config.match_radius_arcsec)
    unseen = test[is_unseen].reset_index(drop=True)
    doubt = judge_doubt(config, former.record.config, unseen, theirs)
    title = former.record.config.release_title
    print(
        f"Last winner: {former.record.architecture} of {former.published} ({title}). It has "
        f"learned from {np.count_nonzero(~is_unseen):,} of the {len(test):,} test galaxies; it is "
        f"asked about the other {len(unseen):,}.{doubt.describe()}",
        flush=True,
    )
    probabilities = np.zeros((0, len(former.record.classes)), dtype=np.float32)
    if len(unseen):
        pixels = _prepare(folder / "work", unseen, config, former, images, image_folders)
        probabilities = _predict(former, pixels)
    np.save(folder / PROBABILITIES, probabilities)
    unseen[["galaxy_id"]].to_parquet(folder / GALAXIES, index=False)
    return {
        "evaluation": former.evaluation.key,
        "model": former.model.key,
        "architecture": former.record.architecture,
        "classes": list(former.record.classes),
        "test_galaxies": len(test),
        "galaxies": len(unseen),
        "galaxies_without_place": int(unseen["ra_degrees"].isna().sum()),
        "galaxies_uncertain": doubt.num_uncertain,
        "may_know": doubt.may_know,
    }


def _prepare(
    folder: Path,
    galaxies: pd.DataFrame,
    config: RunConfig,
    former: FormerWinner,
    images: Artifact,
    image_folders: Sequence[Path],
) -> np.ndarray:
    """Return the galaxies as the former winner wants them, (n, its size, its size, 3) uint8."""
    settings = ImageSettings.from_config(former.record.config)
    if settings == ImageSettings.from_config(config):
        prepared = np.load(images.path / "images.npy", mmap_mode="r")
        return prepared[galaxies["row"].to_numpy()]
    folder.mkdir(exist_ok=True)
    table = galaxies[["galaxy_id", "image_name", "label", "split", "release_index"]]
    first, *others = image_folders
    prepare_cutouts(
        folder,
        galaxies=table.assign(label_index=0),
        images_folder=first,
        other_folders=others,
        # All were readable, and none too large, when this run prepared them.
        settings=replace(
            settings, max_source_side_px=max(settings.max_source_side_px, config.max_source_side_px)
        ),
        max_rejected_fraction=0.0,
        workers=config.image_workers,
    )
    return np.load(folder / "images.npy", mmap_mode="r")


def _predict(former: FormerWinner, pixels: np.ndarray) -> np.ndarray:
    from galaxy_tasks.classifier import predict_probabilities

    model = load_classifier(former.model.path)
    batches = (pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH))
    return predict_probabilities(model, batches, views=former.record.config.prediction_views)
