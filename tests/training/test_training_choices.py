"""Precision, XLA and the help for rare classes do what they are set to, in real trainings."""

import functools
from pathlib import Path

import numpy as np
import pytest
from fixtures.training_inputs import CLASSES, draw_images
from scipy.special import softmax

from galaxy_tasks.networks.classifier import predict_logits
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import read_json
from galaxy_tasks.training.model_record import read_record, read_test
from galaxy_tasks.training.saved_model import load_classifier

XLA = {"class_balance": "none", "xla": "on"}
SAMPLED = {"class_balance": "sampling", "precision": "mixed_bfloat16"}
SETTINGS = {
    "image_size_px": 32,
    "epochs": 1,
    "batch_size": 32,
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
        step = {"settings": settings, "images": images, "architecture": "resnet18", "seed": 2026}
        return Path(run_step("train_network", **step)["path"])

    return run


def check_record(folder: Path, choices: dict[str, str], *, device: str) -> None:
    record = read_record(folder)
    assert record.device.startswith("CPU (")
    assert record.device.endswith(f", {device}")
    assert {name: record.settings[name] for name in choices} == choices
    assert artifacts.get("models", folder.name).manifest["summary"]["device"] == record.device
    (epoch,) = read_json(folder / "history.json")
    assert epoch["images"] == 64
    assert np.isfinite([epoch["loss"], epoch["val_loss"]]).all()
    probabilities = read_test(folder, orientations=8).probabilities
    np.testing.assert_allclose(probabilities.sum(axis=2), 1, atol=1e-2)


def test_a_network_trains_as_it_is_told_and_its_record_says_so(train):
    check_record(train(**XLA), XLA, device="float32, XLA on")


def test_published_weights_hold_no_state_of_the_optimizer(train):
    folder = train(**XLA)
    bytes_of_weights = 4 * read_record(folder).num_parameters
    (path,) = folder.glob("*.weights.h5")
    assert bytes_of_weights < path.stat().st_size < 1.1 * bytes_of_weights


def test_the_probabilities_of_each_orientation_are_kept(images, train):
    folder = train(**XLA)
    cutouts = np.load(Path(images["path"]) / "images.npy")[-28:]
    mirrored = cutouts[:, :, ::-1]
    turned = [
        np.rot90(one, turns, axes=(1, 2)) for one in (cutouts, mirrored) for turns in range(4)
    ]
    model = load_classifier(folder)
    expected = [
        softmax(predict_logits(model, [np.ascontiguousarray(one)], orientations=1)[0], axis=-1)
        for one in turned
    ]
    for count in (1, 4, 8):
        tested = read_test(folder, orientations=count)
        np.testing.assert_allclose(tested.probabilities, expected[:count], atol=1e-4)
        assert len(tested.galaxies) == 28
    assert not np.allclose(expected[0], expected[5])


def test_other_test_time_augmentation_trains_nothing_again(train):
    assert train(**XLA, test_time_augmentation=4) == train(**XLA)


def test_handed_classes_are_never_mirrored_and_precision_is_as_told(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    with artifacts.open_draft("images", {"drawn": 120}) as draft:
        draw_images(draft.path)
        summary = {"classes": ["spiral_clockwise", "spiral_anticlockwise"]}
        images = draft.publish(summary).as_reference()
    step = {
        "settings": SETTINGS | SAMPLED,
        "images": images,
        "architecture": "resnet18",
        "seed": 2026,
    }
    folder = Path(run_step("train_network", **step)["path"])
    assert not read_record(folder).settings["has_flips"]
    assert np.load(folder / "test_probabilities.npy").shape == (4, 28, 2)
    check_record(folder, SAMPLED, device="mixed_bfloat16, XLA off")
