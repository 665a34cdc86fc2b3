"""The trainings of an ablation, read from their artifacts and scored on their folds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.ablation import HeldOutScore
from galaxy_tasks.evaluation.candidates import read_candidate
from galaxy_tasks.evaluation.metrics import losses_of
from galaxy_tasks.evaluation.resampling import score_confusions
from galaxy_tasks.storage.artifacts import Artifact, key_of


def read_held_out(model: Artifact, varied: Mapping[str, Any], config: RunConfig) -> HeldOutScore:
    """Return the scores of a training on its fold, which took the place of the test.

    `varied` are the values that it was asked to train with: its record may have others, as where
    classes forbid mirror images.

    The loss is that of calibrated probabilities, as they are served, so that a value is not judged
    by how sure it makes a network before that.
    """
    read = read_candidate(model, config)
    labels, predictions = read.tested.labels, read.answers.decisive.argmax(axis=1)
    classes = np.arange(len(read.record.classes))
    scores = score_confusions(confusion_matrix(labels, predictions, labels=classes))
    return HeldOutScore(
        varied=varied,
        architecture=read.architecture,
        fold=model.manifest["made_from"]["fold"][0],
        galaxies=key_of({"galaxies": read.galaxies["galaxy_id"].tolist()}),
        num_training=read.record.num_training,
        loss=float(losses_of(read.answers.calibrated, labels).mean()),
        macro_f1=float(scores["macro_f1"]),
        accuracy=float(scores["accuracy"]),
    )
