"""Predicts this run's test galaxies with the champion, but for those that it learned from.

Their images are prepared as the champion's own were. This runs where the trainings run.
"""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.champion import (
    CALIBRATED,
    GALAXIES,
    PROBABILITIES,
    Champion,
    assess_doubt,
    find_unseen,
    has_evaluated,
    open_champion,
    read_galaxies,
    read_known,
)
from galaxy_tasks.images.batch import prepare_cutouts
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.prediction.calibration import Answers
from galaxy_tasks.prediction.calibration_fit import calibrate_model
from galaxy_tasks.prediction.predictor import Predictor
from galaxy_tasks.registry.champions import find_champion, find_newest_champion
from galaxy_tasks.registry.models import Version, kind_of, name_model
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.cache_keys import ReleaseFiles
from galaxy_tasks.training.ancestry import trace_related
from galaxy_tasks.training.device import set_up_device
from galaxy_tasks.training.saved_model import load_classifier
from galaxy_tasks.training.vote_head import read_vote_head

_BATCH = 64
_logger = logging.getLogger(__name__)


def predict_champion(
    settings: dict[str, Any],
    release_files: dict[str, Any],
    labels: dict[str, str],
    images: dict[str, str],
) -> dict[str, Any]:
    """Predict with the champion of these classes, or with that of other classes where it is new.

    The result has predictions, the reference of the champion's predictions for this run's test
    galaxies (None without a champion), and is_first: whether no champion knows these classes.

    Raises:
        InputError: the champion's artifacts are gone or were changed.
        ResourceError: the registry cannot be read.
    """
    config, prepared = parse_config(settings), Artifact.from_reference(images)
    named = Artifact.from_reference(labels)
    name = name_model(config, sorted(named.manifest["summary"]["classes"]))
    with open_store() as client:
        version = find_champion(client, name)
        is_first = version is None
        if version and (opponent := _find_first_opponent(config, prepared, version)):
            return opponent
        version = version or find_newest_champion(client, kind_of(config))
    if version is None:
        _logger.info("No model is champion yet: there is nothing to compare with.")
        return {"predictions": None, "is_first": True}
    predictions = _publish(
        config, _open(version), named, prepared, ReleaseFiles(**release_files).parts()
    )
    return {"predictions": predictions.as_reference(), "is_first": is_first}


def _publish(
    config: RunConfig,
    champion: Champion,
    labels: Artifact,
    images: Artifact,
    releases: Sequence[ReleaseFiles],
) -> Artifact:
    """Predict the test galaxies that the champion has not learned from, and publish that."""
    made_from = cache_keys.predictions_made_from(
        config,
        images_key=images.key,
        evaluation_key=champion.evaluation.key,
        model_key=champion.model.key,
        test_time_augmentation=champion.test_time_augmentation,
    )
    with artifacts.open_draft("predictions", made_from) as draft:
        if draft.published:
            return draft.published
        set_up_device(champion.record.config)
        unseen, summary = _choose_galaxies(config, champion, labels=labels, images=images)
        _write_predictions(
            *(draft.path, unseen, config),
            champion=champion,
            images=images,
            image_folders=[Path(part.images) for part in releases],
        )
        return draft.publish(summary)


def _find_first_opponent(
    config: RunConfig, images: Artifact, champion: Version
) -> dict[str, Any] | None:
    """Return whom this run has met when the champion was its own challenger; None if it is not.

    So a run that is repeated finds its work done, and is not compared with itself.
    """
    if not has_evaluated(champion.facts.evaluation, config, images.key):
        return None
    made_from = champion.evaluation.manifest["made_from"]
    key, is_first = made_from["predictions"], made_from["is_first"]
    predictions = artifacts.get("predictions", key).as_reference() if key else None
    return {"predictions": predictions, "is_first": is_first}


def _open(version: Version) -> Champion:
    try:
        champion = open_champion(version.facts.evaluation, version.facts.model)
        trace_related(champion.record.config)  # what these learned from has to be known, too
        return champion
    except InputError as error:
        raise InputError(
            f"The champion, {version.title}, cannot be used: {error} Restore it, or make another "
            f"version champion: galaxy-morphology models promote {version.name} VERSION"
        ) from None


