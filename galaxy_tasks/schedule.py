"""The learning rate over a training: linear warm-up, then a half cosine."""

import math

import keras

from galaxy_tasks.config import RunConfig


def learning_rate_at(progress_epochs: float, config: RunConfig) -> float:
    """Return the learning rate after so many epochs: linear warm-up, then a half cosine to 1 %.

    It depends on the share of the training done and not on the batch size, which may be halved.
    """
    warmup = min(config.warmup_epochs, config.epochs / 2)
    if progress_epochs < warmup:
        return config.learning_rate * max(progress_epochs / warmup, 0.01)
    share = (progress_epochs - warmup) / max(config.epochs - warmup, 1e-9)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


class LearningRateSetter(keras.callbacks.Callback):
    """Sets the learning rate before every batch."""

    def __init__(self, config: RunConfig, *, epoch: int, num_batches: int) -> None:
        """Prepare for one epoch, counted from 0, of so many batches."""
        super().__init__()
        self.config, self.epoch, self.num_batches = config, epoch, num_batches
        self.last = 0.0

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Set the rate; `last` remembers it for the log."""
        self.last = learning_rate_at(self.epoch + batch / self.num_batches, self.config)
        assert self.model is not None  # Keras sets it before any batch
        self.model.optimizer.learning_rate = self.last
