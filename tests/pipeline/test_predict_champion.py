"""Two releases, one after the other: the second run's report compares both."""

import html
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from galaxy_tasks.config import parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.clean_labels import clean_labels
from galaxy_tasks.pipeline.evaluate import evaluate
from galaxy_tasks.pipeline.predict_champion import predict_champion
from galaxy_tasks.pipeline.prepare_release import prepare_release
from galaxy_tasks.pipeline.preprocess_images import preprocess_images
from galaxy_tasks.pipeline.promote import promote
from galaxy_tasks.pipeline.train import train_network
from galaxy_tasks.registry.champions import promote as promote_version
from galaxy_tasks.registry.champions import roll_back, walk_champions
from galaxy_tasks.registry.models import get_version, list_names, register
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.storage.cache_keys import ReleaseFiles
from galaxy_tasks.storage.latest_holdout import find_latest_holdout

# Keras hands NumPy a variable whose __array__ knows no 'copy' yet.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

ARCSEC = 1 / 3600
NUMBER = 240
SETTINGS = {
    "architectures": ["alexnet"],
    "image_size_px": 32,
    "epochs": 3,
    "batch_size": 16,
    "warmup_epochs": 0.5,
    "bootstrap_samples": 100,
    "test_time_augmentation": 1,
    "image_workers": 1,
}


