"""Trains one network on the prepared images: fit, checkpoint, resume, predict.

Every epoch ends with the validation scores, one line in the log and a checkpoint, so a training
that is killed goes on from its last epoch. Kept are the weights at the end of the best stretch of
epochs by validation macro-F1, with votes by validation loss, see `checkpoints.SMOOTHING_EPOCHS`.
"""

import logging
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.config import Architecture, RunConfig
from galaxy_tasks.formatting import format_duration
from galaxy_tasks.networks.classifier import build_classifier, predict_logits
from galaxy_tasks.releases.morphology import is_handed
from galaxy_tasks.training.checkpoints import (
    SMOOTHING_EPOCHS,
    TrainingState,
    average_stretch,
    load_best,
    load_checkpoint,
    save_checkpoint,
)
from galaxy_tasks.training.dataset import balance_weights
from galaxy_tasks.training.device import Device, halve_batch
from galaxy_tasks.training.epoch import (
    check_finite,
    compile_model,
    run_epoch,
    schedule_learning_rate,
)
from galaxy_tasks.training.galaxies import Fold, Galaxies, open_splits
from galaxy_tasks.training.grad_cam import draw_heat_maps
from galaxy_tasks.training.model_record import HeatMaps
from galaxy_tasks.training.published_weights import fetch_imagenet_weights
from galaxy_tasks.training.trained_model import Predicted, TrainedModel
from galaxy_tasks.training.transfer import copy_weights
from galaxy_tasks.training.vote_head import VoteHead, find_probabilities, read_vote_head

MOST_EXPLAINED = 8
"""Classes of which heat maps are drawn: two galaxies each show what there is to see."""
_logger = logging.getLogger(__name__)


def train_classifier(
    images_folder: Path,
    *,
    architecture: Architecture,
    config: RunConfig,
    classes: Sequence[str],
    device: Device,
    folder: Path,
    start: Path | None = None,
    fold: Fold | None = None,
) -> TrainedModel:
    """Train until the last epoch or until patience ends, and predict the test split.

    Args:
        images_folder: folder of a published images artifact.
        folder: where checkpoints are kept, from which it resumes; the caller removes the last.
        start: folder of the model to start from; None: from the weights that the settings name.
        fold: training galaxies that take the place of the test; nothing is learned from them.

    Raises:
        InputError: a class without training galaxies, or a number that is not finite.
        ResourceError: a batch of one galaxy is still too much for the device's memory.
    """
    splits, votes = open_splits(images_folder, config, fold=fold), read_vote_head(images_folder)
    parts = {"training": splits.training, "validation": splits.stopping, "votes": votes}
    model = _build(architecture, config, classes, device, start=start, votes=votes)
    fitting = Fitting(model, config, folder=folder, **parts)
    state = fitting.run()
    load_best(folder, model=fitting.variables)
    orientations = 4 if is_handed(classes) else 8
    tested, calibration = (
        _predict(fitting, galaxies, state=state, orientations=orientations)
        for galaxies in (splits.test, splits.calibration)
    )
    trained = keras.Model(model.inputs, model.outputs, name=architecture)
    weights = tuple(balance_weights(splits.training.labels, len(classes), config).tolist())
    return TrainedModel(
        *(trained, state, tested, calibration, _explain(trained, tested), votes),
        *(weights, len(splits.training), _measure_images_per_s(state), device.describe()),
    )


def _measure_images_per_s(state: TrainingState) -> float:
    fit_s = sum(record["fit_seconds"] for record in state.history)
    return sum(record["images"] for record in state.history) / fit_s


def _predict(
    fitting: "Fitting", galaxies: Galaxies, *, state: TrainingState, orientations: int
) -> Predicted:
    """Predict with the model that predicted the validation galaxies: its program is compiled."""
    logits = predict_split(
        fitting.model, batch_size=state.batch_size, galaxies=galaxies, orientations=orientations
    )
    probabilities = find_probabilities(logits, fitting.votes)
    total, what = float(probabilities.sum()), "The sum of the probabilities"
    check_finite(total, what=what, epoch=state.best_epoch, config=fitting.config)
    votes = fitting.votes
    concentrations = votes.find_concentrations(logits) if votes else None
    return Predicted(galaxies, probabilities, concentrations)


def _explain(model: keras.Model, tested: Predicted) -> HeatMaps:
    galaxies, as_it_is = tested.galaxies, tested.probabilities[0]
    if tested.concentrations is not None:  # no output speaks for a class
        size = galaxies.images.shape[1]
        return HeatMaps(np.zeros(0, np.int64), np.zeros((0, size, size), np.uint8))
    positions = choose_explained(as_it_is, labels=galaxies.labels)
    images = galaxies.images[galaxies.rows[positions]]
    return HeatMaps(positions, draw_heat_maps(model, images, as_it_is[positions].argmax(axis=1)))


