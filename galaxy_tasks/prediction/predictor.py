"""A model's answers for any number of images, in batches that the device has memory for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.prediction.calibration import Answers, Calibration
from galaxy_tasks.training.device import halve_batch
from galaxy_tasks.training.vote_head import VoteHead, find_probabilities

if TYPE_CHECKING:
    import keras


@dataclass
class Predictor:
    """A model, and how it predicts."""

    model: "keras.Model"
    calibration: Calibration
    orientations: int
    """How many the probabilities are averaged over."""
    votes: VoteHead | None = None
    """What the outputs mean where the model learned votes."""
    batch_size: int = 256
    """Halved, for all that follows, while the device's memory is too small."""

    def predict(self, images: NDArray[np.uint8]) -> Answers:
        """Return what the model says of images (n, size, size, 3).

        Raises:
            ResourceError: a batch of one image is still too much for the device's memory.
        """
        from galaxy_tasks.networks.classifier import predict_logits

        while True:
            size = self.batch_size
            batches = (images[start : start + size] for start in range(0, len(images), size))
            try:
                logits = predict_logits(self.model, batches, orientations=self.orientations)
            except Exception as error:
                self.batch_size = halve_batch(size, error)
            else:
                return self.calibration.answer(find_probabilities(logits, self.votes))