def draw_galaxy(axis_ratio: float, *, size_px: int, seed: int) -> np.ndarray:
    """An exponential disk in the middle, seen at some angle, with noise."""
    random = np.random.default_rng(seed)
    angle = random.uniform(0, np.pi)
    y, x = np.mgrid[-1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    light = 200 * np.exp(-6 * np.hypot(along, across / axis_ratio))
    noisy = light[..., None] + random.normal(10, 3, (size_px, size_px, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def write_release(
    folder: Path, *, first_id: int, first_place: int, size_px: int, classes: tuple[str, str]
) -> Path:
    """Write NUMBER galaxies, every other one edge-on, each at its own place on the sky."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(NUMBER):
        place, is_edge_on = first_place + number, (first_place + number) % 2
        image = draw_galaxy(0.15 if is_edge_on else 0.9, size_px=size_px, seed=place)
        cv2.imwrite(str(folder / "images" / f"{first_id + number}.png"), image)
        rows.append((first_id + number, 20 + place * 0.1, 0.3 * ARCSEC, classes[is_edge_on]))
    table = pd.DataFrame(rows, columns=["id", "ra", "dec", "class"])
    table.to_csv(folder / "table.csv", index=False)
    return folder


def run(spark, settings):
    """Run every step as the workflow does, in this process."""
    values = parse_config({**SETTINGS, **settings}).model_dump(mode="json")
    files = prepare_release(values)
    labels = clean_labels(
        parse_config(values), ReleaseFiles(**files), holdout=find_latest_holdout(), spark=spark
    ).as_reference()
    images = preprocess_images(values, files, labels)
    inputs = (values, files, labels, images)
    champion = predict_champion(*inputs)
    seed = parse_config(values).seed
    model = train_network(values, images, "alexnet", seed=seed)
    trainings = [{"seed": seed, "models": [model], "failed": {}}]
    outcome = evaluate(values, labels, images, trainings, champion)
    results = json.loads(Path(outcome["results"]).read_text())
    promotion = promote(outcome["evaluation"])
    made = {"champion": champion, "results": results, "promotion": promotion}
    return {**outcome, **made, "inputs": inputs}


@pytest.fixture(scope="module")
def runs(spark, tmp_path_factory):
    """A run on one release; the same again; then one on another that shares galaxies."""
    folder = tmp_path_factory.mktemp("champion")
    first = {
        "release": "class_table",
        "source": str(
            write_release(
                folder / "one",
                first_id=1000,
                first_place=0,
                size_px=64,
                classes=("completely_round_smooth", "edge_on"),
            )
        ),
    }
    second = {
        "release": "class_table",
        "source": str(
            write_release(
                folder / "two",
                first_id=70000,
                first_place=140,  # a hundred galaxies are in both
                size_px=96,
                classes=("E", "edge_on"),
            )
        ),
        "class_names": {"E": "elliptical"},
        "image_size_px": 40,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(folder / "runs"))
        yield [run(spark, settings) for settings in (first, first, second, second)]


def test_the_first_run_has_nothing_to_compare_with_and_again_neither(runs):
    for one in runs[:2]:
        assert one["champion"] == {"predictions": None, "is_first": True}
        assert one["results"]["challenge"] is None
    assert runs[0]["report"] == runs[1]["report"]
    assert "There is no champion yet on observed galaxies" in Path(runs[0]["report"]).read_text()
    assert [one["promotion"]["is_new"] for one in runs[:2]] == [True, False]


def test_models_of_other_classes_are_compared_and_do_not_replace_each_other(runs):
    assert runs[2]["champion"]["is_first"]
    assert runs[2]["results"]["decision"]["champion"] is None
    assert runs[2]["promotion"]["is_new"]
    with open_store() as client:
        champions = [list(walk_champions(client, name)) for name in list_names(client)]
    assert [len(line) for line in champions] == [1, 1]


def test_the_next_release_is_compared_on_galaxies_that_neither_has_learned_from(runs):
    found = runs[2]["results"]["challenge"]
    assert found["champion_architecture"] == "alexnet"
    assert found["champion_evaluation"] == Path(runs[0]["report"]).parent.name
    assert found["classes"] == ["edge_on", "smooth"]  # elliptical and round are of one kind
    assert found["are_kinds"]
    # The split of a galaxy follows from its place, so those in this test that the champion knows
    # were in its test, too: it has learned from none of them.
    assert found["num_unseen"] == found["num_common"] == found["num_test"]
    assert found["num_without_place"] == found["num_uncertain"] == 0
    assert found["may_know"] == ""
    for one in ("champion", "challenger"):
        assert found[one]["num_galaxies"] == found["num_common"]
        assert found[one]["macro_f1"]["value"] > 0.3
    assert found["verdict"] in html.unescape(Path(runs[2]["report"]).read_text())


def test_the_drift_between_two_releases_is_measured(runs):
    drift = runs[2]["results"]["drift"]
    assert drift["common_galaxies"] == 100
    assert drift["changed_galaxies"] == 50
    assert drift["label_changes"] == [
        {"then": "completely_round_smooth", "now": "elliptical", "galaxies": 50}
    ]
    assert drift["then_sizes"] == {"64×64": NUMBER}
    assert drift["now_sizes"] == {"96×96": NUMBER}
    rows = {one["name"]: (one["then"], one["now"]) for one in drift["rows"]}
    assert rows == {"rows": (NUMBER, NUMBER), "labelled galaxies": (NUMBER, NUMBER)}
    classes = {one["name"]: (one["then"], one["now"]) for one in drift["classes"]}
    assert classes["completely_round_smooth"] == (NUMBER // 2, 0)
    assert not drift["is_same_preparation"]
    assert {one["name"] for one in drift["images"]} >= {"brightness", "contrast"}
    assert all(0 <= one["distance"] <= 1 for one in drift["images"])


def test_the_same_run_again_meets_the_same_champion(runs):
    assert runs[3]["champion"] == runs[2]["champion"]
    assert runs[3]["report"] == runs[2]["report"]


def test_the_test_set_is_recorded_with_the_result(runs):
    for one in runs:
        test_set = one["results"]["test_set"]
        assert (
            test_set["galaxies"]
            == one["results"]["networks"][0]["models"][0]["evaluation"]["num_galaxies"]
        )
        assert test_set["sha256"] in Path(one["report"]).read_text()


def test_a_champion_whose_model_is_gone_or_damaged_is_named(runs):
    """Nothing else takes its place without somebody's doing."""
    config = {**runs[0]["inputs"][0], "seed": 9}  # another run on the first release
    model = Path(runs[0]["model"])
    record, hidden = model / "model.json", model.with_name(".hidden")
    model.rename(hidden)
    try:
        with pytest.raises(InputError, match=f"{model} is not a published artifact"):
            predict_champion(config, *runs[0]["inputs"][1:])
    finally:
        hidden.rename(model)
    content = record.read_bytes()
    record.write_bytes(content[:20])
    try:
        with pytest.raises(InputError, match="was changed"):
            predict_champion(config, *runs[0]["inputs"][1:])
    finally:
        record.write_bytes(content)


def test_simulated_galaxies_meet_no_champion_of_observed_ones(runs):
    with open_store() as client:
        assert all(name.startswith("observed-2-classes-") for name in list_names(client))
    settings = {**runs[0]["inputs"][0], "release": "simulated", "source": "", "seed": 9}
    found = predict_champion(settings, *runs[0]["inputs"][1:])
    assert found == {"predictions": None, "is_first": True}


def test_the_first_run_once_more_still_meets_no_champion(runs):
    """Though it has become champion since, and another after it."""
    assert predict_champion(*runs[0]["inputs"]) == {"predictions": None, "is_first": True}


def test_a_run_whose_model_was_not_promoted_meets_the_champion_of_today(runs):
    """Else it would be told for ever to run again, and be compared with what is no champion now."""
    challenger = {**runs[0]["inputs"][0], "seed": 10}
    inputs = (challenger, *runs[0]["inputs"][1:])
    champion = runs[0]["promotion"]
    first = predict_champion(*inputs)
    assert not first["is_first"]
    with open_store() as client:
        version = get_version(client, champion["name"], champion["version"])
        facts = replace(version.facts, evaluation=Path(runs[2]["report"]).parent.name)
        other = register(client, champion["name"], facts, classes=[], card="")
        promote_version(client, other, reason="another has become champion")
    again = predict_champion(*inputs)
    with open_store() as client:
        roll_back(client, champion["name"])
    assert again["predictions"] != first["predictions"]
