"""The whole chain with votes as targets: trained, scored, reported, and predicted with."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.model_inputs import KERAS_MARKS

from galaxy_tasks.acquisition.prediction_table import name_columns
from galaxy_tasks.cli.workflow import clean_labels
from galaxy_tasks.config import parse_config
from galaxy_tasks.pipeline.catalogue_plan import CatalogueRequest
from galaxy_tasks.pipeline.predict_catalogue import predict_catalogue
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json
from galaxy_tasks.training.vote_head import read_vote_head

pytestmark = KERAS_MARKS
SETTINGS = parse_config(
    {
        "simulated_galaxies": 150,
        "image_size_px": 32,
        "epochs": 2,
        "batch_size": 16,
        "warmup_epochs": 0.5,
        "architectures": ["resnet18"],
        "bootstrap_samples": 100,
        "test_time_augmentation": 4,
        "image_workers": 1,
    }
).model_dump(mode="json")


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("votes_run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(folder / "runs"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder


@pytest.fixture(scope="module")
def runs(home):
    """What a run on each target has left: labels, images, models and results."""
    made = {}
    for target in ("votes", "fractions"):
        settings = {**SETTINGS, "target": target}
        inputs = {"settings": settings}
        inputs["release_files"] = run_step("prepare_release", **inputs)
        inputs["labels"] = clean_labels(**inputs)
        inputs["images"] = run_step("preprocess_images", **inputs)
        images = inputs["images"]
        step = {"settings": settings, "images": images, "architecture": "resnet18", "seed": 2026}
        model = run_step("train_network", **step)
        training = {"seed": 2026, "models": [model], "failed": {}}
        del inputs["release_files"]
        evaluated = run_step("evaluate", **inputs, trainings=[training])
        found = {"labels": inputs["labels"], "images": images, "model": model}
        made[target] = {name: Artifact.from_reference(one) for name, one in found.items()}
        made[target] |= {name: evaluated[name] for name in ("results", "report")}
    return made


def test_both_targets_learn_from_the_same_images_by_losses_of_their_own(runs):
    votes, fractions = runs["votes"], runs["fractions"]
    assert votes["images"] == fractions["images"]
    assert votes["model"] != fractions["model"]
    losses = [
        [epoch["loss"] for epoch in read_json(one["model"].path / "history.json")]
        for one in (votes, fractions)
    ]
    for first, last in losses:
        assert last < first
    assert losses[0][0] > 20 > 1 > losses[1][0]  # nats a galaxy; squares of shares


def test_votes_stay_with_their_galaxies(runs):
    labels, images = (
        (
            pd.read_parquet(folder / table, columns=["galaxy_id"])["galaxy_id"],
            np.load(folder / "votes.npy"),
        )
        for folder, table in (
            (runs["votes"]["labels"].path, "labels.parquet"),
            (runs["votes"]["images"].path, "manifest.parquet"),
        )
    )
    by_id = dict(zip(labels[0], labels[1].tolist(), strict=True))
    for galaxy_id, own in zip(images[0], images[1].tolist(), strict=True):
        assert by_id[galaxy_id] == own


def test_the_report_scores_each_question(runs):
    for target, one in runs.items():
        (scores,) = read_json(Path(one["results"]))["votes"]
        assert len(scores["questions"]) == 11
        assert 0 < scores["cumulative_error"] < 0.5
        page = Path(one["report"]).read_text(encoding="utf-8")
        assert '<h2 id="votes">Votes</h2>' in page
        assert "smooth or featured" in page
        assert ('<th scope="col">coverage</th>' in page) == (target == "votes")


def test_only_votes_train_intervals(runs):
    for target, one in runs.items():
        (scores,) = read_json(Path(one["results"]))["votes"]
        covered = [question["coverage"] for question in scores["questions"]]
        assert all((each is None) == (target == "fractions") for each in covered)


def test_a_catalogue_has_each_answer_with_its_bounds(runs, home):
    model, output = runs["votes"]["model"].path, home / "predicted.parquet"
    images = runs["votes"]["images"].path
    source = next((home / "runs" / "releases").glob("*/images_training_rev1"))
    (source / "broken.jpg").write_bytes(b"no image")
    exactly = {"precision": "float32", "workers": 2}  # as the test was predicted
    request = CatalogueRequest(paths=(source,), model=model, output=output, **exactly)
    predict_catalogue(request)
    table = pd.read_parquet(output).set_index("id", drop=False)
    head = read_vote_head(model)
    assert head is not None
    classes = tuple(read_json(model / "model.json")["classes"])
    assert list(table.columns) == name_columns(classes, head.answers)
    broken = table.loc["broken"]
    assert broken["refused"]
    assert np.isnan(broken["f_odd_yes"])
    found = table.drop(index="broken")
    for question, answers in head.questions.items():
        shares = found[[f"f_{question}_{answer}" for answer in answers]]
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-4)
        for name in shares:
            assert (found[f"{name}_low"] < found[name]).all()
            assert (found[f"{name}_high"] > found[name]).all()
    # The test galaxies are answered as they were when the network was evaluated.
    tested = pd.read_parquet(model / "test_galaxies.parquet")
    manifest = pd.read_parquet(images / "manifest.parquet")
    names = manifest["galaxy_id"].iloc[tested["row"]]
    of_each = np.load(model / "test_concentrations.npy")
    assert len(of_each) == 8
    expected = head.find_fractions(of_each[:4].mean(axis=0))  # as many as in the settings
    own = found.loc[names, [f"f_{name}" for name in head.answers]].to_numpy()
    np.testing.assert_allclose(own, expected, atol=1e-3)


def test_shares_without_a_spread_have_no_bounds(runs, home):
    output = home / "shares.csv"
    source = next((home / "runs" / "releases").glob("*/images_training_rev1"))
    images = tuple(sorted(source.glob("*.jpg"))[:3])
    predict_catalogue(
        CatalogueRequest(paths=images, model=runs["fractions"]["model"].path, output=output)
    )
    table = pd.read_csv(output, dtype=str, keep_default_na=False)
    assert (table["f_odd_yes_low"] == "").all()
    assert (table["f_odd_yes"] != "").all()
