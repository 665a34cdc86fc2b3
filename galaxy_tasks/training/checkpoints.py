"""What a training needs to go on after it was killed, on disk after every epoch.

A checkpoint is one JSON file that names two NumPy archives: `last`, with every variable of model
and optimizer (weights, moments, statistics, states of the random generators), and `best`, with the
model's variables of the best epoch. Archives are written under new names and flushed before the
JSON file is replaced in one rename, and only then are old archives removed: a kill at any instant
leaves a checkpoint that is whole. Keras's BackupAndRestore writes in place and keeps less.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np

from galaxy_tasks.errors import InputError
from galaxy_tasks.storage.atomic_io import read_json, write_durably, write_json

STATE_FILE = "checkpoint.json"
CHECKPOINT_FILES = (STATE_FILE, "last-*.npz", "best-*.npz", ".*.part")
"""Patterns of a checkpoint's files, in the folder that it was saved to."""


SMOOTHING_EPOCHS = 5
"""Epochs whose mean macro-F1 is compared. Of a rare class validation has a handful of galaxies, and
one of them moves a single epoch's macro-F1 by several points: the best of many epochs would be the
luckiest."""


Decisive = Literal["macro_f1", "loss"]
"""The score on the validation galaxies by which epochs are compared."""


def average_stretch(history: Sequence[Mapping[str, float]], score: str) -> float:
    """Return the mean of a score over the stretch of epochs that ends a history."""
    return fmean(record[score] for record in history[-SMOOTHING_EPOCHS:])


@dataclass(frozen=True)
class TrainingState:
    """How far a training is."""

    epoch: int
    """Epochs done."""
    batch_size: int
    """Galaxies in a batch; below the setting if memory ran out."""
    best_epoch: int = 0
    """The epoch, from 1, that ends the best stretch of validation scores; 0 before the first."""
    best_macro_f1: float = -1.0
    """Mean validation macro-F1 of that stretch."""
    best_loss: float = float("inf")
    """Mean validation loss of that stretch, in nats: decides between equal macro-F1."""
    seconds: float = 0.0
    """Time spent in epochs so far, over all attempts."""
    history: tuple[dict[str, float], ...] = field(default=())
    """One record an epoch."""

    def is_better(self, *, macro_f1: float, loss: float) -> bool:
        """Return whether these validation scores beat the best so far."""
        return (macro_f1, -loss) > (self.best_macro_f1, -self.best_loss)

    def after_epoch(
        self, record: dict[str, float], *, by: Decisive = "macro_f1"
    ) -> "TrainingState":
        """Return the state after one more epoch with this history record.

        The best stretch is that with the best macro-F1, or by `by` that with the lowest loss.
        """
        done = replace(
            self,
            epoch=self.epoch + 1,
            seconds=self.seconds + record["seconds"],
            history=(*self.history, record),
        )
        macro_f1 = average_stretch(done.history, "val_macro_f1")
        loss = average_stretch(done.history, "val_loss")
        is_better = (
            loss < self.best_loss if by == "loss" else self.is_better(macro_f1=macro_f1, loss=loss)
        )
        if not is_better:
            return done
        return replace(done, best_epoch=done.epoch, best_macro_f1=macro_f1, best_loss=loss)


def save_checkpoint(
    folder: Path, state: TrainingState, *, model: Sequence[Any], optimizer: Sequence[Any]
) -> None:
    """Write the checkpoint of an epoch; `model`, `optimizer`: their Keras variables."""
    last, best = f"last-{state.epoch:04d}.npz", f"best-{state.best_epoch:04d}.npz"
    _write_arrays(folder / last, [*model, *optimizer])
    # An archive of this name may be there: of a killed attempt at this epoch, with other weights.
    if state.best_epoch == state.epoch or not (folder / best).is_file():
        _write_arrays(folder / best, model)
    write_json(folder / STATE_FILE, {**asdict(state), "last": last, "best": best})
    for path in (*folder.glob("*.npz"), *folder.glob(".*.npz.*.part")):
        if path.name not in (last, best):
            path.unlink()


def load_checkpoint(
    folder: Path, *, model: Sequence[Any], optimizer: Sequence[Any]
) -> TrainingState | None:
    """Assign the checkpoint's values to the variables and return its state; None if there is none.

    Raises:
        InputError: the checkpoint belongs to a model with other variables.
    """
    document = _read_state(folder)
    if document is None:
        return None
    _assign_arrays(folder / document.pop("last"), [*model, *optimizer])
    document.pop("best")
    return TrainingState(**{**document, "history": tuple(document["history"])})


def load_best(folder: Path, *, model: Sequence[Any]) -> None:
    """Assign the best epoch's values to the model's variables."""
    document = _read_state(folder)
    if document is None:
        raise InputError(f"{folder} holds no checkpoint ({STATE_FILE} is missing).")
    _assign_arrays(folder / document["best"], model)


def _read_state(folder: Path) -> dict[str, Any] | None:
    path = folder / STATE_FILE
    return read_json(path) if path.is_file() else None


def _write_arrays(path: Path, variables: Sequence[Any]) -> None:
    arrays = {f"{index:05d}": np.asarray(variable) for index, variable in enumerate(variables)}
    write_durably(path, lambda file: np.savez(file, **arrays))  # pyright: ignore[reportArgumentType]


def _assign_arrays(path: Path, variables: Sequence[Any]) -> None:
    with np.load(path) as arrays:
        if len(arrays.files) != len(variables):
            raise InputError(
                f"{path.name} does not belong to this model: expected {len(variables)} variables, "
                f"received {len(arrays.files)}. Remove the folder {path.parent} to start again."
            )
        for name, variable in zip(sorted(arrays.files), variables, strict=True):
            array = arrays[name]
            if array.shape != tuple(variable.shape):
                raise InputError(
                    f"{path.name} does not belong to this model: variable {variable.path} has "
                    f"shape {tuple(variable.shape)}, received {array.shape}. "
                    f"Remove the folder {path.parent} to start again."
                )
            variable.assign(array)
