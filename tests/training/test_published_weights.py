"""ImageNet weights come from Keras' cache folder or the network; errors name a way out."""

import pytest
from fixtures.download_inputs import FAST

from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.training.published_weights import fetch_imagenet_weights


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "models"


def test_without_network_the_error_names_the_host_and_where_to_place_the_file(models, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ResourceError, match="could not be fetched") as caught:
        fetch_imagenet_weights("densenet121", settings=FAST)
    name = "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert "https://storage.googleapis.com/tensorflow/keras-applications/densenet/" in str(
        caught.value
    )
    assert str(models / name) in str(caught.value)
    assert not (models / name).exists()


def test_a_damaged_file_in_the_cache_is_refused(models):
    models.mkdir()
    (models / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5").write_bytes(b"half a file")
    with pytest.raises(InputError, match="expected MD5 4d473c1dd8becc155b73f8504c6f6626"):
        fetch_imagenet_weights("resnet50")
