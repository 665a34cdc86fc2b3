"""Published weights are taken whole, with their own normalisation."""

from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.model_inputs import KERAS_MARKS, apply, draw_batch

from galaxy_tasks.networks import densenet, resnet
from galaxy_tasks.networks.registry import build_model

pytestmark = KERAS_MARKS


@pytest.mark.parametrize(
    ("family", "application"),
    [(resnet, keras.applications.resnet), (densenet, keras.applications.densenet)],
)
def test_normalisation_for_imagenet_is_that_of_keras(family, application):
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, family.normalise_for_imagenet(images))
    batch = draw_batch(size_px=8)
    expected = application.preprocess_input(batch.copy() * 255)
    assert np.allclose(apply(model, batch), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("architecture", "family"), [("resnet50", resnet), ("densenet121", densenet)]
)
def test_pretrained_weights_are_kept_and_only_the_last_layer_is_drawn(
    architecture, family, tmp_path
):
    path = tmp_path / "published.h5"
    published = publish_weights(architecture, path)
    imagenet = {"image_size_px": 48, "num_classes": 3, "weights": "imagenet"}
    model = build_model(architecture, **imagenet, weights_file=path, seed=1)
    received = model.get_weights()
    assert len(received) == len(published) + 2
    assert all(np.array_equal(a, b) for a, b in zip(received, published, strict=False))
    assert np.isfinite(apply(model, draw_batch(size_px=48))).all()
    # Restoring needs no published weights, but their normalisation.
    restored = build_model(architecture, **imagenet, seed=2)
    restored.set_weights(received)
    batch = draw_batch(size_px=48)
    assert np.array_equal(apply(restored, batch), apply(model, batch))


def publish_weights(architecture: str, path: Path) -> list[np.ndarray]:
    """Write a file as Keras publishes it, with weights that are nobody's default."""
    make = (resnet.BOTTLENECK_NETWORKS | densenet.NETWORKS)[architecture]
    network = make(include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg")
    generator = np.random.default_rng(3)
    network.set_weights([generator.uniform(0, 0.02, w.shape) for w in network.get_weights()])
    network.save(path)
    return network.get_weights()
