"""Precision, XLA and the help for rare classes do what they are set to, in real trainings."""

from pathlib import Path

import numpy as np
import pytest
from training_inputs import CLASSES, draw_images

from galaxy_tasks import artifacts
from galaxy_tasks.durable import read_json
from galaxy_tasks.process import run_step
from galaxy_tasks.trained_model import read_record, read_test_predictions

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
