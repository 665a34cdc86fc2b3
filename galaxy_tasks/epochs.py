"""One epoch of a training: fit, then score on the validation galaxies."""

import math
import time

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, log_loss

from galaxy_tasks.checkpoints import TrainingState
from galaxy_tasks.classifier import predict_probabilities
from galaxy_tasks.config import RunConfig
from galaxy_tasks.dataset import Galaxies, class_weights, epoch_order, make_epoch
from galaxy_tasks.errors import InputError
from galaxy_tasks.schedule import LearningRateSetter


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
    probabilities = predict_probabilities(model, batches, views=1).astype(np.float64)
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
