"""Precision, XLA and the help for rare classes do what they are set to, in real trainings."""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures.training_inputs import CLASSES, draw_images

from galaxy_tasks.config import parse_config
from galaxy_tasks.networks.classifier import predict_probabilities
from galaxy_tasks.pipeline import train as training
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json
from galaxy_tasks.training.device import Device
from galaxy_tasks.training.saved_model import load_classifier, read_record, read_test_predictions

XLA = {"class_balance": "none", "xla": "on"}
SAMPLED = {"class_balance": "sampling", "precision": "mixed_bfloat16"}
SETTINGS = {
    "image_size_px": 32,
    "epochs": 1,
    "batch_size": 32,
    "prediction_views": 1,
    "architectures": ["resnet18"],
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A published artifact, on a machine whose GPUs are not seen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        with artifacts.open_draft("images", {"drawn": 120}) as draft:
            draw_images(draft.path)
            yield draft.publish({"classes": CLASSES}).as_reference()


@pytest.fixture(scope="module")
def train(images):
    """Trains once for each choice of settings; returns the model's folder."""

    @functools.cache
    def run(**choices):
        settings = {**SETTINGS, **choices}
        step = {"settings": settings, "images": images, "architecture": "resnet18"}
        return Path(run_step("train_network", **step)["path"])

    return run


@pytest.mark.parametrize(
    ("choices", "device"),
    [(XLA, "float32, XLA on"), (SAMPLED, "mixed_bfloat16, XLA off")],
)
def test_a_network_trains_as_it_is_told_and_its_record_says_so(train, choices, device):
    folder = train(**choices)
    record = read_record(folder)
    assert record.device.startswith("CPU (")
    assert record.device.endswith(f", {device}")
    assert {name: record.settings[name] for name in choices} == choices
    published = artifacts.get("models", folder.name).manifest["summary"]
    assert (published["device"], published["weights_from"]) == (record.device, "")
    (epoch,) = read_json(folder / "history.json")
    assert epoch["images"] == 64
    assert np.isfinite([epoch["loss"], epoch["val_loss"]]).all()
    probabilities, _ = read_test_predictions(folder)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-2)


def test_a_model_that_is_asked_in_other_views_is_not_trained_again(images, train, capfd):
    once = train(**XLA)
    capfd.readouterr()
    turned = train(**XLA, prediction_views=4)
    log = capfd.readouterr().out
    assert f"{once}. It is asked anew, with 4." in log
    assert "epoch   1/1" not in log

    champion, record = read_record(once), read_record(turned)
    assert record.settings == champion.settings | {"prediction_views": 4}
    assert replace(record, settings=champion.settings, weights_from="") == champion
    assert record.weights_from == once.name
    assert read_json(turned / "history.json") == read_json(once / "history.json")
    cutouts = np.load(Path(images["path"]) / "images.npy")[-28:]
    model = load_classifier(turned)
    for folder, views in ((once, 1), (turned, 4)):
        probabilities, galaxies = read_test_predictions(folder)
        expected = predict_probabilities(model, [cutouts], views=views)
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)
        assert len(galaxies) == 28
    assert not np.allclose(read_test_predictions(once)[0], read_test_predictions(turned)[0])


def test_what_cannot_be_asked_anew_is_trained(images, train, capsys):
    folders = [train(**XLA), train(**XLA, prediction_views=4)]
    prepared = Artifact.from_reference(images)

    def ask(**settings):
        config = parse_config({**SETTINGS, **XLA, "prediction_views": 8, **settings})
        made_from = cache_keys.model_made_from(config, prepared.key, "resnet18")
        device = Device("CPU", "float32", is_xla=False)
        return training._ask_anew(made_from, config, prepared, device)

    whole = ask()
    assert whole is not None
    assert whole.weights_from == folders[0].name
    assert whole.test_probabilities.shape == (28, 2)
    assert ask(learning_rate=0.002) is None
    assert ask(prediction_views=8, seed=7) is None

    document = folders[0] / "model.json"
    document.write_text(document.read_text()[:40])
    capsys.readouterr()
    second = ask()
    log = capsys.readouterr().out
    assert f"{folders[0]}. It cannot be used: JSONDecodeError" in log
    assert f"{folders[1]}. It is asked anew, with 8." in log
    assert second is not None
    assert second.weights_from == folders[0].name, "where they were trained"
    np.testing.assert_allclose(second.test_probabilities, whole.test_probabilities, atol=1e-4)

    (folders[1] / "history.json").write_text("[]")
    assert ask() is None
    assert "history.json was changed" in capsys.readouterr().out
