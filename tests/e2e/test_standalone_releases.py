"""A manifest in the watched folder starts one retraining by itself."""

import pytest
from announcing import announce, list_own_runs, wait_for_runs
from harness import SETTINGS, wait_for

pytestmark = pytest.mark.e2e


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
    assert "Release announced: first" in standalone.log("choose_release", announced)


def test_what_is_trained_already_is_not_trained_again(standalone, announced):
    for name in ("train_alexnet", "train_resnet", "train_densenet"):
        assert standalone.result(name, announced) == standalone.result(name)


def test_the_same_manifest_again_and_a_wrong_one_start_nothing(standalone, announced):
    announce(standalone, name="first", file_name="again.toml", bootstrap_samples=150)
    (standalone.runs / "announced" / "wrong.toml").write_text("name = 'wrong'")
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
        assert f"Release announced: {name}" in standalone.log("choose_release", run_id)
    assert "/missing does not exist" in standalone.log("prepare_release", runs[0])
    _, second, third = (standalone.tasks(run_id) for run_id in runs)
    assert second["evaluate"]["end_date"] <= third["choose_release"]["start_date"]
