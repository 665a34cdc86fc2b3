"""One epoch of a training: fit, then the scores of the validation galaxies."""

import logging
import math
import time
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, log_loss

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.formatting import format_duration
from galaxy_tasks.networks.classifier import predict_logits
from galaxy_tasks.training.checkpoints import TrainingState
from galaxy_tasks.training.dataset import (
    EpochBatches,
    balance_weights,
    count_steps,
    epoch_order,
    find_balance,
)
from galaxy_tasks.training.device import Device
from galaxy_tasks.training.galaxies import Galaxies
from galaxy_tasks.training.schedule import WarmupCosine
from galaxy_tasks.training.transfer import make_optimizer
from galaxy_tasks.training.vote_head import VoteHead, find_probabilities
from galaxy_tasks.training.vote_loss import LOSSES

PROGRESS_EVERY_S = 60.0
_logger = logging.getLogger(__name__)


class _ProgressLog(keras.callbacks.Callback):
    """Logs once a minute how far an epoch is, so that a long one does not look like a dead one."""

    async_safe = True  # it asks for no score, for which the device would have to be waited for

    def __init__(self, name: str, *, num_batches: int) -> None:
        super().__init__()
        self._name, self._num_batches = name, num_batches
        self._started = self._logged = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now, done = time.monotonic(), batch + 1
        if now - self._logged < PROGRESS_EVERY_S or done >= self._num_batches:
            return
        self._logged = now
        left = format_duration((now - self._started) / done * (self._num_batches - done))
        _logger.info("%s  %d of %d batches, %s left", self._name, done, self._num_batches, left)


def compile_model(
    model: keras.Model, *, config: RunConfig, device: Device, votes: VoteHead | None = None
) -> None:
    """Give a model its loss, its metrics and AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101).

    `votes` says what its outputs mean where it learns votes, which have no metrics.
    """
    rate: Any = WarmupCosine(config, steps_per_epoch=1)
    optimizer = make_optimizer(
        model, rate, weight_decay=config.weight_decay, trunk_rate=config.trunk_rate
    )
    model.compile(
        optimizer=optimizer,
        loss=_make_loss(config, votes),
        metrics=None if votes else _make_metrics(model.output_shape[-1]),
        jit_compile=device.is_xla,  # pyright: ignore[reportArgumentType]
    )
    model.optimizer.build(model.trainable_variables)


def _make_loss(config: RunConfig, votes: VoteHead | None) -> keras.losses.Loss:
    if votes:
        return LOSSES[config.target](votes)
    return keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=config.label_smoothing
    )


def _make_metrics(num_classes: int) -> list[keras.metrics.Metric]:
    # A metric makes its variables at its first update. Inside the first step, TensorFlow would
    # therefore trace the step twice: some twenty seconds more for a DenseNet-121 on a processor.
    macro_f1 = keras.metrics.F1Score(average="macro", name="macro_f1")
    macro_f1.update_state(*[np.zeros((1, num_classes), np.float32)] * 2)
    return [keras.metrics.CategoricalAccuracy(name="accuracy"), macro_f1]


def schedule_learning_rate(
    model: keras.Model, *, config: RunConfig, state: TrainingState, num_galaxies: int
) -> None:
    """Let the learning rate go on from where the optimizer is, in steps of the state's batch."""
    model.optimizer.learning_rate = WarmupCosine(
        config,
        steps_per_epoch=count_steps(num_galaxies, state.batch_size),
        first_step=int(model.optimizer.iterations),
        first_epoch=state.epoch,
    )
    model.train_function = None  # it was compiled with the rates of before


def run_epoch(
    model: keras.Model,
    *,
    state: TrainingState,
    config: RunConfig,
    training: Galaxies,
    validation: Galaxies,
    votes: VoteHead | None = None,
) -> TrainingState:
    """Train the compiled model for the epoch after `state` and return the state after it.

    Its record has loss (nats), accuracy and macro_f1 of the training galaxies while they were
    learned, the same with val_ of the validation galaxies after the epoch, learning_rate (at its
    end), images, images_per_s, fit_seconds and seconds. With `votes` losses are those of votes,
    and what was learned has neither accuracy nor macro_f1.

    Raises:
        InputError: a class without training galaxies, or a number that is not finite.
    """
    started = time.monotonic()
    record = _fit(model, state=state, config=config, training=training)
    fit_seconds = time.monotonic() - started
    record |= validate(model, state=state, config=config, validation=validation, votes=votes)
    record |= {
        "epoch": state.epoch + 1,
        "images_per_s": record["images"] / fit_seconds,
        "fit_seconds": fit_seconds,
        "seconds": time.monotonic() - started,
    }
    # Of votes the loss says more than macro-F1, which hangs on few galaxies of rare classes.
    return state.after_epoch(record, by="loss" if votes else "macro_f1")


