"""Trains one network on the prepared images: compile, fit, checkpoint, resume, predict.

Every epoch ends with the validation scores, one line in the log and a checkpoint, so a training
that is killed goes on from its last epoch. Kept are the weights at the end of the best stretch of
epochs by validation macro-F1, see `checkpoints.SMOOTHING_EPOCHS`.
"""

import math
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, log_loss

from galaxy_tasks.config import Architecture, RunConfig
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.networks.classifier import build_classifier, predict_probabilities
from galaxy_tasks.releases.morphology import is_handed
from galaxy_tasks.training.checkpoints import (
    TrainingState,
    load_best,
    load_checkpoint,
    save_checkpoint,
)
from galaxy_tasks.training.dataset import (
    Galaxies,
    class_weights,
    epoch_order,
    make_epoch,
    open_galaxies,
)
from galaxy_tasks.training.device import Device, is_out_of_memory
from galaxy_tasks.training.published_weights import fetch_imagenet_weights

# The learning rate over a training: linear warm-up, then a half cosine.


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


# One epoch of a training: fit, then score on the validation galaxies.


def run_epoch(
    model: keras.Model,
    *,
    state: TrainingState,
    config: RunConfig,
    training: Galaxies,
    validation: Galaxies,
) -> TrainingState:
    """Train the compiled model for the epoch after `state` and return the state after it.

    Its record has loss (nats), accuracy and macro_f1 of the training galaxies while they were
    learned, the same with val_ of the validation galaxies after the epoch, learning_rate, images,
    images_per_s, fit_seconds and seconds.

    Raises:
        InputError: a class without training galaxies, or a number that is not finite.
    """
    started = time.monotonic()
    record = _fit(model, state=state, config=config, training=training)
    fit_seconds = time.monotonic() - started
    record |= _validate(model, state=state, config=config, validation=validation)
    record |= {
        "epoch": state.epoch + 1,
        "images_per_s": record["images"] / fit_seconds,
        "fit_seconds": fit_seconds,
        "seconds": time.monotonic() - started,
    }
    return state.after_epoch(record)


def _fit(
    model: keras.Model, *, state: TrainingState, config: RunConfig, training: Galaxies
) -> dict[str, float]:
    """Return loss, accuracy, macro_f1, learning_rate (the last) and images of one pass."""
    num_classes = model.output_shape[-1]
    weights = class_weights(training.labels, num_classes, config.class_balance_power)
    is_sampling = config.class_balance == "sampling"
    order = epoch_order(
        training.labels,
        seed=config.seed,
        epoch=state.epoch,
        galaxy_weights=weights[training.labels] if is_sampling else None,
    )
    dataset = make_epoch(
        training,
        order=order,
        batch_size=state.batch_size,
        num_classes=num_classes,
        loss_weights=weights if config.class_balance == "weights" else np.ones(num_classes),
    )
    rate = LearningRateSetter(config, epoch=state.epoch, num_batches=len(dataset))
    scores = model.fit(
        dataset,
        shuffle=False,
        verbose=0,  # pyright: ignore[reportArgumentType]
        callbacks=[rate],
    ).history
    epoch = state.epoch + 1
    record = {name: float(scores[name][0]) for name in ("loss", "accuracy", "macro_f1")}
    check_finite(record["loss"], what="The loss", epoch=epoch, config=config)
    # The last update may have gone wrong after a finite mean loss.
    sums = [float(np.sum(weight)) for weight in model.get_weights()]
    check_finite(sum(sums), what="The sum of the weights", epoch=epoch, config=config)
    num_images = len(dataset) * min(state.batch_size, len(order))
    return {**record, "learning_rate": rate.last, "images": num_images}


def check_finite(value: float, *, what: str, epoch: int, config: RunConfig) -> None:
    """Raise InputError for a number that the training has brought out of bounds."""
    if not math.isfinite(value):
        raise InputError(
            f"{what} became {value} in epoch {epoch}. Lower learning_rate (now "
            f"{config.learning_rate:g}) or set precision to float32."
        )


