"""The same training under TensorFlow and under JAX, which a process can choose only once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures.training_inputs import draw_images

from galaxy_tasks.config import RunConfig, keras_backend
from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.storage.artifacts import key_of
from galaxy_tasks.storage.cache_keys import model_made_from

PROGRAM = """
import json, sys
from pathlib import Path
from galaxy_tasks.config import RunConfig
from galaxy_tasks.training.device import set_up_device
config = RunConfig(
    image_size_px=32, epochs=2, batch_size=16, warmup_epochs=1.0, architectures=["resnet18"]
)
device = set_up_device(config)
import keras
import numpy as np
from galaxy_tasks.training.galaxies import open_galaxies
from galaxy_tasks.training.epoch import compile_model
from galaxy_tasks.training.loop import Fitting, predict_split
images = keras.Input((32, 32, 3), dtype="uint8")
maps = keras.layers.Conv2D(8, 5, 2, activation="relu")(keras.layers.Rescaling(1 / 100)(images))
maps = keras.layers.BatchNormalization(momentum=0.9)(maps)
features = keras.layers.GlobalMaxPooling2D()(keras.layers.Conv2D(16, 3, 2)(maps))
model = keras.Model(images, keras.layers.Dense(2)(features))
random = np.random.default_rng(1)  # initial weights are drawn otherwise by each backend
for weight in model.trainable_weights:
    if len(weight.shape) > 1:
        weight.assign(random.normal(0, 0.1, weight.shape))
compile_model(model, config=config, device=device)
training, validation, test = (
    open_galaxies(Path(sys.argv[1]), split) for split in ("train", "validation", "test")
)
folder = Path(sys.argv[2])
state = Fitting(model, config, training=training, validation=validation, folder=folder).run()
probabilities = predict_split(model, batch_size=16, galaxies=test, orientations=8)
np.save(folder / "probabilities.npy", probabilities)
(folder / "result.json").write_text(json.dumps({
    "device": device.describe(),
    "settings": [keras.backend.backend(), keras.config.floatx(), keras.config.image_data_format()],
    "history": state.history,
}))
"""


@pytest.fixture(scope="module")
def images_folder(tmp_path_factory) -> Path:
    return draw_images(tmp_path_factory.mktemp("images"))


def train(images_folder: Path, folder: Path, **environment: str) -> dict:
    """Train with a configuration of Keras in the user's home that the project must not follow."""
    (folder / "keras.json").write_text(
        '{"backend": "torch", "floatx": "float16", "image_data_format": "channels_first"}'
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(images_folder), str(folder)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "KERAS_HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "result.json").read_text())


def test_both_backends_train_alike(images_folder, tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ("tensorflow", "jax")]
    tensorflow = train(images_folder, folders[0])
    jax = train(images_folder, folders[1], KERAS_BACKEND="jax")

    assert tensorflow["settings"] == ["tensorflow", "float32", "channels_last"]
    assert jax["settings"] == ["jax", "float32", "channels_last"]
    assert tensorflow["device"].endswith("tensorflow, float32, XLA off")
    assert jax["device"].endswith("jax, float32, XLA on")
    for one, other in zip(tensorflow["history"], jax["history"], strict=True):
        assert one["learning_rate"] == pytest.approx(other["learning_rate"], rel=1e-5)
        for name in ("loss", "accuracy", "val_loss", "val_macro_f1"):
            assert one[name] == pytest.approx(other[name], rel=1e-3), name
    np.testing.assert_allclose(
        *(np.load(folder / "probabilities.npy") for folder in folders), atol=1e-3
    )


def test_an_unknown_backend_is_refused_by_name_before_any_work(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    command = [sys.executable, "-m", "galaxy_tasks.cli.main", "releases", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    message = "KERAS_BACKEND must be one of tensorflow, jax. Received: 'torch'"
    assert done.returncode == 65
    assert message in done.stderr
    with pytest.raises(InputError, match=message):
        run_step("evaluate")


def test_jax_where_it_is_not_installed_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setitem(sys.modules, "jax", None)  # as if it were not installed
    with pytest.raises(InputError, match="JAX is not installed"):
        keras_backend()


def test_a_model_of_another_backend_has_another_key(monkeypatch):
    keys = set()
    for backend in ("tensorflow", "jax"):
        monkeypatch.setenv("KERAS_BACKEND", backend)
        keys.add(key_of(model_made_from(RunConfig(), "images", "resnet18")))
    assert len(keys) == 2
