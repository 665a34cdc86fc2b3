"""A catalogue comes out whole and the same, from whatever form of input, killed or not."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from fixtures.image_inputs import draw_galaxy, encode
from fixtures.model_inputs import KERAS_MARKS
from fixtures.survey_inputs import pack_tar, pack_zip, write_galaxies
from fixtures.trained_inputs import publish_untrained

from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.predict_catalogue import CatalogueRequest, predict_catalogue
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import read_json, write_json
from galaxy_tasks.training.model_record import MODEL, WEIGHTS

pytestmark = KERAS_MARKS
GALAXY = encode(draw_galaxy(width_px=64, height_px=64))


def predict(*paths: Path, model: Path, output: Path, **options) -> pd.DataFrame:
    settings = {"engine": "onnxruntime", "workers": 1, "shard_images": 5, **options}
    predict_catalogue(CatalogueRequest(paths=paths, output=output, model=model, **settings))
    return pd.read_parquet(output)


def start(*arguments: object, home: Path, log: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-X", "importtime", "-m", "galaxy_tasks.cli.main", "predict"]
    with log.open("w") as file:
        return subprocess.Popen(
            [*command, *map(str, arguments)],
            stdout=file,
            stderr=file,
            env={**os.environ, "GALAXY_HOME": str(home)},
        )


def write_survey(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "1.jpg").write_bytes(GALAXY)
    (folder / "deep" / "1.JPEG").write_bytes(encode(draw_galaxy()[..., 0]))
    (folder / "4.gif").write_bytes(b"GIF89a")
    (folder / "5.jpg").write_bytes(GALAXY[:300])
    (folder / "6.jpg").symlink_to(folder / "gone.jpg")
    (folder / "notes.txt").write_text("x")
    return folder


def test_every_file_has_a_row_and_the_log_says_what_to_heed(home, model, tmp_path):
    survey, output = write_survey(tmp_path / "survey"), tmp_path / "out.csv"
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    log = tmp_path / "log"
    child = start(survey, tmp_path / "gone.jpg", "--model", model, "-o", output, home=home, log=log)
    assert child.wait(timeout=300) == 0, log.read_text()
    out = log.read_text()
    rows = pd.read_csv(output, dtype=str, keep_default_na=False)
    refused = rows[rows["refused"] != ""]
    assert {
        Path(path).name: why.split(":")[0]
        for path, why in zip(refused["path"], refused["refused"], strict=True)
    } == {
        "4.gif": "its name ends in none of .jpg, .jpeg, .png, .tif, .tiff, .webp",
        "5.jpg": "truncated",
        "6.jpg": "a link to nothing",
        "gone.jpg": "a link to nothing",
    }
    assert set(rows.loc[rows["refused"] == "", "id"]) == {"1"}
    assert read_json(output.with_name("out.csv.json"))["trained_on"] == "simulated"
    for line in (
        "WARNING: This model was trained on SIMULATED galaxies",
        "WARNING: 1 ids occur more than once (1): ",
        "images 6 / 6 (100.0 %), ",
        "Converted to 8-bit colour by docs/images.md: 8-bit greyscale 1",
        "2 classified, 4 refused",
    ):
        assert line in out
    assert "I0000" not in out
    assert "absl::" not in out
    assert not list(tmp_path.glob(".*.work"))


def test_what_is_wrong_is_said_before_tensorflow_is_loaded(home, model, tmp_path):
    bad, good = tmp_path / "bad.jpg", tmp_path / "good.jpg"
    bad.write_bytes(GALAXY[:300])
    good.write_bytes(GALAXY)
    for path, written, message in (
        (bad, "out.csv", f"No image can be classified. {bad}: truncated: JPEG without its end"),
        (good, "good.jpg", "would replace one of the inputs"),
        (good, "out.txt", "must end in one of .parquet, .fits, .vot, .csv"),
        (tmp_path / "none", "out.csv", "No such file"),
    ):
        log = tmp_path / "log"
        child = start(path, "--model", model, "-o", tmp_path / written, home=home, log=log)
        assert child.wait(timeout=300) == 65, log.read_text()
        err = log.read_text()
        assert message in err
        assert "Traceback" not in err
        assert "tensorflow" not in err
    assert good.read_bytes() == GALAXY
    assert not (tmp_path / "out.csv").exists()
    assert not list(tmp_path.glob(".*.work"))


def test_each_form_of_input_and_each_engine_gives_the_same_answers(home, model, tmp_path):
    survey = write_galaxies(tmp_path / "survey", 12)
    table = tmp_path / "table.csv"
    paths = sorted(survey.rglob("*.jpg"))
    pd.DataFrame({"id": [p.stem for p in paths], "path": paths, "ra": 1.5, "dec": -2}).to_csv(table)
    answers = {}
    for name, source, options in (
        ("folder", survey, {}),
        ("zip", pack_zip(survey, tmp_path / "s.zip"), {}),
        ("tar", pack_tar(survey, tmp_path / "s.tar"), {}),
        ("table", table, {}),
        ("shards", survey, {"shard_images": 100, "workers": 2}),
        ("openvino", survey, {"engine": "openvino"}),
        ("keras", survey, {"engine": "keras"}),
    ):
        # Some processors would take bfloat16.
        exactly = {"precision": "float32", **options}
        found = predict(source, model=model, output=tmp_path / f"{name}.parquet", **exactly)
        answers[name] = found.set_index("id").sort_index()
    for name, found in answers.items():
        assert list(found.index) == sorted(path.stem for path in paths)
        assert list(found["class"]) == list(answers["folder"]["class"])
        numbers = ["p_round", "p_spiral", "entropy", "distance"]
        tolerance = 1e-4 if name in ("openvino", "keras") else 0
        np.testing.assert_allclose(found[numbers], answers["folder"][numbers], rtol=tolerance)
    assert set(answers["table"]["ra"]) == {1.5}
    np.testing.assert_allclose(answers["folder"][["p_round", "p_spiral"]].sum(axis=1), 1, rtol=1e-6)
    assert answers["folder"]["distance"].between(0, 1e6).all()


def test_shards_that_were_finished_are_kept_unless_something_changed(
    home, model, tmp_path, caplog, monkeypatch
):
    caplog.set_level("INFO")
    survey, output = write_galaxies(tmp_path / "survey", 12), tmp_path / "out.parquet"
    expected = predict(survey, model=model, output=tmp_path / "whole.parquet")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("galaxy_tasks.prediction.catalogue.write_catalogue", interrupt)
        with pytest.raises(KeyboardInterrupt):
            predict(survey, model=model, output=output)
    work = tmp_path / ".out.parquet.work"
    assert len(list(work.glob("shard-*.parquet"))) == 3
    (work / "shard-000001.parquet").write_bytes(b"damaged")
    changed = sorted(survey.glob("*.jpg"))[0]  # in the first shard, by its path
    changed.write_bytes(GALAXY)
    again = predict(survey, model=model, output=output)
    assert "2 images were classified before." in caplog.text
    assert "2 shards are made again" in caplog.text
    differs = again["p_round"] != expected["p_round"]
    assert [Path(path).name for path in again.loc[differs, "path"]] == [changed.name]


def test_features_are_those_of_the_images_that_are_classified_now(
    home, model, tmp_path, monkeypatch
):
    survey, features = write_galaxies(tmp_path / "survey", 6), tmp_path / "features.parquet"
    options = {"model": model, "output": tmp_path / "out.parquet", "shard_images": 3}

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("galaxy_tasks.prediction.catalogue.write_catalogue", interrupt)
        with pytest.raises(KeyboardInterrupt):
            predict(survey, **options, features=features)
    for path in survey.glob("*.jpg"):  # the first shard, by their paths
        path.write_bytes(b"x")
    rows = predict(survey, **options, features=features)
    assert list(pd.read_parquet(features)["id"]) == list(rows.loc[rows["refused"] == "", "id"])
    assert len(pd.read_parquet(features)) == 3


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_prediction_goes_on_to_the_same_bytes(kills, home, model, tmp_path):
    """Each time it is killed at another moment, in the end it is left to finish."""
    survey = write_galaxies(tmp_path / "survey", 40 + 10 * kills)
    output, whole, log = tmp_path / "out.parquet", tmp_path / "whole.parquet", tmp_path / "log"
    options = ("--model", model, "--engine", "onnxruntime", "--shard-images", 2, "--workers", 1)
    random = np.random.default_rng(kills)
    work, work_of_whole = (tmp_path / f".{path.name}.work" for path in (output, whole))
    for _ in range(kills):
        wanted = len(list(work.glob("shard-*.json"))) + random.integers(0, 3)
        child = start(survey, *options, "-o", output, home=home, log=log)
        deadline_s = time.monotonic() + 120
        while len(list(work.glob("shard-*.json"))) < wanted or not (work / "plan.json").exists():
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.03))
        child.kill()
        child.wait()
    work_of_whole.mkdir()
    shutil.copy(work / "plan.json", work_of_whole)  # says when it was begun
    for path in (output, whole):
        child = start(survey, *options, "-o", path, home=home, log=log)
        assert child.wait(timeout=300) == 0, log.read_text()
    assert pq.read_table(output).equals(pq.read_table(whole))
    assert output.read_bytes() == whole.read_bytes()


def test_a_champion_answers_as_the_evaluation_that_promoted_it_did(home, model, tmp_path, caplog):
    """A later trial that lists the model, too, changes nothing."""
    caplog.set_level("INFO")
    image = tmp_path / "1.jpg"
    image.write_bytes(GALAXY)
    damaged = home / "evaluations" / "damaged" / "manifest.json"
    damaged.parent.mkdir(parents=True)
    damaged.touch()
    keys = {}
    for orientations, coverage in ((2, 0.8), (1, 0.5)):
        made_from = {"test_time_augmentation": orientations, "coverage": coverage}
        with artifacts.open_draft("evaluations", {**made_from, "models": [model.name]}) as draft:
            keys[orientations] = draft.publish().key
    predict(image, model=model, output=tmp_path / "out.parquet", evaluation=keys[2])
    assert "hold the true one 80 %" in caplog.text


def test_a_model_without_its_images_runs_on_keras(home, tmp_path, caplog):
    caplog.set_level("INFO")
    bare = publish_untrained("bare", classes=("round", "spiral"), release="simulated")
    (tmp_path / "1.jpg").write_bytes(GALAXY)
    found = predict(tmp_path / "1.jpg", model=bare, output=tmp_path / "o.parquet", engine="auto")
    assert found["distance"].isna().all()
    assert "Keras runs the network. The prepared images of the model" in caplog.text
    with pytest.raises(InputError, match="cannot be checked"):
        predict(tmp_path / "1.jpg", model=bare, output=tmp_path / "o.parquet", engine="openvino")


def test_what_an_ablation_kept_and_a_model_of_another_version_are_refused(home, model, tmp_path):
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
            predict(image, model=copy, output=tmp_path / "out.parquet")


def forget(path: Path, key: str) -> None:
    write_json(path, {name: value for name, value in read_json(path).items() if name != key})