def _validate(
    model: keras.Model, *, state: TrainingState, config: RunConfig, validation: Galaxies
) -> dict[str, float]:
    """Return val_loss (nats, without smoothing or weights), val_accuracy and val_macro_f1."""
    batches = validation.image_batches(state.batch_size)
    probabilities = predict_probabilities(model, batches, orientations=1)[0].astype(np.float64)
    # Finite weights can give more than float16 holds, and so no probabilities.
    total = float(probabilities.sum())
    check_finite(total, what="The sum of the probabilities", epoch=state.epoch + 1, config=config)
    return _score(validation.labels, probabilities / probabilities.sum(axis=1, keepdims=True))


def _score(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, float]:
    classes = list(range(probabilities.shape[1]))
    predicted = probabilities.argmax(axis=1)
    return {
        "val_loss": float(log_loss(labels, probabilities, labels=classes)),
        "val_accuracy": float(accuracy_score(labels, predicted)),
        "val_macro_f1": float(f1_score(labels, predicted, labels=classes, average="macro")),
    }


@dataclass(frozen=True)
class TrainedModel:
    """A finished training: the model with its best weights, and what there is to tell of it."""

    model: keras.Model
    state: TrainingState
    test_probabilities: NDArray[np.float32]
    """(orientations, galaxies, classes)."""
    test: Galaxies
    images_per_s: float
    device: str
    """What it was trained on, and how."""


def train_classifier(
    images_folder: Path,
    *,
    architecture: Architecture,
    config: RunConfig,
    classes: Sequence[str],
    device: Device,
    folder: Path,
) -> TrainedModel:
    """Train until the last epoch or until patience ends, and predict the test split.

    Args:
        images_folder: folder of a published images artifact.
        folder: where checkpoints are kept; one that is there is gone on from. The caller
            removes the last when the model is safe.

    Raises:
        InputError: a class without training galaxies, or a loss or probabilities that are not
            finite.
        ResourceError: one galaxy at a time is still too much for the device's memory.
    """
    training, validation, test = (
        open_galaxies(images_folder, split) for split in ("train", "validation", "test")
    )
    model = build_classifier(
        architecture,
        config=config,
        num_classes=len(classes),
        weights_file=(
            fetch_imagenet_weights(architecture) if config.weights == "imagenet" else None
        ),
    )
    _compile(model, config=config, device=device)
    counts = f"{len(training):,} training and {len(validation):,} validation galaxies"
    print(
        f"Training {architecture}: {model.count_params():,} parameters, {counts} at "
        f"{config.image_size_px} px, batches of {config.batch_size}, at most {config.epochs} "
        f"epochs.\nRunning on {device.describe()}"
        f"{', deterministic' if config.deterministic else ''}, host {platform.node()}.",
        flush=True,
    )
    state = _restore(model, config=config, folder=folder)
    while not _is_finished(state, config):
        state = _run_epoch_safely(
            model,
            state=state,
            config=config,
            training=training,
            validation=validation,
            folder=folder,
        )
        print(_describe_epoch(state, config), flush=True)
    _tell_early_stop(state, config)
    load_best(folder, model=_variables(model))
    probabilities = predict_test(
        model,
        state=state,
        config=config,
        test=test,
        orientations=4 if is_handed(classes) else 8,
    )
    fit_s = sum(record["fit_seconds"] for record in state.history)
    images_per_s = sum(record["images"] for record in state.history) / fit_s
    return TrainedModel(model, state, probabilities, test, images_per_s, device.describe())


def _compile(model: keras.Model, *, config: RunConfig, device: Device) -> None:
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
    # Biases and normalisation have no scale to shrink (Loshchilov & Hutter 2019 decay weights).
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=config.label_smoothing
        ),
        metrics=["accuracy", keras.metrics.F1Score(average="macro", name="macro_f1")],
        jit_compile=device.is_xla,  # pyright: ignore[reportArgumentType]
    )
    model.optimizer.build(model.trainable_variables)


def _variables(model: keras.Model) -> list:
    """Return weights, statistics and states of random generators, but no metric's variables."""
    of_metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in of_metrics]


