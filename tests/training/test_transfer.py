"""A network that starts from a trained one: whose weights it has, and how its layers learn."""

from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.model_inputs import KERAS_MARKS
from fixtures.trained_inputs import publish_untrained
from fixtures.training_inputs import CLASSES, draw_images

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.networks.classifier import build_classifier
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.storage import artifacts
from galaxy_tasks.training.saved_model import load_classifier
from galaxy_tasks.training.transfer import copy_weights, make_optimizer

pytestmark = KERAS_MARKS
RATE = 1e-3


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        yield


@pytest.fixture(scope="module")
def start() -> Path:
    return publish_untrained("start", classes=tuple(CLASSES), seed=1)


def build(num_classes: int) -> keras.Model:
    return build_classifier("resnet18", config=RunConfig(image_size_px=32), num_classes=num_classes)


def list_layers(model: keras.Model) -> dict[str, list[np.ndarray]]:
    layers = model.get_layer("resnet18").layers
    return {layer.name: layer.get_weights() for layer in layers if layer.weights}


def are_equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_with_the_same_classes_it_answers_alike(start):
    model, images = build(2), np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), np.uint8)
    before = model.predict_on_batch(images)
    copy_weights(start, model, classes=CLASSES)
    theirs = load_classifier(start).predict_on_batch(images)
    np.testing.assert_array_equal(model.predict_on_batch(images), theirs)
    assert not np.allclose(before, theirs)


@pytest.mark.parametrize("classes", [["round", "edge_on", "spiral"], CLASSES[::-1]])
def test_with_other_classes_or_another_order_the_last_layer_is_its_own(start, classes):
    model = build(len(classes))
    own = list_layers(model)["logits"]
    copy_weights(start, model, classes=classes)
    layers, theirs = list_layers(model), list_layers(load_classifier(start))
    assert are_equal(layers.pop("logits"), own)
    assert all(are_equal(layers[name], theirs[name]) for name in layers)


def test_a_layer_of_another_shape_is_named():
    config = {"image_size_px": 64}
    folder = publish_untrained("large", classes=tuple(CLASSES), architecture="alexnet", **config)
    model = build_classifier("alexnet", config=RunConfig(image_size_px=80), num_classes=2)
    with pytest.raises(InputError, match=r"The layer dense\S* of the model in .* does not fit"):
        copy_weights(folder, model, classes=CLASSES)


@pytest.mark.parametrize("trunk_rate", [1.0, 0.1])
def test_layers_learn_at_graded_rates(trunk_rate):
    """The first step of Adam is the learning rate, whatever the gradient."""
    model = build(2)
    optimizer = make_optimizer(model, RATE, weight_decay=0.0, trunk_rate=trunk_rate)
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True))
    before = list_layers(model)
    images = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3), np.uint8)
    model.train_on_batch(images, np.eye(2)[np.arange(16) % 2])
    after = list_layers(model)
    steps = [np.abs(after[name][0] - before[name][0]).max() for name in before]
    expected = RATE * trunk_rate ** np.linspace(1, 0, len(steps))
    np.testing.assert_allclose(steps, expected, rtol=0.02)


def train(start: Path, **settings) -> Path:
    with artifacts.open_draft("images", {"drawn": 120}) as draft:
        if not draft.published:
            draw_images(draft.path)
        images = draft.published or draft.publish({"classes": CLASSES})
    step = {
        "settings": {
            "image_size_px": 32,
            "epochs": 1,
            "batch_size": 32,
            "architectures": ["resnet18"],
            "start_from": start.name,
            **settings,
        },
        "images": images.as_reference(),
        "architecture": "resnet18",
        "seed": 3,
    }
    return Path(run_step("train_network", **step)["path"])


def test_a_frozen_trunk_stays_as_it_was_and_the_last_layer_learns(start):
    trained = list_layers(load_classifier(train(start, trunk_rate=0)))
    theirs = list_layers(load_classifier(start))
    assert not are_equal(trained.pop("logits"), theirs.pop("logits"))
    assert all(are_equal(trained[name], theirs[name]) for name in theirs)


def test_each_start_is_a_model_of_its_own(start):
    other = publish_untrained("other", classes=tuple(CLASSES), seed=2)
    folders = [train(start, trunk_rate=0), train(start), train(other), train(start, trunk_rate=0)]
    assert len(set(folders)) == 3
    assert (
        artifacts.get("models", folders[1].name).manifest["made_from"]["start_from"] == start.name
    )
