"""The model that a run starts from is found by its name, and held fast; or refused."""

import shutil

import pytest
from fixtures.model_inputs import KERAS_MARKS
from fixtures.trained_inputs import publish_untrained

from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.ablate import plan_ablation
from galaxy_tasks.pipeline.pin_start import pin_start
from galaxy_tasks.pipeline.prepare_release import prepare_release
from galaxy_tasks.registry import champions, models
from galaxy_tasks.registry.models import Facts
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.storage import artifacts

pytestmark = KERAS_MARKS
CLASSES = ("round", "spiral")
SETTINGS = {"architectures": ["resnet18"], "image_size_px": 32}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pinned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(folder / "runs"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder


def publish(name: str, **settings):
    with artifacts.open_draft("labels", {"of": name}) as draft:
        labels = draft.published or draft.publish({})
    with artifacts.open_draft("images", {"of": name}) as draft:
        images = draft.published or draft.publish({"labels": labels.key})
    return publish_untrained(name, classes=CLASSES, images=images.key, **settings)


@pytest.fixture(scope="module")
def model():
    return publish("one")


@pytest.fixture(scope="module")
def name(model):
    """The name of two registered versions, of which the second is champion."""
    with open_store() as client:
        for folder in (publish("two"), model):
            facts = Facts(folder.name, "evaluation", "0", "resnet18", "simulated")
            version = models.register(
                client, "simulated-2-classes-00000000", facts, classes=CLASSES, card=""
            )
        champions.promote(client, version, reason="It is better.", by="somebody")
    return version.name


def pin(start_from: str, **settings) -> str:
    return pin_start({**SETTINGS, "start_from": start_from, **settings})["start_from"]


def test_a_name_means_its_champion_and_a_number_a_version(name, model):
    assert pin(name) == pin(f"{name}/2") == model.name
    assert pin(f"{name}/1") == publish("two").name
    # A later champion changes nothing for a run that has begun.
    assert pin(pin(name)) == model.name


def test_a_folder_may_lie_in_another_home(home, model):
    assert pin(str(model)) == model.name
    shutil.copytree(home / "runs", home / "elsewhere")
    elsewhere = home / "elsewhere" / "models" / model.name
    assert pin(str(elsewhere)) == str(elsewhere)


def test_a_home_behind_a_link_is_the_same_home(home, model, monkeypatch):
    (home / "link").symlink_to(home / "runs")
    monkeypatch.setenv("GALAXY_HOME", str(home / "link"))
    for start in (model.name, str(model), str(home / "link" / "models" / model.name)):
        assert pin(start) == model.name


def test_of_several_architectures_only_the_model_s_is_trained(model):
    several = {"architectures": ["alexnet", "resnet18"], "start_from": model.name}
    assert pin_start({**SETTINGS, **several})["architectures"] == ["resnet18"]


def test_hidden_overlaps_of_releases_are_refused():
    """The challenge has galaxies of Galaxy Zoo 2 under other ids, and no positions."""
    challenge = publish("challenge", release="galaxy_zoo_challenge", source="/data")
    with pytest.raises(InputError, match=r"might be tested on galaxies that resnet18 .* under its"):
        pin(challenge.name, release="galaxy_zoo_2", source="/data")
    assert pin(challenge.name, release="galaxy_zoo_challenge", source="/data") == challenge.name
    assert pin(challenge.name, release="galaxy_zoo_hubble", source="/data") == challenge.name


def test_no_start_changes_nothing():
    assert pin_start(SETTINGS) == SETTINGS


def test_what_is_no_model_is_refused_with_what_there_is(name, tmp_path):
    with pytest.raises(InputError, match=rf"Received: 'champion'\. Models: {name}"):
        pin("champion")
    with pytest.raises(InputError, match=f"There is no version 9 of '{name}'. Versions: 1, 2"):
        pin(f"{name}/9")
    with pytest.raises(InputError, match="NAME/VERSION, or the folder"):
        pin(f"{name}/best")
    for nothing in ("~nobody-of-this-name/models/a", 300 * "a"):
        with pytest.raises(InputError, match="NAME/VERSION, or the folder"):
            pin(nothing)
    with pytest.raises(InputError, match="holds no trained model"):
        pin(str(tmp_path))


def test_settings_that_do_not_suit_are_refused(model):
    with pytest.raises(InputError, match=r"names a resnet18.*Received: densenet121"):
        pin(model.name, architectures=["densenet121"])
    with pytest.raises(InputError, match="was trained with 'weights' 'none'"):
        pin(
            publish("fifty", architecture="resnet50").name,
            architectures=["resnet50"],
            weights="imagenet",
        )
    with pytest.raises(InputError, match="'trunk_rate' slows trained layers down"):
        pin("", trunk_rate=0.1)
    with pytest.raises(InputError, match="may know"):
        plan_ablation({**SETTINGS, "start_from": model.name, "repeats": 2}, {"epochs": [1, 2]})


def test_a_model_whose_galaxies_are_unknown_is_refused(home):
    folder = publish("forgotten")
    labels = artifacts.get("models", folder.name).manifest["made_from"]["images"]
    shutil.rmtree(home / "runs" / "images" / labels)
    with pytest.raises(InputError, match=r"Which galaxies .* learned from is unknown"):
        pin(folder.name)
    with pytest.raises(InputError, match=r"Which galaxies .* learned from is unknown"):
        prepare_release({**SETTINGS, "start_from": folder.name})


def test_a_changed_model_is_refused():
    folder = publish("changed")
    with (folder / "weights.weights.h5").open("ab") as file:
        file.write(b"0")
    with pytest.raises(InputError, match="was changed"):
        pin(folder.name)
