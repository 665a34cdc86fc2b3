"""Every file that is named has its row, and what cannot work is said before TensorFlow loads."""

import csv
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fixtures.answer_inputs import as_it_is
from fixtures.image_inputs import draw_galaxy, encode
from fixtures.model_inputs import KERAS_MARKS
from fixtures.trained_inputs import publish_untrained
from PIL import Image

from galaxy_tasks.errors import InputError
from galaxy_tasks.prediction.images import predict_to_csv
from galaxy_tasks.prediction.predictor import Predictor
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import read_json, write_json
from galaxy_tasks.training.model_record import MODEL, WEIGHTS

pytestmark = KERAS_MARKS

GALAXY = encode(draw_galaxy(width_px=64, height_px=64))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def model(home) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(home))
        return publish_untrained("drawn", classes=("round", "spiral"), release="simulated")


def predict(*paths: Path, model: Path, output: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "galaxy_tasks.cli.main", "predict"]
    return subprocess.run(
        [*command, *map(str, paths), "--model", str(model), "-o", str(output)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "GALAXY_HOME": str(model.parents[1])},
    )


def read(output: Path) -> dict[str, dict[str, str]]:
    with output.open(newline="", encoding="utf-8") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def write_survey(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "1.jpg").write_bytes(GALAXY)
    (folder / "deep" / "2.JPEG").write_bytes(encode(draw_galaxy()[..., 0]))
    Image.fromarray(draw_galaxy(width_px=50, height_px=50)).save(folder / "3.tif")
    Image.fromarray(draw_galaxy(width_px=50, height_px=50)).save(folder / "1.png")
    (folder / "4.gif").write_bytes(b"GIF89a")
    (folder / "5.jpg").write_bytes(GALAXY[:300])
    (folder / "6.jpg").symlink_to(folder / "gone.jpg")
    (folder / "notes.txt").write_text("x")
    (folder / "._1.jpg").write_bytes(b"x")
    return folder


def test_every_file_has_a_row_and_the_log_says_what_to_heed(home, model, tmp_path):
    damaged = home / "evaluations" / "damaged" / "manifest.json"
    damaged.parent.mkdir(parents=True)
    damaged.touch()
    survey, archive = write_survey(tmp_path / "survey"), tmp_path / "more.zip"
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a/8.jpg", GALAXY)
        opened.writestr("a/9.heic", b"x")
    output = tmp_path / "out.csv"
    result = predict(survey, archive, tmp_path / "gone.jpg", model=model, output=output)
    assert result.returncode == 0, result.stderr
    rows = read(output)
    refused = {path.rpartition("/")[2]: r["rejected"] for path, r in rows.items() if r["rejected"]}
    assert refused == {
        "4.gif": "its name ends in none of .jpg, .jpeg, .png, .tif, .tiff, .webp",
        "5.jpg": "truncated: JPEG without its end marker after 300 bytes",
        "6.jpg": "a link to nothing",
        "9.heic": "its name ends in none of .jpg, .jpeg, .png, .tif, .tiff, .webp",
        "gone.jpg": "a link to nothing",
    }
    good = {path.rpartition("/")[2]: row for path, row in rows.items() if not row["rejected"]}
    assert sorted(good) == ["1.jpg", "1.png", "2.JPEG", "3.tif", "8.jpg"]
    assert all(row["class"] and row["trained_on"] == "simulated" for row in good.values())
    for line in (
        "WARNING: This model was trained on SIMULATED galaxies",
        "WARNING: 1 ids occur more than once (1): ",
        "images 10 / 10 (100.0 %), ",
        "Converted to 8-bit colour by docs/images.md: 8-bit greyscale 1",
        "5 classified, 5 rejected",
    ):
        assert line in result.stdout
    assert "I0000" not in result.stderr
    assert "absl::" not in result.stderr


def test_what_is_wrong_is_said_before_tensorflow_is_loaded(model, tmp_path):
    bad, good, output = tmp_path / "bad.jpg", tmp_path / "good.jpg", tmp_path / "out.csv"
    bad.write_bytes(GALAXY[:300])
    good.write_bytes(GALAXY)
    for paths, written, message in (
        ([bad], output, "No image can be classified. " + f"{bad}: truncated: JPEG without its end"),
        ([good], good, "would replace one of the images"),
        ([tmp_path / "none"], output, "No such file"),
    ):
        result = predict(*paths, model=model, output=written)
        assert result.returncode == 65, result.stderr
        assert message in result.stderr
        assert "Traceback" not in result.stderr
        assert "tensorflow" not in result.stderr
    assert good.read_bytes() == GALAXY
    assert not output.exists()


def test_an_error_shows_three_images_and_counts_the_others(model, tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"0\.jpg: empty.*2\.jpg: empty.* and 2 more\. Nothing"):
        predict_to_csv([tmp_path], model_folder=model, output=tmp_path / "out.csv")


def test_memory_that_runs_out_halves_the_batch_for_good(caplog):
    import keras

    class Greedy(keras.layers.Layer):
        def call(self, images):
            if (images.shape[0] or 0) > 3:
                raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
            return images

    inputs = keras.Input((4, 4, 3), dtype="uint8")
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(Greedy()(inputs)))
    model = keras.Model(inputs, outputs)
    predictor = Predictor(model, as_it_is(2), orientations=4, batch_size=12)
    images = np.zeros((7, 4, 4, 3), np.uint8)
    assert predictor.predict(images).decisive.shape == (7, 2)
    assert predictor.predict(images).calibrated.shape == (7, 2)
    assert caplog.messages == [
        "Out of memory with batches of 12: continuing with 6.",
        "Out of memory with batches of 6: continuing with 3.",
    ]


def test_a_champion_answers_as_the_evaluation_that_promoted_it_did(home, model, tmp_path, caplog):
    """A later trial that lists the model, too, changes nothing."""
    caplog.set_level("INFO")
    image, output = tmp_path / "1.jpg", tmp_path / "out.csv"
    image.write_bytes(GALAXY)
    keys = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(home))
        for orientations, coverage in ((2, 0.8), (1, 0.5)):
            made_from = {"test_time_augmentation": orientations, "coverage": coverage}
            evaluated = {**made_from, "models": [model.name]}
            with artifacts.open_draft("evaluations", evaluated) as draft:
                keys[orientations] = draft.publish().key
        predict_to_csv([image], model_folder=model, evaluation=keys[2], output=output)
    assert "hold the true one 80 %" in caplog.text


def test_what_an_ablation_kept_and_a_model_of_another_version_are_refused(model, tmp_path):
    image = tmp_path / "1.jpg"
    image.write_bytes(GALAXY)
    for change, message in (
        (lambda folder: (folder / WEIGHTS).unlink(), "holds no weights"),
        (lambda folder: forget(folder / MODEL, "class_weights"), "written by another version"),
    ):
        copy = tmp_path / message.replace(" ", "_")
        shutil.copytree(model, copy)
        change(copy)
        with pytest.raises(InputError, match=message):
            predict_to_csv([image], model_folder=copy, output=tmp_path / "out.csv")


def forget(path: Path, key: str) -> None:
    write_json(path, {name: value for name, value in read_json(path).items() if name != key})