def _fit(
    model: keras.Model, *, state: TrainingState, config: RunConfig, training: Galaxies
) -> dict[str, float]:
    """Return loss, accuracy, macro_f1, learning_rate and images of one pass."""
    num_classes = model.output_shape[-1] if training.votes is None else training.labels.max() + 1
    batches = _gather_batches(training, state=state, config=config, num_classes=num_classes)
    # Keras would shuffle the batches with a random state that no checkpoint holds.
    epoch = state.epoch + 1
    progress = _ProgressLog(f"epoch {epoch:3d}/{config.epochs}", num_batches=len(batches))
    scores = model.fit(batches, shuffle=False, verbose=0, callbacks=[progress]).history  # pyright: ignore[reportArgumentType]
    record = {name: float(values[0]) for name, values in scores.items()}
    check_finite(record["loss"], what="The loss", epoch=epoch, config=config)
    # The last update may have gone wrong after a finite mean loss.
    sums = [float(np.sum(weight)) for weight in model.get_weights()]
    check_finite(sum(sums), what="The sum of the weights", epoch=epoch, config=config)
    return {
        **record,
        "learning_rate": float(model.optimizer.learning_rate),
        "images": len(batches) * batches.batch_size,
    }


def _gather_batches(
    training: Galaxies, *, state: TrainingState, config: RunConfig, num_classes: int
) -> EpochBatches:
    """Return the batches of the epoch after `state`."""
    weights = balance_weights(training.labels, num_classes, config)
    is_sampling = find_balance(config) == "sampling"
    order = epoch_order(
        training.labels,
        seed=config.seed,
        epoch=state.epoch,
        galaxy_weights=weights[training.labels] if is_sampling else None,
    )
    return EpochBatches(
        training,
        order=order,
        batch_size=state.batch_size,
        num_classes=num_classes,
        loss_weights=np.ones(num_classes) if is_sampling else weights,
    )


def check_finite(value: float, *, what: str, epoch: int, config: RunConfig) -> None:
    """Raise InputError for a number that the training has brought out of bounds."""
    if not math.isfinite(value):
        raise InputError(
            f"{what} became {value} in epoch {epoch}. Lower learning_rate (now "
            f"{config.learning_rate:g}) or set precision to float32."
        )


def validate(
    model: keras.Model,
    *,
    state: TrainingState,
    config: RunConfig,
    validation: Galaxies,
    votes: VoteHead | None = None,
) -> dict[str, float]:
    """Return val_loss (nats, without smoothing or weights), val_accuracy and val_macro_f1.

    With `votes` the loss is that of the votes.
    """
    batches = validation.image_batches(state.batch_size)
    logits = predict_logits(model, batches, orientations=1)[0]
    probabilities = find_probabilities(logits, votes).astype(np.float64)
    # Finite weights can give more than float16 holds, and so no probabilities.
    total = float(probabilities.sum())
    check_finite(total, what="The sum of the probabilities", epoch=state.epoch + 1, config=config)
    scores = _score(validation.labels, probabilities / probabilities.sum(axis=1, keepdims=True))
    if votes and validation.votes is not None:
        losses = _make_loss(config, votes).call(validation.votes[validation.rows], logits)
        scores["val_loss"] = float(np.asarray(losses).mean())
    return scores


def _score(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, float]:
    classes = list(range(probabilities.shape[1]))
    predicted = probabilities.argmax(axis=1)
    return {
        "val_loss": float(log_loss(labels, probabilities, labels=classes)),
        "val_accuracy": float(accuracy_score(labels, predicted)),
        "val_macro_f1": float(f1_score(labels, predicted, labels=classes, average="macro")),
    }