def _restore(model: keras.Model, *, config: RunConfig, folder: Path) -> TrainingState:
    variables, optimizer = _variables(model), model.optimizer.variables
    state = load_checkpoint(folder, model=variables, optimizer=optimizer)
    if state is not None:
        print(f"Going on after epoch {state.epoch} from the checkpoint.", flush=True)
        return state
    state = TrainingState(epoch=0, batch_size=config.batch_size)
    save_checkpoint(folder, state, model=variables, optimizer=optimizer)
    return state


def _is_finished(state: TrainingState, config: RunConfig) -> bool:
    is_stale = state.epoch - state.best_epoch >= config.early_stopping_patience_epochs
    return state.epoch >= config.epochs or is_stale


def _run_epoch_safely(
    model: keras.Model,
    *,
    state: TrainingState,
    config: RunConfig,
    training: Galaxies,
    validation: Galaxies,
    folder: Path,
) -> TrainingState:
    """Run one epoch and save it; halve the batch when the device's memory does not hold it."""
    data = {"config": config, "training": training, "validation": validation}
    try:
        done = run_epoch(model, state=state, **data)
    except Exception as error:
        halved = replace(state, batch_size=_halve(state.batch_size, error))
        load_checkpoint(folder, model=_variables(model), optimizer=model.optimizer.variables)
        return _run_epoch_safely(model, state=halved, folder=folder, **data)
    save_checkpoint(folder, done, model=_variables(model), optimizer=model.optimizer.variables)
    return done


def _tell_early_stop(state: TrainingState, config: RunConfig) -> None:
    if state.epoch < config.epochs:
        print(
            f"Stopped: no better validation macro-F1 for {config.early_stopping_patience_epochs} "
            f"epochs. Best: epoch {state.best_epoch}.",
            flush=True,
        )


def predict_test(
    model: keras.Model,
    *,
    state: TrainingState,
    config: RunConfig,
    test: Galaxies,
    orientations: int,
) -> NDArray[np.float32]:
    """Return the probabilities of the test galaxies, (orientations, n, classes) float32.

    The batch is halved where the device's memory does not hold it.

    Raises:
        InputError: they are not finite.
        ResourceError: one galaxy at a time is still too much for the device's memory.
    """
    batch_size = state.batch_size
    while True:
        try:
            batches = test.image_batches(batch_size)
            probabilities = predict_probabilities(model, batches, orientations=orientations)
            break
        except Exception as error:
            batch_size = _halve(batch_size, error)
    what, total = "The sum of the test's probabilities", float(probabilities.sum())
    check_finite(total, what=what, epoch=state.best_epoch, config=config)
    return probabilities


def _halve(batch_size: int, error: Exception) -> int:
    """Return half the batch if the error is that memory ran out, and raise otherwise."""
    if not is_out_of_memory(error):
        raise error
    if batch_size == 1:
        raise ResourceError(
            "The device has too little memory for a batch of one galaxy. "
            "Choose a smaller image_size_px or a smaller network."
        ) from error
    halved = batch_size // 2
    print(f"Out of memory with batches of {batch_size}: going on with {halved}.", flush=True)
    return halved


def _describe_epoch(state: TrainingState, config: RunConfig) -> str:
    """Return the log line of the last epoch."""
    record = state.history[-1]
    left_s = (config.epochs - state.epoch) * state.seconds / state.epoch
    best = " (best)" if state.best_epoch == state.epoch else ""
    return (
        f"epoch {state.epoch:3d}/{config.epochs}  "
        f"train: loss {record['loss']:.4f} accuracy {record['accuracy']:.4f} "
        f"macro-F1 {record['macro_f1']:.4f}  "
        f"validation: loss {record['val_loss']:.4f} accuracy {record['val_accuracy']:.4f} "
        f"macro-F1 {record['val_macro_f1']:.4f}{best}  "
        f"{record['images_per_s']:.1f} images/s  {record['seconds']:.1f} s, "
        f"at most {left_s / 60:.1f} min left, learning rate {record['learning_rate']:.2e}"
    )
