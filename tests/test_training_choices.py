"""Precision, XLA and the help for rare classes do what they are set to, in real trainings."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_inputs import CLASSES, draw_images

from galaxy_tasks import artifacts
from galaxy_tasks.classifier import predict_probabilities
from galaxy_tasks.durable import read_json
from galaxy_tasks.process import run_step
from galaxy_tasks.trained_model import load_classifier, read_record, read_test_predictions

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


@pytest.mark.parametrize(
    ("choices", "device"),
    [
        ({"class_balance": "none", "xla": "on"}, "float32, XLA on"),
        ({"class_balance": "sampling", "precision": "mixed_bfloat16"}, "mixed_bfloat16, XLA off"),
    ],
)
def test_a_network_trains_as_it_is_told_and_its_record_says_so(images, choices, device):
    settings = {**SETTINGS, **choices}
    answer = run_step("train_network", settings=settings, images=images, architecture="resnet18")

    folder = Path(answer["path"])
    record = read_record(folder)
    assert record.device.startswith("CPU (")
    assert record.device.endswith(f", {device}")
    assert {name: record.settings[name] for name in choices} == choices
    assert artifacts.get("models", answer["key"]).manifest["summary"]["device"] == record.device
    (epoch,) = read_json(folder / "history.json")
    assert epoch["images"] == 64
    assert np.isfinite([epoch["loss"], epoch["val_loss"]]).all()
    probabilities, _ = read_test_predictions(folder)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-2)


def test_a_model_that_is_asked_in_other_views_is_not_trained_again(images, capfd):
    def ask(**settings):
        answer = run_step(
            "train_network",
            settings={**SETTINGS, "seed": 5, **settings},
            images=images,
            architecture="resnet18",
        )
        return Path(answer["path"]), capfd.readouterr().out

    once, first_log = ask()
    turned, log = ask(prediction_views=4)
    assert "epoch   1/1  train: loss" in first_log
    assert f"{once}. It is asked anew, with 4." in log
    assert "epoch   1/1" not in log

    former, record = read_record(once), read_record(turned)
    assert replace(record, settings=former.settings, weights_from="") == former
    assert (former.weights_from, record.weights_from) == ("", once.name)
    assert record.settings["prediction_views"] == 4
    assert read_json(turned / "history.json") == read_json(once / "history.json")
    cutouts = np.load(Path(images["path"]) / "images.npy")[-28:]
    model = load_classifier(turned)
    for folder, views in ((once, 1), (turned, 4)):
        probabilities, galaxies = read_test_predictions(folder)
        expected = predict_probabilities(model, [cutouts], views=views)
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)
        assert len(galaxies) == 28
    assert not np.allclose(read_test_predictions(once)[0], read_test_predictions(turned)[0])

    _, log = ask(prediction_views=4, learning_rate=0.002)
    assert "epoch   1/1  train: loss" in log

    model_json = (once / "model.json").read_text()
    (once / "model.json").write_text(model_json[:40])
    twice, log = ask(prediction_views=8)
    assert f"{once}. It cannot be used: JSONDecodeError" in log
    assert f"{turned}. It is asked anew, with 8." in log
    assert read_record(twice).weights_from == once.name, "where they were trained"

    shutil.rmtree(twice)
    (turned / "history.json").write_text("[]")
    _, log = ask(prediction_views=8)
    assert "history.json was changed" in log
    assert "epoch   1/1  train: loss" in log
