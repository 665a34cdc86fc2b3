"""What a finished training hands on, before it is on disk."""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.training.checkpoints import TrainingState
from galaxy_tasks.training.galaxies import Galaxies
from galaxy_tasks.training.model_record import HeatMaps
from galaxy_tasks.training.vote_head import VoteHead


@dataclass(frozen=True)
class Predicted:
    """Galaxies and the model's probabilities of them, (orientations, galaxies, classes)."""

    galaxies: Galaxies
    probabilities: NDArray[np.float32]
    concentrations: NDArray[np.float64] | None
    """Where it learned votes: (orientations, galaxies, answers)."""


@dataclass(frozen=True)
class TrainedModel:
    """A finished training: the model with its best weights, and how it came about."""

    model: keras.Model
    """Not compiled: it holds no state of the optimizer."""
    state: TrainingState
    test: Predicted
    calibration: Predicted
    """Of the validation galaxies that took no part in early stopping."""
    heat_maps: HeatMaps
    """Of some test galaxies, see `choose_explained`; of none where it learned votes."""
    votes: VoteHead | None
    """What its outputs mean where it learned votes."""
    class_weights: tuple[float, ...]
    """How much more each class counted than its galaxies; all 1 without class balance."""
    num_training: int
    """Galaxies that it learned from."""
    images_per_s: float
    device: str
    """What it was trained on, and how."""