def _choose_galaxies(
    config: RunConfig, champion: Champion, *, labels: Artifact, images: Artifact
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the test galaxies that the champion has not learned from, and the summary of them."""
    galaxies = read_galaxies(labels, images)
    test = galaxies[galaxies["split"] == "test"].sort_values("galaxy_id", ignore_index=True)
    theirs = read_known(champion)
    is_unseen = find_unseen(test, theirs, radius_arcsec=config.match_radius_arcsec)
    unseen = test[is_unseen].reset_index(drop=True)
    doubt = assess_doubt(config, champion.record.config, unseen, theirs)
    _logger.info(
        "%s",
        f"Champion: {champion.record.architecture} of {champion.published} "
        f"({champion.record.config.release_title}). It learned from "
        f"{np.count_nonzero(~is_unseen):,} of the {len(test):,} test galaxies, and is compared on "
        f"the other {len(unseen):,}.{doubt.describe()}",
    )
    return unseen, {
        "evaluation": champion.evaluation.key,
        "model": champion.model.key,
        "architecture": champion.record.architecture,
        "classes": list(champion.record.classes),
        "test_galaxies": len(test),
        "galaxies": len(unseen),
        "galaxies_without_place": int(unseen["ra_degrees"].isna().sum()),
        "galaxies_uncertain": doubt.num_uncertain,
        "may_know": doubt.may_know,
    }


def _write_predictions(
    folder: Path,
    galaxies: pd.DataFrame,
    config: RunConfig,
    *,
    champion: Champion,
    images: Artifact,
    image_folders: Sequence[Path],
) -> None:
    """Write the champion's probabilities, as they decide and calibrated, and the galaxies' ids.

    Probabilities are (galaxies, its classes); all files are empty without galaxies. `image_folders`
    are those of each release's source images, by release_index.
    """
    decisive = calibrated = np.zeros((0, len(champion.record.classes)))
    if len(galaxies):
        work = folder / "work"
        pixels = _prepare(work, galaxies, config, champion, images, image_folders)
        answers = _predict(champion, pixels, coverage=config.coverage)
        decisive, calibrated = answers.decisive, answers.calibrated
        shutil.rmtree(work, ignore_errors=True)
    np.save(folder / PROBABILITIES, decisive)
    np.save(folder / CALIBRATED, calibrated)
    galaxies[["galaxy_id"]].to_parquet(folder / GALAXIES, index=False)


def _prepare(
    folder: Path,
    galaxies: pd.DataFrame,
    config: RunConfig,
    champion: Champion,
    images: Artifact,
    image_folders: Sequence[Path],
) -> np.ndarray:
    """Return the galaxies as the champion wants them, (n, its size, its size, 3) uint8."""
    settings = ImageSettings.from_config(champion.record.config)
    if settings == ImageSettings.from_config(config):
        prepared = np.load(images.path / "images.npy", mmap_mode="r")
        return prepared[galaxies["row"].to_numpy()]
    folder.mkdir(exist_ok=True)
    table = galaxies[["galaxy_id", "image_name", "label", "split", "release_index"]]
    prepare_cutouts(
        folder,
        galaxies=table.assign(label_index=0),
        image_folders=image_folders,
        # All were readable, and none too large, when this run prepared them.
        settings=replace(
            settings, max_source_side_px=max(settings.max_source_side_px, config.max_source_side_px)
        ),
        max_rejected_fraction=0.0,
        workers=config.image_workers,
    )
    return np.load(folder / "images.npy", mmap_mode="r")


def _predict(champion: Champion, pixels: np.ndarray, *, coverage: float) -> Answers:
    orientations = min(champion.test_time_augmentation, champion.record.orientations)
    calibration = calibrate_model(
        champion.model.path, champion.record, orientations=orientations, coverage=coverage
    )
    model = load_classifier(champion.model.path)
    votes = read_vote_head(champion.model.path)
    return Predictor(model, calibration, orientations, votes, batch_size=_BATCH).predict(pixels)
