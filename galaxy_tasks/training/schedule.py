"""The learning rate over a training: linear warm-up, then half a cosine to 1 % of the peak.

Loshchilov & Hutter 2016 (arXiv:1608.03983), without restarts; the warm-up is that of Goyal et al.
2017 (arXiv:1706.02677). The rate is computed inside the compiled step: under JAX, Keras' `fit`
reads the optimizer's state once an epoch, so that a rate set by a callback would be ignored.
"""

# Keras declares what its operations return as optional, which it never is.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false

import math

import keras
from keras import ops

from galaxy_tasks.config import RunConfig

_FINAL_SHARE = 0.01


class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of each step.

    It follows the epochs done, not the steps, so that a smaller batch changes nothing. Epoch
    and step are counted in integers, so that a resumed training computes the same bits.
    """

    def __init__(
        self, config: RunConfig, *, steps_per_epoch: int, first_step: int = 0, first_epoch: int = 0
    ) -> None:
        """Count epochs from `first_epoch`, which starts at the optimizer's step `first_step`."""
        self.peak = config.learning_rate
        self.epochs = config.epochs
        self.warmup_epochs = min(config.warmup_epochs, config.epochs / 2)
        self.steps_per_epoch = steps_per_epoch
        self.first_step, self.first_epoch = first_step, first_epoch

    def __call__(self, step):
        """Return the rate of the optimizer's step, counted from 0; a float32 scalar."""
        steps_done = ops.cast(step, "int32") - self.first_step
        epoch = ops.floor_divide(steps_done, self.steps_per_epoch) + self.first_epoch
        steps_of_epoch = ops.mod(steps_done, self.steps_per_epoch)
        epochs_done = (
            ops.cast(epoch, "float32") + ops.cast(steps_of_epoch, "float32") / self.steps_per_epoch
        )
        rising = ops.maximum(epochs_done / max(self.warmup_epochs, 1e-9), _FINAL_SHARE)
        share = (epochs_done - self.warmup_epochs) / max(self.epochs - self.warmup_epochs, 1e-9)
        cosine = 0.5 * (1 + ops.cos(math.pi * ops.minimum(share, 1.0)))
        falling = _FINAL_SHARE + (1 - _FINAL_SHARE) * cosine
        return self.peak * ops.where(epochs_done < self.warmup_epochs, rising, falling)
