"""The estimate follows from the epochs so far, and from how much work each network is."""

import pytest

from galaxy_tasks.config import RunConfig
from galaxy_tasks.standalone.estimate import RunEstimate
from galaxy_tasks.training.checkpoints import TrainingState
from galaxy_tasks.training.loop import describe_epoch

CONFIG = RunConfig(architectures=("alexnet", "resnet18", "resnet34"))


def line(epoch: int) -> str:
    """Return the line that a training logs at the end of an epoch."""
    record = {"val_macro_f1": 0.8, "val_loss": 0.5, "loss": 0.4}
    state = TrainingState(epoch=epoch, batch_size=64, seconds=1.0, history=(record,) * epoch)
    return describe_epoch(state, epochs=10)


def train(
    run: RunEstimate, network: str, epochs: range, *, start_s: float = 0, epoch_s: float
) -> None:
    task = f"train_{network.rstrip('0123456789')}"
    assert not run.note_line(task, f"Training {network}: 11.2 M parameters.", now_s=start_s)
    for epoch in epochs:
        assert run.note_line(task, line(epoch), now_s=start_s + epoch * epoch_s)


def test_nothing_is_said_before_the_second_epoch():
    run = RunEstimate(CONFIG, slots=1)
    assert not run.note_line("clean_labels", line(1), now_s=0)
    train(run, "alexnet", range(1, 2), epoch_s=50)  # compilation included
    assert run.left_s is None


def test_networks_that_have_not_begun_count_by_their_work():
    run = RunEstimate(CONFIG, slots=1)
    train(run, "alexnet", range(1, 6), epoch_s=10)
    assert run.left_s == pytest.approx(50 + 100 * (1.81 + 3.66) / 0.71)
    run.note_end("train_alexnet")
    assert run.left_s == pytest.approx(100 * (1.81 + 3.66) / 0.71)
    train(run, "resnet18", range(1, 11), start_s=100, epoch_s=20)
    assert run.left_s == pytest.approx(200 * 3.66 / 1.81)
    train(run, "resnet34", range(1, 6), start_s=300, epoch_s=40)
    assert run.left_s == pytest.approx(200)
    run.note_end("train_resnet")
    assert run.left_s is None


def test_a_network_that_was_there_already_takes_no_time():
    run = RunEstimate(
        CONFIG.model_copy(update={"architectures": ("resnet18", "resnet34")}), slots=1
    )
    train(run, "resnet34", range(1, 6), epoch_s=10)
    assert run.left_s == pytest.approx(50)


def test_side_by_side_they_take_as_long_as_the_longest():
    run = RunEstimate(CONFIG, slots=2)
    train(run, "alexnet", range(1, 6), epoch_s=10)
    assert run.left_s == pytest.approx(100 * (1.81 + 3.66) / 0.71)


def test_every_repeat_of_a_network_counts():
    config = CONFIG.model_copy(update={"architectures": ("alexnet",), "repeats": 3})
    run = RunEstimate(config, slots=1)
    assert not run.note_line("train_alexnet[0]", "Training alexnet: 1 M", now_s=0)
    for epoch in range(1, 6):
        assert run.note_line("train_alexnet[0]", line(epoch), now_s=10 * epoch)
    assert run.left_s == pytest.approx(50 + 2 * 100)
    run.note_end("train_alexnet[0]")
    assert run.left_s == pytest.approx(2 * 100)
