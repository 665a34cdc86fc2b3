"""Real trainings of small networks on drawn galaxies: they learn, resume, and are repeatable."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures.training_inputs import draw_images

from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError

PROGRAM = """
import json, sys
from pathlib import Path
from galaxy_tasks.config import parse_config
from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.training.device import set_up_device
set_up_logging()
config = parse_config(json.loads(sys.argv[1]))
device = set_up_device(config)
from galaxy_tasks.training.loop import train_classifier
import numpy as np
folder = Path(sys.argv[3])
trained = train_classifier(
    Path(sys.argv[2]), architecture=sys.argv[4], config=config,
    classes=["round", "edge_on"], device=device, folder=folder,
)
np.savez(folder / "weights.npz", *[np.asarray(w) for w in trained.model.weights])
np.save(folder / "probabilities.npy", trained.test.probabilities)
(folder / "history.json").write_text(json.dumps(trained.state.history))
"""
SETTINGS = {
    "image_size_px": 32,
    "epochs": 4,
    "batch_size": 16,
    "warmup_epochs": 1.0,
    "deterministic": True,
    "architectures": ["resnet18"],
}


@pytest.fixture(scope="module")
def images_folder(tmp_path_factory) -> Path:
    return draw_images(tmp_path_factory.mktemp("images"))


def start(images_folder: Path, folder: Path, **settings) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    values = {**SETTINGS, **settings}
    parse_config(values)
    command = [sys.executable, "-c", PROGRAM, json.dumps(values), str(images_folder), str(folder)]
    return subprocess.Popen(
        [*command, values["architectures"][0]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"},
    )


def train(images_folder: Path, folder: Path, **settings) -> str:
    with start(images_folder, folder, **settings) as process:
        log, _ = process.communicate(timeout=300)
    assert process.returncode == 0, log
    return log


@pytest.fixture(scope="module")
def undisturbed(images_folder, tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, train(images_folder, folder)


def test_the_log_tells_what_runs_and_each_epoch(undisturbed):
    _, log = undisturbed
    assert "Training resnet18: 11,1" in log
    assert "64 training and 14 validation galaxies at 32 px" in log
    assert "float32, XLA off, deterministic" in log
    for epoch in range(1, 5):
        assert f"epoch   {epoch}/4  validation macro-F1 " in log


def test_an_epoch_is_one_short_line_that_begins_with_what_decides():
    from galaxy_tasks.training.checkpoints import TrainingState
    from galaxy_tasks.training.loop import describe_epoch

    state = TrainingState(epoch=993, batch_size=8, seconds=993 * 24_000)
    scores = {"loss": 9.9876, "val_loss": 9.1234, "seconds": 24_000.0}
    lines = []
    for macro_f1 in (0.75, 0.5, 0.4, 0.3, 0.35, 0.95):
        state = state.after_epoch({**scores, "val_macro_f1": macro_f1})
        lines.append(describe_epoch(state, epochs=1000))
    # The sixth is the best of the six alone, but the mean of the five that it ends is not.
    assert lines[-1] == (
        "epoch 999/1000  validation macro-F1 0.500 (mean of 5), 0.950 now; up to 6 h 40 min left; "
        "loss 9.123, train 9.988"
    )
    assert ", best), 0.750 now" in lines[0]
    assert "0.950 now; loss 9.123" in describe_epoch(state, epochs=999)  # the last: nothing is left
    line = describe_epoch(state, epochs=1000, has_votes=True)
    assert line == (
        "epoch 999/1000  validation loss 9.123 (mean of 5), 9.123 now; up to 6 h 40 min left; "
        "train 9.988, macro-F1 0.950"
    )
    assert max(map(len, [*lines, line])) <= 120


def test_a_network_learns_to_tell_round_from_edge_on(undisturbed):
    folder, _ = undisturbed
    probabilities = np.load(folder / "probabilities.npy")
    assert probabilities.shape == (8, 28, 2)
    np.testing.assert_allclose(probabilities.sum(axis=2), 1, atol=1e-5)
    assert (probabilities.mean(axis=0).argmax(axis=1) == np.arange(28) % 2).mean() > 0.9
    history = json.loads((folder / "history.json").read_text())
    assert history[-1]["loss"] < history[0]["loss"]


def test_a_killed_training_ends_with_the_same_weights(images_folder, undisturbed, tmp_path):
    with start(images_folder, tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch   2/4"):
                break
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    log = train(images_folder, tmp_path)
    assert "Resuming after epoch" in log
    assert "epoch   1/4" not in log
    with (
        np.load(tmp_path / "weights.npz") as resumed,
        np.load(undisturbed[0] / "weights.npz") as one,
    ):
        assert resumed.files == one.files
        for name in one.files:
            np.testing.assert_array_equal(resumed[name], one[name])
    np.testing.assert_array_equal(
        np.load(tmp_path / "probabilities.npy"), np.load(undisturbed[0] / "probabilities.npy")
    )


def build_overflowing():
    """A model whose weights of 60,000 are finite, and whose sum over a bright image is not."""
    import keras

    images = keras.Input((32, 32, 3), dtype="uint8")
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    large = keras.layers.Dense(2, kernel_initializer=keras.initializers.Constant(6e4))
    large.dtype_policy = "mixed_float16"
    return keras.Model(images, large(features))


def test_a_loss_that_is_not_finite_is_a_clear_error(images_folder, tmp_path):
    config = RunConfig(batch_size=16, epochs=1)
    fitting = prepare_fitting(build_overflowing(), config, images_folder, tmp_path)
    with pytest.raises(InputError, match=r"The loss became nan in epoch 1\. Lower learning_rate"):
        fitting.run()


def test_probabilities_that_are_not_finite_are_a_clear_error(images_folder):
    from galaxy_tasks.training.checkpoints import TrainingState
    from galaxy_tasks.training.epoch import validate
    from galaxy_tasks.training.galaxies import open_galaxies

    state = TrainingState(epoch=2, batch_size=16)
    validation = open_galaxies(images_folder, "validation")
    with pytest.raises(InputError, match=r"probabilities became nan in epoch 3\. Lower"):
        validate(build_overflowing(), state=state, config=RunConfig(), validation=validation)


def prepare_fitting(model, config: RunConfig, images_folder: Path, folder: Path):
    """Return the training of a model on the processor, in this process."""
    from galaxy_tasks.training.device import Device
    from galaxy_tasks.training.epoch import compile_model
    from galaxy_tasks.training.galaxies import open_galaxies
    from galaxy_tasks.training.loop import Fitting

    device = Device("CPU", "tensorflow", "float32", is_xla=False)
    compile_model(model, config=config, device=device)
    training, validation = (open_galaxies(images_folder, one) for one in ("train", "validation"))
    return Fitting(model, config, training=training, validation=validation, folder=folder)


def build_greedy(*, doublings: int):
    """A model of a layer that wants 2 ** (doublings * batch) numbers: 1 PiB for 48 doublings."""
    import keras
    import tensorflow as tf

    class Greedy(keras.layers.Layer):
        def call(self, images):
            power = doublings * tf.shape(images, tf.int64)[0]
            return images + tf.reduce_sum(
                tf.random.uniform([tf.pow(tf.constant(2, tf.int64), power)])
            )

    keras.utils.set_random_seed(1)
    images = keras.Input((32, 32, 3), dtype="uint8")
    features = keras.layers.Flatten()(Greedy()(keras.layers.Rescaling(1 / 255)(images)))
    return keras.Model(images, keras.layers.Dense(2)(features))


def test_memory_that_runs_out_at_prediction_halves_the_batch(images_folder, caplog):
    from galaxy_tasks.training.galaxies import open_galaxies
    from galaxy_tasks.training.loop import predict_split

    probabilities = predict_split(
        build_greedy(doublings=2),
        batch_size=24,
        galaxies=open_galaxies(images_folder, "test"),
        orientations=1,
    )

    assert "Out of memory with batches of 24: continuing with 12." in caplog.text
    assert probabilities.shape == (1, 28, 2)


def test_memory_that_runs_out_halves_the_batch(images_folder, tmp_path, caplog):
    """A real error of the allocator, in an epoch; the checkpoint has the smaller batch."""
    config = RunConfig(batch_size=48, epochs=1)
    fitting = prepare_fitting(build_greedy(doublings=1), config, images_folder, tmp_path)

    state = fitting.run()

    assert "Out of memory with batches of 48: continuing with 24." in caplog.text
    assert (state.epoch, state.batch_size) == (1, 24)
    assert fitting.restore() == state


def build_small():
    import keras

    images = keras.Input((32, 32, 3), dtype="uint8")
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.Dense(2)(features))


def test_the_step_is_traced_once(images_folder, tmp_path, monkeypatch):
    model, traces = build_small(), []
    step = model.train_step

    def train_step(data):
        traces.append(data)
        return step(data)

    monkeypatch.setattr(model, "train_step", train_step)
    prepare_fitting(model, RunConfig(batch_size=16, epochs=2), images_folder, tmp_path).run()
    assert len(traces) == 1


def test_a_long_epoch_tells_how_far_it_is(images_folder, tmp_path, caplog, monkeypatch):
    from galaxy_tasks.training import epoch

    model = build_small()
    monkeypatch.setattr(epoch, "PROGRESS_EVERY_S", 0.0)

    prepare_fitting(model, RunConfig(batch_size=16, epochs=1), images_folder, tmp_path).run()

    told = [line for line in caplog.messages if line.endswith(" s left")]
    assert told
    assert re.fullmatch(r"epoch   1/1  1 of \d+ batches, [\d.]+ s left", told[0])


def rate_at(step: int, **counts: int) -> float:
    from galaxy_tasks.training.schedule import WarmupCosine

    config = RunConfig(epochs=10, warmup_epochs=2.0, learning_rate=0.1)
    return float(WarmupCosine(config, **counts)(step))


def test_the_learning_rate_warms_up_and_falls():
    expected = {0: 0.001, 4: 0.05, 8: 0.1, 24: 0.1 * (0.01 + 0.99 * 0.5), 40: 0.001}
    for step, rate in expected.items():
        assert rate_at(step, steps_per_epoch=4) == pytest.approx(rate, rel=1e-5)


def test_half_the_batch_leaves_the_learning_rate_of_an_epoch_as_it_was():
    halved = {"steps_per_epoch": 6, "first_step": 9, "first_epoch": 3}
    assert rate_at(9 + 2 * 6, **halved) == rate_at(15, steps_per_epoch=3)
    assert rate_at(9 + 4, **halved) == rate_at(9 + 2, steps_per_epoch=3)
