from pathlib import Path

import pytest
from fixtures.trained_inputs import publish_prepared, publish_untrained

CLASSES = ("round", "spiral")


@pytest.fixture(scope="session")
def prediction_home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("prediction_home")


@pytest.fixture(scope="session")
def model(prediction_home) -> Path:
    """A ResNet-18 of random weights, whose prepared images are there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(prediction_home))
        images = publish_prepared(90, num_classes=len(CLASSES))
        return publish_untrained("drawn", classes=CLASSES, images=images.key, release="simulated")


@pytest.fixture
def home(prediction_home, monkeypatch) -> Path:
    monkeypatch.setenv("GALAXY_HOME", str(prediction_home))
    return prediction_home
