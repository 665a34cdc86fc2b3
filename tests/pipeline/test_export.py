"""Whatever program runs a model, it says what Keras does, or is not used."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fixtures.model_inputs import KERAS_MARKS
from fixtures.trained_inputs import publish_prepared, publish_untrained

from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline import engine_choice, export_champion
from galaxy_tasks.pipeline.engine_choice import KERAS, choose_way
from galaxy_tasks.pipeline.export_champion import CHECK, FAMILIARITY, NETWORK, export_model
from galaxy_tasks.pipeline.export_files import FORMATS, export_file
from galaxy_tasks.prediction.engines import Way, list_ways
from galaxy_tasks.prediction.familiarity import Familiarity, describe_features
from galaxy_tasks.storage.artifacts import Artifact

pytestmark = KERAS_MARKS
OUTPUTS = {"onnx": "m.onnx", "openvino": "m.xml", "keras": "m.keras", "saved_model": "saved"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def own_home(home, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(home))


@pytest.fixture(scope="module")
def model(home) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(home))
        images = publish_prepared(90, num_classes=2)
        return publish_untrained("drawn", classes=("round", "spiral"), images=images.key)


def choose(export: Artifact, model: Path, engine="auto", precision="auto") -> Way:
    return choose_way(export, model, engine=engine, precision=precision, image_size_px=32)


def test_an_export_is_checked_and_made_once(model):
    export = export_model(model)
    (check,) = json.loads((export.path / CHECK).read_text())
    assert check["num_images"] == 90
    assert check["agreement"] == 1
    assert check["largest_difference"] < 1e-4
    assert abs(check["calibration_error_shift"]) < 1e-4
    changed = (export.path / NETWORK).stat().st_mtime_ns
    assert export_model(model) == export
    assert (export.path / NETWORK).stat().st_mtime_ns == changed
    assert Familiarity.read(export.path / FAMILIARITY).directions.shape == (11, 512)


def test_a_model_below_another_home_is_checked_on_its_own_images(model, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    export = export_model(model)
    assert export.path.is_relative_to(tmp_path)
    (check,) = json.loads((export.path / CHECK).read_text())
    assert check["num_images"] == 90


def test_a_copy_of_a_model_is_checked_on_the_images_of_the_original(model, tmp_path):
    copy = shutil.copytree(model, tmp_path / "somewhere" / "copy")
    (check,) = json.loads((export_model(copy).path / CHECK).read_text())
    assert check["num_images"] == 90


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_says_what_keras_does(kind, model, tmp_path):
    output = tmp_path / OUTPUTS[kind]
    check = export_file(model, kind, output)
    assert check.agreement == 1
    assert check.largest_difference < 1e-4
    assert output.exists()
    with pytest.raises(InputError, match="exists already"):
        export_file(model, kind, output)


def test_a_wrong_suffix_is_refused(model, tmp_path):
    with pytest.raises(InputError, match=r"must end in \.onnx for onnx"):
        export_file(model, "onnx", tmp_path / "m.pb")


def test_the_fastest_way_that_agrees_is_chosen(model, monkeypatch, caplog):
    caplog.set_level("INFO")
    export = export_model(model)
    rates = {way: float(place) for place, way in enumerate(list_ways())}
    monkeypatch.setattr(engine_choice, "measure_rate", lambda way, *_, **__: rates[way])
    assert choose(export, model) == max(rates, key=rates.__getitem__)
    assert choose(export, model, "onnxruntime") == Way("onnxruntime", "float32")
    assert "Images a second of one core: ONNX Runtime in float32" in caplog.text
    # A check that nothing passes: a copy of the export, with other answers to meet.
    monkeypatch.setattr(export_champion, "LEAST_AGREEMENT", 1.01)
    assert choose(export, model) == KERAS
    assert choose(export, model, "openvino", "float32") == Way("openvino", "float32")
    assert "OpenVINO in float32 fails the check and is used, as it was asked for" in caplog.text


def test_a_way_that_this_machine_does_not_have_is_refused(model):
    with pytest.raises(InputError, match="No way to run the network is --engine onnxruntime with"):
        choose(export_model(model), model, "onnxruntime", "bfloat16")


def test_distances_tell_other_images_from_the_releases_own():
    random = np.random.default_rng(4)
    mixing = random.normal(size=(3, 40))

    def draw(count: int, shift: float = 0.0) -> np.ndarray:
        return random.normal(shift, 1, (count, 3)) @ mixing + random.normal(0, 0.1, (count, 40))

    described = describe_features(draw(600), draw(600))
    assert described is not None
    assert np.mean(described.measure(draw(4000)) > 1) == pytest.approx(0.01, abs=0.01)
    assert np.mean(described.measure(draw(100, shift=6)) > 1) == 1
    noise = random.normal(0, 3, (100, 40))
    assert np.mean(described.measure(noise) > 1) == 1
    assert describe_features(draw(19), draw(600)) is None
