"""Trains one network on the prepared images: compile, fit, checkpoint, resume, predict.

Every epoch ends with the validation scores, one line in the log and a checkpoint, so a training
that is killed goes on from its last epoch. Kept are the weights at the end of the best stretch of
epochs by validation macro-F1, see `checkpoints.SMOOTHING_EPOCHS`.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.checkpoints import (
    TrainingState,
    load_best,
    load_checkpoint,
    save_checkpoint,
)
from galaxy_tasks.classifier import build_classifier, predict_probabilities
from galaxy_tasks.config import Architecture, RunConfig
from galaxy_tasks.dataset import Galaxies, open_galaxies
from galaxy_tasks.devices import Device, is_out_of_memory
from galaxy_tasks.epochs import check_finite, run_epoch
from galaxy_tasks.errors import ResourceError


@dataclass(frozen=True)
class TrainedModel:
    """A finished training: the model with its best weights, and what there is to tell of it."""

    model: keras.Model
    state: TrainingState
    test_probabilities: NDArray[np.float32]
    test: Galaxies
    images_per_s: float
    device: str
    """What it was trained on, and how."""
    weights_from: str = ""
    """Key of the model that was trained, where this is that one, asked in other views."""


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
    model = build_classifier(architecture, config=config, num_classes=len(classes))
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
    probabilities = predict_test(model, state=state, config=config, test=test)
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
    model: keras.Model, *, state: TrainingState, config: RunConfig, test: Galaxies
) -> NDArray[np.float32]:
    """Return the probabilities of the test galaxies, (n, classes) float32.

    The batch is halved where the device's memory does not hold it.

    Raises:
        InputError: they are not finite.
        ResourceError: one galaxy at a time is still too much for the device's memory.
    """
    batch_size = state.batch_size
    while True:
        try:
            batches = test.image_batches(batch_size)
            probabilities = predict_probabilities(model, batches, views=config.prediction_views)
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
