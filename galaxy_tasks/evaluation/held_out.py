"""The trainings of an ablation, read from their artifacts and scored on their folds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.ablation import HeldOutScore
from galaxy_tasks.evaluation.metrics import losses_of
from galaxy_tasks.evaluation.resampling import score_confusions
from galaxy_tasks.prediction.calibration import calibrate_model
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.model_record import read_record, read_test


def read_held_out(model: Artifact, varied: Mapping[str, Any], config: RunConfig) -> HeldOutScore:
    """Return the scores of a training on its fold; its files are checked against the manifest.

    `varied` are the values that it was asked to train with: its record may have others, as where
    classes forbid mirror images.

    The loss is that of calibrated probabilities, as they are served, so that a value is not judged
    by how sure it makes a network before that.
    """
    artifacts.verify(model)
    record, count = read_record(model.path), config.test_time_augmentation
    tested = read_test(model.path, orientations=count)
    calibration = calibrate_model(model.path, record, orientations=count, coverage=config.coverage)
    answers = calibration.answer(tested.probabilities)
    confusion = np.zeros((len(record.classes),) * 2, dtype=np.int64)
    np.add.at(confusion, (tested.labels, answers.decisive.argmax(axis=1)), 1)
    scores = score_confusions(confusion)
    return HeldOutScore(
        varied=varied,
        architecture=record.architecture,
        fold=model.manifest["made_from"]["fold"][0],
        galaxies=artifacts.key_of({"galaxies": tested.galaxies["galaxy_id"].tolist()}),
        num_training=record.num_training,
        loss=float(losses_of(answers.calibrated, tested.labels).mean()),
        macro_f1=float(scores["macro_f1"]),
        accuracy=float(scores["accuracy"]),
    )
