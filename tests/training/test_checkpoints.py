"""A checkpoint gives back what was saved, whole, or refuses."""

import keras
import numpy as np
import pytest

from galaxy_tasks.errors import InputError
from galaxy_tasks.training.checkpoints import (
    CHECKPOINT_FILES,
    STATE_FILE,
    TrainingState,
    load_best,
    load_checkpoint,
    save_checkpoint,
)


def make_variables(value: float) -> list[keras.Variable]:
    return [keras.Variable(np.full((2, 3), value)), keras.Variable(np.float32(value))]


def record(macro_f1: float, loss: float = 1.0) -> dict[str, float]:
    return {"val_macro_f1": macro_f1, "val_loss": loss, "seconds": 2.0}


def test_gives_back_state_model_and_optimizer(tmp_path):
    state = TrainingState(epoch=0, batch_size=8).after_epoch(record(0.5))
    save_checkpoint(tmp_path, state, model=make_variables(1.0), optimizer=make_variables(2.0))
    model, optimizer = make_variables(0.0), make_variables(0.0)
    assert load_checkpoint(tmp_path, model=model, optimizer=optimizer) == state
    assert float(model[1]) == 1.0
    np.testing.assert_array_equal(optimizer[0], np.full((2, 3), 2.0))


def test_best_weights_are_those_of_the_best_epoch(tmp_path):
    state = TrainingState(epoch=0, batch_size=8)
    for macro_f1, value in [(0.2, 1.0), (0.7, 2.0), (0.3, 3.0)]:
        state = state.after_epoch(record(macro_f1))
        save_checkpoint(tmp_path, state, model=make_variables(value), optimizer=[])
    assert (state.best_epoch, state.best_macro_f1, state.epoch) == (2, pytest.approx(0.45), 3)
    model = make_variables(0.0)
    load_best(tmp_path, model=model)
    assert float(model[1]) == 2.0


def test_equal_macro_f1_is_decided_by_the_lower_loss():
    state = TrainingState(epoch=0, batch_size=8).after_epoch(record(0.5, loss=1.0))
    assert state.after_epoch(record(0.5, loss=0.9)).best_epoch == 2
    assert state.after_epoch(record(0.5, loss=1.1)).best_epoch == 1


def test_votes_are_decided_by_the_loss_whatever_the_classes():
    state = TrainingState(epoch=0, batch_size=8).after_epoch(record(0.5, loss=1.0), by="loss")
    assert state.after_epoch(record(0.1, loss=0.9), by="loss").best_epoch == 2
    assert state.after_epoch(record(0.9, loss=1.1), by="loss").best_epoch == 1


def test_one_lucky_epoch_is_not_the_best_but_a_good_stretch_is():
    state = TrainingState(epoch=0, batch_size=8)
    for macro_f1 in [0.5] * 5 + [0.9] + [0.5] * 5 + [0.7] * 5:
        state = state.after_epoch(record(macro_f1))
    assert state.best_epoch == 16
    assert state.best_macro_f1 == pytest.approx(0.7)


def test_old_archives_are_removed_and_the_patterns_name_all_files(tmp_path):
    state = TrainingState(epoch=0, batch_size=8)
    for macro_f1 in (0.1, 0.2, 0.3):
        state = state.after_epoch(record(macro_f1))
        save_checkpoint(tmp_path, state, model=make_variables(1.0), optimizer=[])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best-0003.npz",
        STATE_FILE,
        "last-0003.npz",
    ]
    named = {path for pattern in CHECKPOINT_FILES for path in tmp_path.glob(pattern)}
    assert named == set(tmp_path.iterdir())


def test_a_half_written_archive_of_a_killed_attempt_is_not_read(tmp_path):
    state = TrainingState(epoch=0, batch_size=8).after_epoch(record(0.5))
    save_checkpoint(tmp_path, state, model=make_variables(1.0), optimizer=[])
    (tmp_path / ".last-0002.npz.77.part").write_bytes(b"half")
    (tmp_path / "last-0002.npz").write_bytes(b"whole, but not yet named by the state")
    model = make_variables(0.0)
    assert load_checkpoint(tmp_path, model=model, optimizer=[]) == state
    assert float(model[1]) == 1.0


def test_best_weights_of_an_attempt_that_was_killed_before_its_state_are_not_kept(tmp_path):
    first = TrainingState(epoch=0, batch_size=8).after_epoch(record(0.5))
    save_checkpoint(tmp_path, first, model=make_variables(1.0), optimizer=[])
    state_text = (tmp_path / STATE_FILE).read_bytes()
    killed = first.after_epoch(record(0.8))
    save_checkpoint(tmp_path, killed, model=make_variables(2.0), optimizer=[])
    (tmp_path / STATE_FILE).write_bytes(state_text)  # as if killed between archives and state
    again = first.after_epoch(record(0.9))
    save_checkpoint(tmp_path, again, model=make_variables(3.0), optimizer=[])
    model = make_variables(0.0)
    load_best(tmp_path, model=model)
    assert float(model[1]) == 3.0


def test_refuses_the_checkpoint_of_another_model(tmp_path):
    state = TrainingState(epoch=0, batch_size=8)
    save_checkpoint(tmp_path, state, model=make_variables(1.0), optimizer=[])
    with pytest.raises(InputError, match="expected 1 variables, received 2"):
        load_checkpoint(tmp_path, model=make_variables(0.0)[:1], optimizer=[])
    with pytest.raises(InputError, match="has shape"):
        load_checkpoint(tmp_path, model=make_variables(0.0)[::-1], optimizer=[])


def test_no_checkpoint_is_none(tmp_path):
    assert load_checkpoint(tmp_path, model=[], optimizer=[]) is None
