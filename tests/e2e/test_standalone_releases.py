"""A manifest in the watched folder starts one retraining by itself, and so does a new version."""

import json

import pytest
from announcing import announce, list_own_runs, wait_for_runs
from harness import SETTINGS, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def announced(standalone):
    """The one run that a manifest has started, after its end."""
    announce(standalone, name="first", file_name="first.toml", bootstrap_samples=150)
    (run_id,) = wait_for_runs(standalone, 1)
    assert standalone.wait_for_end(run_id) == "success"
    return run_id


def test_a_manifest_starts_a_run_with_its_settings(standalone, announced):
    settings = standalone.result("choose_release", announced)
    assert {name: settings[name] for name in SETTINGS} == SETTINGS
    assert settings["bootstrap_samples"] == 150
    assert "Release: first" in standalone.log("choose_release", announced)


def test_what_is_trained_already_is_not_trained_again(standalone, announced):
    for name in ("train_alexnet", "train_resnet", "train_densenet"):
        assert standalone.result(name, announced) == standalone.result(name)


def test_the_same_manifest_again_and_a_wrong_one_start_nothing(standalone, announced):
    announce(standalone, name="first", file_name="again.toml", bootstrap_samples=150)
    (standalone.runs / "inbox" / "wrong.toml").write_text("name = 'wrong'")
    log = standalone.home / "standalone.log"
    wait_for(lambda: "wrong.toml: expected a 'name'" in log.read_text(), timeout_s=60)
    assert list_own_runs(standalone) == [announced]


def test_several_at_once_are_trained_on_in_turn_whatever_becomes_of_the_first(
    standalone, announced
):
    announce(standalone, name="bad", file_name="a.toml", release="class_table", source="/missing")
    for name in ("second", "third"):
        announce(standalone, name=name, file_name=f"{name}.toml", bootstrap_samples=160)
    runs = wait_for_runs(standalone, 4)[1:4]
    assert [standalone.wait_for_end(run_id) for run_id in runs] == ["failed", "success", "success"]
    for run_id, name in zip(runs, ("bad", "second", "third"), strict=True):
        assert f"Release: {name}" in standalone.log("choose_release", run_id)
    assert "/missing does not exist" in standalone.log("prepare_release", runs[0])
    _, second, third = (standalone.tasks(run_id) for run_id in runs)
    assert second["evaluate"]["end_date"] <= third["choose_release"]["start_date"]


def publish(zenodo, number, *, version, md5):
    files = [{"key": "a.csv", "checksum": f"md5:{md5}", "links": {"self": "https://z/a.csv"}}]
    metadata = {"title": "Galaxies", "version": version}
    record = {"id": number, "conceptrecid": "700", "metadata": metadata, "files": files}
    zenodo.serve("/api/records/700/versions/latest", json.dumps(record).encode())


def test_each_version_on_zenodo_starts_one_run_that_says_what_changed(
    standalone, announced, zenodo
):
    before = len(list_own_runs(standalone))
    log = standalone.home / "standalone.log"
    announce(standalone, name="followed", file_name="f.toml", concept="700", bootstrap_samples=150)
    wait_for(lambda: "New versions cannot be seen." in log.read_text(), timeout_s=60)
    publish(zenodo, 701, version="1.0", md5="1" * 32)
    first = wait_for_runs(standalone, before + 1)[before]
    assert standalone.wait_for_end(first) == "success"
    assert standalone.result("choose_release", first)["zenodo_record"] == "701"
    told = "Release: followed, version 1.0 (Zenodo record 701)"
    assert told in standalone.log("choose_release", first)

    publish(zenodo, 702, version="2.0", md5="2" * 32)
    second = wait_for_runs(standalone, before + 2)[before + 1]
    assert standalone.wait_for_end(second) == "success"
    told = "followed, version 2.0 (Zenodo record 702) (files changed: a.csv)"
    assert told in standalone.log("choose_release", second)
    asked = len(zenodo.requests)
    wait_for(lambda: len(zenodo.requests) > asked + 2, timeout_s=60)
    assert list_own_runs(standalone)[before:] == [first, second]
