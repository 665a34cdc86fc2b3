"""Trains gradient boosting on simple measurements of images, to hold networks against."""

import logging
import time
from typing import Any

from galaxy_tasks.config import parse_config
from galaxy_tasks.formatting import format_duration
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.model_record import MEASUREMENTS, write_test

_logger = logging.getLogger(__name__)


def train_baseline(settings: dict[str, Any], images: dict[str, Any]) -> dict[str, Any]:
    """Train the baseline and return the reference of its test probabilities and measurements."""
    config, prepared = parse_config(settings), Artifact.from_reference(images)
    made_from = cache_keys.baseline_made_from(config, prepared.key)
    with artifacts.open_draft("baselines", made_from) as draft:
        if draft.published:
            return draft.published.as_reference()
        from galaxy_tasks.training.baseline import measure_brightness_and_size, predict_baseline
        from galaxy_tasks.training.galaxies import open_splits

        started = time.monotonic()
        splits = open_splits(prepared.path, config)
        training, test = splits.training, splits.test
        classes = prepared.manifest["summary"]["classes"]
        probabilities = predict_baseline(training, test, num_classes=len(classes), seed=config.seed)
        write_test(draft.path, test, probabilities)
        measured = measure_brightness_and_size(test)
        measured.to_parquet(draft.path / MEASUREMENTS, index=False)
        seconds = time.monotonic() - started
        _logger.info(
            "Gradient boosting learned from %s galaxies in %s.",
            f"{len(training):,}",
            format_duration(seconds),
        )
        return draft.publish({"training_s": seconds}).as_reference()
