"""The whole chain on a tiny simulated release, without Airflow: a real Spark, real trainings."""

import csv
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.evaluate import evaluate
from galaxy_tasks.prediction.calibration_fit import calibrate_model
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json
from galaxy_tasks.training.model_record import read_record, read_test

OPTIONS = [
    *("--simulated-galaxies", "150", "--image-size-px", "32", "--epochs", "2"),
    *(
        "--architectures",
        "alexnet,resnet18",
        "--test-time-augmentation",
        "4",
        "--warmup-epochs",
        "1",
    ),
    *("--bootstrap-samples", "200", "--batch-size", "16"),
]


def galaxy_morphology(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "galaxy_tasks.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env=dict(os.environ),
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def log(home) -> str:
    """The log of one whole run."""
    result = galaxy_morphology("run", *OPTIONS)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def results(home, log) -> dict:
    (path,) = home.glob("evaluations/*/results.json")
    return read_json(path)


def only(home: Path, kind: str, **made_from: str) -> Artifact:
    found = [
        Artifact(kind, path.parent.name, path.parent)  # pyright: ignore[reportArgumentType]
        for path in home.glob(f"{kind}/*/manifest.json")
        if made_from.items() <= read_json(path)["made_from"].items()
    ]
    assert len(found) == 1, f"{kind} {made_from}: {found}"
    return found[0]


def test_the_log_tells_the_story(log):
    for line in ("SIMULATED", "epoch   2/2", "Leaderboard on", "Winner:", "Report:", "skipped"):
        assert line in log
    assert "Traceback" not in log


def test_every_row_is_accounted_for(home, log):
    cleaned = only(home, "labels").manifest["summary"]
    assert cleaned["rows_in"] == 150
    assert cleaned["kept"] + sum(cleaned["dropped"].values()) == 150
    prepared = only(home, "images").manifest["summary"]
    assert prepared["prepared"] + prepared["rejected"] == cleaned["kept"]


def test_results_are_what_the_probabilities_say(home, results):
    assert {network["architecture"] for network in results["networks"]} == {"alexnet", "resnet18"}
    for network in results["networks"]:
        (model,) = network["models"]
        assert (model["seed"], network["served"]) == (2026, model["key"])
        folder = Path(model["path"])
        probabilities = np.load(folder / "test_probabilities.npy")[:4].mean(axis=0)
        labels = pd.read_parquet(folder / "test_galaxies.parquet")["label_index"]
        expected = f1_score(labels, probabilities.argmax(axis=1), average="macro", zero_division=0)
        assert model["evaluation"]["macro_f1"]["value"] == pytest.approx(expected)
    assert results["missing"] == [
        {
            "architecture": "densenet",
            "status": "skipped",
            "reason": "no network of this family was chosen",
        }
    ]


def test_the_report_says_that_the_galaxies_are_simulated(home, log):
    (path,) = home.glob("evaluations/*/report.html")
    page = path.read_text()
    assert "simulated" in page.lower()
    assert "resnet18" in page


def test_a_second_run_repeats_no_work(home, log, results):
    again = galaxy_morphology("run", *OPTIONS)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "epoch " not in again.stdout
    for kind in ("releases", "labels", "images", "models", "evaluations"):
        assert f"Already there, nothing to do: {home / kind}" in again.stdout
    assert "Published" not in again.stdout
    (path,) = home.glob("evaluations/*/results.json")
    assert read_json(path) == results


def test_predict_gives_the_same_probabilities_as_the_test(home, results, tmp_path):
    model = Path(results["networks"][0]["models"][0]["path"])
    (images,) = home.glob("releases/*/images_training_rev1")
    folder, archive = tmp_path / "cutouts", tmp_path / "more.zip"
    survey = shutil.copytree(images, tmp_path / "survey")
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(survey.iterdir())[:20]:
            opened.write(path, f"more/{path.name}")
            path.unlink()
    folder.mkdir()
    (folder / "survey").symlink_to(survey)
    (folder / "broken.jpg").write_bytes(b"<html>not found</html>")
    (folder / "empty.jpg").touch()
    (folder / "._1.jpg").touch()
    output = tmp_path / "out.csv"
    # The test was predicted in float32, and some processors would take bfloat16 here.
    exactly = ("--model", model, "--precision", "float32", "-o", output)
    result = galaxy_morphology("predict", folder, archive, *exactly)
    assert result.returncode == 0, result.stderr
    assert "150 classified, 2 refused" in result.stdout
    with output.open() as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert len(rows) == 152
    assert rows["broken"]["refused"].startswith("not_an_image")
    assert rows["broken"]["class"] == ""
    classes = read_json(model / "model.json")["classes"]
    tested = read_test(model, orientations=4)
    calibration = calibrate_model(model, read_record(model), orientations=4, coverage=0.9)
    answers = calibration.answer(tested.probabilities).split()
    for galaxy_id, expected in zip(tested.galaxies["galaxy_id"], answers, strict=True):
        row = rows[galaxy_id]
        received = [float(row[f"p_{name}"]) for name in classes]
        np.testing.assert_allclose(received, expected.calibrated, atol=1e-4)
        assert row["class"] == classes[int(expected.decisive.argmax())]
        members = [classes[index] for index in np.flatnonzero(expected.is_in_set)]
        assert row["prediction_set"] == "|".join(members)


def test_predict_refuses_what_it_cannot_trust(results, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(results["networks"][0]["models"][0]["path"], model)
    image = tmp_path / "image.jpg"
    image.write_bytes(b"x")
    output = tmp_path / "out.csv"
    with (model / "weights.weights.h5").open("r+b") as file:
        file.seek(5000)
        file.write(b"tampered")
    for arguments, message in [
        ([image, "--model", model], "was changed"),
        ([image, "--model", tmp_path], "holds no trained model"),
        (
            [tmp_path / "none", "--model", results["networks"][0]["models"][0]["path"]],
            "No such file",
        ),
    ]:
        result = galaxy_morphology("predict", *arguments, "-o", output)
        assert result.returncode == 65, result.stdout + result.stderr
        assert message in result.stderr
        assert "Traceback" not in result.stderr
        assert not output.exists()


def evaluate_models(home, trainings, architectures) -> dict:
    alexnet = only(home, "models", architecture="alexnet")
    settings = read_json(alexnet.path / "model.json")["settings"]
    return evaluate(
        settings={**settings, "architectures": architectures},
        labels=only(home, "labels").as_reference(),
        images=only(home, "images").as_reference(),
        trainings=trainings,
    )


def test_one_failed_family_does_not_spoil_the_others(home, results):
    alexnet = only(home, "models", architecture="alexnet").as_reference()
    trainings = [{"models": [alexnet], "failed": {}}, None, None]
    outcome = evaluate_models(home, trainings, ["alexnet", "resnet34"])
    assert outcome["winner"] == "alexnet"
    missing = read_json(Path(outcome["results"]))["missing"]
    assert [m["architecture"] for m in missing if m["status"] == "failed"] == ["resnet34"]


def test_a_published_evaluation_is_returned_without_reading_a_model(home, results, caplog):
    arguments = (home, [None, None], ["alexnet", "resnet18"])
    first = evaluate_models(*arguments)
    path = Path(first["model"], "test_probabilities.npy")
    hidden = path.rename(path.with_suffix(".hidden"))
    caplog.clear()
    with caplog.at_level("INFO"):
        assert evaluate_models(*arguments) == first
    hidden.rename(path)
    assert "Leaderboard on" in caplog.text


def test_a_network_that_finished_before_its_task_failed_is_compared(home, results):
    outcome = evaluate_models(home, [None, None], ["alexnet", "resnet18", "resnet34"])
    assert {row["network"] for row in outcome["leaderboard"]} == {"alexnet", "resnet18"}


def test_no_model_at_all_is_a_clear_failure(home, results):
    with pytest.raises(InputError, match="No model was trained"):
        evaluate_models(home, [None, None], ["resnet34"])


def test_wrong_settings_end_with_one_clear_line():
    result = galaxy_morphology("run", "--image-size-px", "8")
    assert result.returncode == 65
    assert result.stderr.startswith("ERROR: Settings were refused:")
    assert "image_size_px" in result.stderr
