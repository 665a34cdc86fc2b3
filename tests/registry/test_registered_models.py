"""Versions are registered once, one at most is champion, and the way back is known."""

from datetime import datetime

import pytest
from fixtures.registry_inputs import CLASSES, OBSERVED, add_version
from typer.testing import CliRunner

from galaxy_tasks.cli.main import app
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.registry import models
from galaxy_tasks.registry.store import open_store, tracking_uri
from galaxy_tasks.training.model_record import WEIGHTS

NAME = "observed-2"


@pytest.fixture
def client(home):
    with open_store() as client:
        yield client


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["models", *arguments])
    assert result.exit_code == 0, result.exception or result.output
    return result.output


def test_a_name_stands_for_classes_in_any_order_and_a_kind_of_data():
    name = models.name_model(OBSERVED, ["spiral", "round"])
    assert name == models.name_model(OBSERVED, ["round", "spiral"])
    others = {
        models.name_model(OBSERVED, ["round", "spiral", "edge_on"]),
        models.name_model(OBSERVED, ["round", "edge_on"]),
        models.name_model(RunConfig(), ["spiral", "round"]),
    }
    assert len({name, *others}) == 4


def test_a_version_is_registered_once_and_is_the_challenger(client):
    first, again = add_version(client, 1), add_version(client, 1)
    assert first == again
    second = add_version(client, 2)
    assert [one.number for one in models.list_versions(client, NAME)] == [2, 1]
    assert client.get_registered_model(NAME).aliases == {"challenger": second.number}
    assert client.get_model_version(NAME, "2").description == "# Card 2"
    assert client.get_registered_model(NAME).description == "Classes: round, spiral."


def test_no_version_is_champion_before_one_is_promoted(client):
    assert models.find_champion(client, NAME) is None
    add_version(client, 1)
    assert models.find_champion(client, NAME) is None


def test_a_promotion_is_remembered(client):
    first, second = add_version(client, 1), add_version(client, 2)
    models.promote(client, first, reason="the first")
    champion = models.promote(client, second, reason="better", approver="ada")
    assert champion == models.find_champion(client, NAME)
    facts = (champion.number, champion.replaced, champion.reason, champion.approver)
    assert facts == (2, 1, "better", "ada")
    age = datetime.now().astimezone() - datetime.fromisoformat(champion.promoted)
    assert 0 <= age.total_seconds() < 60


def test_promoting_the_champion_again_changes_nothing(client):
    champion = models.promote(client, add_version(client, 1), reason="the first")
    assert models.promote(client, champion, reason="again") == champion


def test_the_way_back_leads_over_all_champions(client):
    versions = [add_version(client, number) for number in (1, 2, 3)]
    for version in versions:
        models.promote(client, version, reason="better")
    assert [one.number for one in models.walk_champions(client, NAME)] == [3, 2, 1]
    assert models.roll_back(client, NAME).number == 2
    assert models.roll_back(client, NAME).number == 1
    with pytest.raises(InputError, match="version 1 is the first champion"):
        models.roll_back(client, NAME)
    # What was rolled back is no predecessor of the next.
    models.promote(client, add_version(client, 4), reason="better")
    assert [one.number for one in models.walk_champions(client, NAME)] == [4, 1]


def test_who_was_champion_at_a_time(client):
    for number, year in ((1, 2024), (2, 2025), (3, 2026)):
        version = add_version(client, number)
        models.promote(client, version, reason="better")
        client.set_model_version_tag(NAME, str(number), "promoted", f"{year}-01-01T00:00:00Z")

    def find(before: str | None) -> int | None:
        found = models.find_champion(client, NAME, before=before)
        return found and found.number

    assert find(None) == 3
    assert find("2026-01-01T00:00:00Z") == 2
    assert find("2024-06-01T00:00:00Z") == 1
    assert find("2023-01-01T00:00:00Z") is None


def test_names_do_not_touch_each_other(client):
    one, other = add_version(client, 1), add_version(client, 2, name="simulated-2")
    models.promote(client, one, reason="the first")
    assert models.find_champion(client, "simulated-2") is None
    models.promote(client, other, reason="the first")
    assert models.find_champion(client, NAME) == models.get_version(client, NAME, 1)
    newest = models.find_newest_champion(client, "observed")
    assert newest is not None
    assert newest.name == NAME


def test_a_model_that_is_not_whole_never_becomes_champion(client):
    whole, changed, gone = (add_version(client, number) for number in (1, 2, 3))
    models.promote(client, whole, reason="the first")
    (changed.model.path / WEIGHTS).write_bytes(b"other")
    (gone.model.path / "manifest.json").unlink()
    for version, why in ((changed, "was changed"), (gone, "not a published artifact")):
        with pytest.raises(InputError, match=why):
            models.promote(client, version, reason="better")
        found = models.find_champion(client, NAME)
        assert found is not None
        assert found.number == whole.number


def test_an_unknown_version_or_name_is_refused_with_what_there_is(client):
    add_version(client, 1)
    with pytest.raises(InputError, match=r"no version 9 of 'observed-2'. Versions: 1"):
        models.get_version(client, NAME, 9)
    with pytest.raises(InputError, match=r"Versions: none. Models: observed-2"):
        models.get_version(client, "other", 1)
    with pytest.raises(InputError, match=r"other has no champion. Models: observed-2"):
        models.roll_back(client, "other")


def test_many_versions_are_all_listed(client):
    for number in range(1, 121):
        facts = models.Facts(f"m{number}", "e", "ab", "resnet18", "a release")
        models.register(client, NAME, facts, classes=CLASSES, card="")
    assert len(models.list_versions(client, NAME)) == 120


def test_the_commands_list_show_promote_and_roll_back(home):
    with open_store() as client:
        for number in (1, 2):
            add_version(client, number)
    assert "Champion: observed-2 version 1" in run("promote", NAME, "1", "--reason", "looks right")
    assert "emits no event" in run("promote", NAME, "2")
    listed = run("list")
    assert "Classes: round, spiral." in listed
    assert "2  champion" in listed
    assert "Champion: observed-2 version 1" in run("rollback")
    shown = run("show", NAME, "1")
    assert "looks right" in shown
    assert "# Card 1" in shown


def test_a_server_that_is_away_is_named(home, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with (
        pytest.raises(ResourceError, match=r"MLflow \(http://127.0.0.1:9\)"),
        open_store() as client,
    ):
        models.list_names(client)


def test_the_registry_lies_below_the_home_unless_a_server_is_named(home, monkeypatch):
    assert tracking_uri() == f"sqlite:///{home / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert tracking_uri() == "http://mlflow:5000"
