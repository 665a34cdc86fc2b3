"""The champion is the newest winner that may be one."""

import pytest
from fixtures.published_runs import OBSERVED, publish_run

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.champion import find_champion
from galaxy_tasks.storage import artifacts


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))


def find(config: RunConfig) -> artifacts.Artifact | None:
    champion = find_champion(config, "another")
    return champion and champion.model


def test_it_is_the_newest_winner_on_galaxies_of_its_kind():
    assert find(OBSERVED) is None
    publish_run("1", OBSERVED)
    newest = publish_run("2", OBSERVED)
    simulated = publish_run("3", RunConfig())
    assert find(OBSERVED) == newest["model"]
    assert find(RunConfig()) == simulated["model"]


def test_a_run_that_ignored_the_holdout_gives_none():
    earlier = publish_run("1", OBSERVED)
    publish_run("2", OBSERVED.model_copy(update={"holdout": "ignore"}))
    assert find(OBSERVED) == earlier["model"]


def test_a_winner_whose_model_was_changed_is_passed_over(caplog):
    earlier, newest = publish_run("1", OBSERVED), publish_run("2", OBSERVED)
    (newest["model"].path / "model.json").write_text("{}")
    assert find(OBSERVED) == earlier["model"]
    assert "is passed over" in caplog.text
