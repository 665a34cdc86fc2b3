"""Published weights are taken whole, with their own normalisation, or refused."""

from pathlib import Path

import keras
import numpy as np
import pytest
from fixtures.model_inputs import KERAS_MARKS, apply, draw_batch

from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.networks import densenet, registry, resnet
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
    architecture, family, tmp_path, monkeypatch
):
    published = publish_weights(architecture, tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = next((tmp_path / "models").iterdir())
    monkeypatch.setitem(registry.IMAGENET_MD5, architecture, registry._md5_of(path))
    model = build_model(architecture, image_size_px=48, num_classes=3, weights="imagenet", seed=1)
    received = model.get_weights()
    assert len(received) == len(published) + 2
    assert all(np.array_equal(a, b) for a, b in zip(received, published, strict=False))
    assert np.isfinite(apply(model, draw_batch(size_px=48))).all()
    path.unlink()  # restoring needs no published weights, but their normalisation
    restored = build_model(
        architecture, image_size_px=48, num_classes=3, weights="imagenet", seed=2, is_restored=True
    )
    restored.set_weights(received)
    batch = draw_batch(size_px=48)
    assert np.array_equal(apply(restored, batch), apply(model, batch))


def publish_weights(architecture: str, keras_home: Path) -> list[np.ndarray]:
    """Write a file as Keras publishes it, with weights that are nobody's default."""
    make = (resnet.BOTTLENECK_NETWORKS | densenet.NETWORKS)[architecture]
    network = make(include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg")
    generator = np.random.default_rng(3)
    network.set_weights([generator.uniform(0, 0.02, w.shape) for w in network.get_weights()])
    (keras_home / "models").mkdir()
    name = f"{architecture}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    network.save(keras_home / "models" / name)
    return network.get_weights()


@pytest.mark.parametrize("architecture", ["alexnet", "resnet18", "resnet34"])
def test_imagenet_weights_that_do_not_exist_are_refused(architecture):
    with pytest.raises(InputError, match=r"no ImageNet weights.*resnet50.*densenet201"):
        build_model(architecture, image_size_px=64, num_classes=5, weights="imagenet", seed=1)


def test_failed_download_says_which_host_and_where_a_file_may_be_put(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ResourceError, match=r"could not be downloaded") as caught:
        build_model("densenet121", image_size_px=64, num_classes=5, weights="imagenet", seed=1)
    message = str(caught.value)
    name = "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert "https://storage.googleapis.com/tensorflow/keras-applications/densenet/" in message
    assert str(tmp_path / "models" / name) in message
    assert list((tmp_path / "models").iterdir()) == []


def test_damaged_file_in_the_cache_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    name = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / name).write_bytes(b"half a file")
    with pytest.raises(InputError, match="Expected MD5: 4d473c1dd8becc155b73f8504c6f6626"):
        build_model("resnet50", image_size_px=64, num_classes=5, weights="imagenet", seed=1)