def choose_explained(
    probabilities: NDArray[np.float32], *, labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return positions of galaxies: of each class the one most surely called right, then wrong.

    A class without such a galaxy is passed over; of more than `MOST_EXPLAINED` classes, those with
    most galaxies are taken. `probabilities` has shape (galaxies, classes).
    """
    surest_first = np.argsort(-probabilities.max(axis=1), kind="stable")
    is_right = probabilities.argmax(axis=1) == labels
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    classes = np.sort(np.argsort(-counts, kind="stable")[:MOST_EXPLAINED])
    chosen = []
    for label in classes:
        own = surest_first[labels[surest_first] == label]
        chosen += [*own[is_right[own]][:1], *own[~is_right[own]][:1]]
    return np.array(chosen, dtype=np.int64)


def _build(
    architecture: Architecture,
    config: RunConfig,
    classes: Sequence[str],
    device: Device,
    *,
    start: Path | None,
    votes: VoteHead | None,
) -> keras.Model:
    """Return the compiled model with the weights to start from, and log what it runs on."""
    is_published = config.weights == "imagenet" and start is None
    model = build_classifier(
        architecture,
        config=config,
        num_classes=votes.num_outputs if votes else len(classes),
        weights_file=fetch_imagenet_weights(architecture) if is_published else None,
    )
    if start:
        copy_weights(start, model, classes=classes, votes=votes)
    compile_model(model, config=config, device=device, votes=votes)
    mode = ", deterministic" if config.deterministic else ""
    _logger.info("Training %s: %s parameters.", architecture, f"{model.count_params():,}")
    _logger.info("Running on %s%s, host %s.", device.describe(), mode, platform.node())
    return model


class Fitting:
    """The epochs of one compiled model, each saved as a checkpoint before the next begins."""

    def __init__(
        self,
        model: keras.Model,
        config: RunConfig,
        *,
        training: Galaxies,
        validation: Galaxies,
        folder: Path,
        votes: VoteHead | None = None,
    ) -> None:
        """Take the splits to learn from and to score on, and the folder of the checkpoints."""
        self.model, self.config, self.folder, self.votes = model, config, folder, votes
        self.training, self.validation = training, validation

    @property
    def variables(self) -> list:
        """Weights, statistics and states of random generators, but no metric's variables."""
        of_metrics = {id(variable) for variable in self.model.metrics_variables}
        return [variable for variable in self.model.variables if id(variable) not in of_metrics]

    def run(self) -> TrainingState:
        """Train to the end, from the checkpoint if there is one; return the last state."""
        _logger.info(
            "%s training and %s validation galaxies at %d px, batches of %d, at most %d epochs.",
            *(f"{len(self.training):,}", f"{len(self.validation):,}"),
            *(self.config.image_size_px, self.config.batch_size, self.config.epochs),
        )
        state = self.restore() or self._save(TrainingState(0, self.config.batch_size))
        if state.epoch:
            _logger.info("Resuming after epoch %d from the checkpoint.", state.epoch)
        self._start_from(state)
        while not self._is_finished(state):
            state = self._run_epoch(state)
            has_votes = self.votes is not None
            _logger.info(describe_epoch(state, epochs=self.config.epochs, has_votes=has_votes))
        if state.epoch < self.config.epochs:
            _logger.info(
                "Stopped after %d epochs without a better mean of %d validation %s.",
                self.config.early_stopping_patience_epochs,
                SMOOTHING_EPOCHS,
                "losses" if self.votes else "macro-F1",
            )
        return state

    def restore(self) -> TrainingState | None:
        """Assign the checkpoint's values to the variables; None if there is no checkpoint."""
        optimizer = self.model.optimizer.variables
        return load_checkpoint(self.folder, model=self.variables, optimizer=optimizer)

    def _save(self, state: TrainingState) -> TrainingState:
        optimizer = self.model.optimizer.variables
        save_checkpoint(self.folder, state, model=self.variables, optimizer=optimizer)
        return state

    def _start_from(self, state: TrainingState) -> None:
        schedule_learning_rate(
            self.model, config=self.config, state=state, num_galaxies=len(self.training)
        )

    def _is_finished(self, state: TrainingState) -> bool:
        is_stale = state.epoch - state.best_epoch >= self.config.early_stopping_patience_epochs
        return state.epoch >= self.config.epochs or is_stale

    def _run_epoch(self, state: TrainingState) -> TrainingState:
        """Run one epoch and save it; halve the batch while the device's memory is too small."""
        try:
            done = run_epoch(
                self.model,
                state=state,
                config=self.config,
                training=self.training,
                validation=self.validation,
                votes=self.votes,
            )
        except Exception as error:
            halved = replace(state, batch_size=halve_batch(state.batch_size, error))
            self.restore()
            self._start_from(halved)
            return self._run_epoch(halved)
        return self._save(done)


def predict_split(
    model: keras.Model, *, batch_size: int, galaxies: Galaxies, orientations: int
) -> NDArray[np.float32]:
    """Return the network's outputs for galaxies, (orientations, n, outputs) float32.

    The batch is halved while the device's memory is too small.

    Raises:
        ResourceError: a batch of one galaxy is still too much for the device's memory.
    """
    if not len(galaxies):
        return np.zeros((orientations, 0, model.output_shape[-1]), dtype=np.float32)
    while True:
        try:
            batches = galaxies.image_batches(batch_size)
            return predict_logits(model, batches, orientations=orientations)
        except Exception as error:
            batch_size = halve_batch(batch_size, error)


def describe_epoch(state: TrainingState, *, epochs: int, has_votes: bool = False) -> str:
    """Return the log line of the last epoch: at most 120 characters, what decides first."""
    record, left_s = state.history[-1], (epochs - state.epoch) * state.seconds / state.epoch
    loss, macro_f1 = f"{record['val_loss']:#.4g}", f"{record['val_macro_f1']:.3f}"
    train = f"train {record['loss']:#.4g}"
    if has_votes:
        mean, now = f"loss {average_stretch(state.history, 'val_loss'):#.4g}", loss
        others = f"{train}, macro-F1 {macro_f1}"
    else:
        mean, now = f"macro-F1 {average_stretch(state.history, 'val_macro_f1'):.3f}", macro_f1
        others = f"loss {loss}, {train}"
    stretch = f"mean of {min(len(state.history), SMOOTHING_EPOCHS)}"
    best = ", best" if state.best_epoch == state.epoch else ""
    left = f"up to {format_duration(left_s)} left; " if left_s else ""
    return (
        f"epoch {state.epoch:3d}/{epochs}  validation {mean} ({stretch}{best}), {now} now; "
        f"{left}{others}"
    )
