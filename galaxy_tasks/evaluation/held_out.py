"""The trainings of an ablation, read from their artifacts and scored on their folds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.ablation import HeldOutScore
from galaxy_tasks.evaluation.calibration import fit_calibration
from galaxy_tasks.evaluation.metrics import losses_of
from galaxy_tasks.evaluation.resampling import score_confusions
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.model_record import (
    CALIBRATION_GALAXIES,
    CALIBRATION_PROBABILITIES,
    TEST_GALAXIES,
    TEST_PROBABILITIES,
    read_record,
)


def read_held_out(model: Artifact, varied: Sequence[str], config: RunConfig) -> HeldOutScore:
    """Return the scores of a training on its fold; its files are checked against the manifest.

    The loss is that of calibrated probabilities, as they are served, so that a value is not judged
    by how sure it makes a network before that.
    """
    artifacts.verify(model)
    record = read_record(model.path)
    probabilities, calibration = (
        np.load(model.path / name)[: config.test_time_augmentation]
        for name in (TEST_PROBABILITIES, CALIBRATION_PROBABILITIES)
    )
    labels, calibration_labels = (
        pd.read_parquet(model.path / name)["label_index"].to_numpy()
        for name in (TEST_GALAXIES, CALIBRATION_GALAXIES)
    )
    calibrate = fit_calibration(
        calibration, labels=calibration_labels, class_weights=record.class_weights
    )
    predictions = probabilities.mean(axis=0, dtype=np.float64).argmax(axis=1)
    confusion = np.zeros((len(record.classes),) * 2, dtype=np.int64)
    np.add.at(confusion, (labels, predictions), 1)
    scores = score_confusions(confusion)
    return HeldOutScore(
        varied={name: record.settings[name] for name in varied},
        architecture=record.architecture,
        fold=model.manifest["made_from"]["fold"][0],
        num_training=record.num_training,
        loss=float(losses_of(calibrate.apply(probabilities), labels).mean()),
        macro_f1=float(scores["macro_f1"]),
        accuracy=float(scores["accuracy"]),
    )
