"""Versions are registered once, one at most is champion, and the way back is known."""

import re
from datetime import datetime
from unittest.mock import Mock

import pytest
from fixtures.registry_inputs import CLASSES, OBSERVED, add_version
from typer.testing import CliRunner

from galaxy_tasks.cli.main import app
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.registry import champions, models
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
    assert champions.find_champion(client, NAME) is None
    add_version(client, 1)
    assert champions.find_champion(client, NAME) is None


def numbers(client) -> list[int]:
    """Return the champion's number and those that rollbacks would lead to."""
    return [one.number for one in champions.walk_champions(client, NAME)]


def test_a_promotion_is_remembered(client):
    first, second = add_version(client, 1), add_version(client, 2)
    champions.promote(client, first, reason="the first")
    champions.promote(client, second, reason="better", by="ada", run="dag/run")
    last = champions.read_line(client, NAME).last
    assert last is not None
    facts = (last.version, last.reason, last.by, last.run, last.is_rollback)
    assert facts == (2, "better", "ada", "dag/run", False)
    age = datetime.now().astimezone() - datetime.fromisoformat(last.time)
    assert 0 <= age.total_seconds() < 60


def test_promoting_the_champion_again_changes_nothing(client):
    version = add_version(client, 1)
    champions.promote(client, version, reason="the first")
    line = champions.read_line(client, NAME)
    champions.promote(client, version, reason="again")
    assert champions.read_line(client, NAME) == line


def test_the_way_back_leads_over_all_champions(client):
    for number in (1, 2, 3):
        champions.promote(client, add_version(client, number), reason="better")
    assert numbers(client) == [3, 2, 1]
    assert champions.roll_back(client, NAME, reason="odd", by="ada").number == 2
    last = champions.read_line(client, NAME).last
    assert last is not None
    assert (last.version, last.reason, last.by, last.is_rollback) == (2, "odd", "ada", True)
    assert champions.roll_back(client, NAME).number == 1
    with pytest.raises(InputError, match="version 1 is the first champion"):
        champions.roll_back(client, NAME)
    # What was rolled back is no predecessor of the next.
    champions.promote(client, add_version(client, 4), reason="better")
    assert numbers(client) == [4, 1]
    assert len(champions.read_line(client, NAME).changes) == 6


def test_a_version_that_is_promoted_again_leaves_the_way_back_as_it_was(client):
    versions = [add_version(client, number) for number in (1, 2, 3)]
    for version in (*versions, versions[0]):
        champions.promote(client, version, reason="better")
    assert numbers(client) == [1, 3, 2, 1]
    assert [champions.roll_back(client, NAME).number for _ in range(3)] == [3, 2, 1]
    with pytest.raises(InputError, match="first champion"):
        champions.roll_back(client, NAME)


def test_a_change_that_was_begun_and_not_made_never_was(client, monkeypatch):
    first, second, third = (add_version(client, number) for number in (1, 2, 3))
    champions.promote(client, first, reason="the first")
    champions.promote(client, second, reason="better")
    with monkeypatch.context() as patch:
        patch.setattr(client, "set_registered_model_alias", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            champions.promote(client, third, reason="ended here")
    assert numbers(client) == [2, 1]
    assert champions.roll_back(client, NAME).number == 1
    champions.promote(client, third, reason="better")
    assert numbers(client) == [3, 1]


def test_what_is_set_or_deleted_on_mlflows_page_is_understood(client, caplog):
    for number in (1, 2):
        champions.promote(client, add_version(client, number), reason="better")
    add_version(client, 3)
    client.set_registered_model_alias(NAME, "champion", "3")
    assert numbers(client) == [3, 2, 1]
    champions.promote(client, add_version(client, 4), reason="better")
    assert numbers(client) == [4, 3, 2, 1]
    client.delete_model_version(NAME, "2")
    assert numbers(client) == [4, 3]
    assert "no version 2" in caplog.text
    champions.roll_back(client, NAME)
    with pytest.raises(InputError, match="no version 2"):
        champions.roll_back(client, NAME)


def test_names_of_others_are_left_alone(client):
    client.create_registered_model("fraud-detector")
    add_version(client, 1)
    assert models.list_names(client) == [NAME]


@pytest.mark.parametrize("name", ["it's", "a/b", "x:y", "", "a" * 300])
def test_a_name_that_cannot_be_is_refused_as_unknown(client, name):
    with pytest.raises(InputError, match="no model"):
        models.get_version(client, name, 1)
    with pytest.raises(InputError, match="no champion"):
        champions.roll_back(client, name)


def test_names_do_not_touch_each_other(client):
    one, other = add_version(client, 1), add_version(client, 2, name="simulated-2")
    champions.promote(client, one, reason="the first")
    assert champions.find_champion(client, "simulated-2") is None
    champions.promote(client, other, reason="the first")
    assert champions.find_champion(client, NAME) == models.get_version(client, NAME, 1)
    newest = champions.find_newest_champion(client, "observed")
    assert newest is not None
    assert newest.name == NAME
    assert champions.find_newest_champion(client, "drawn") is None


def test_a_model_that_is_not_whole_never_becomes_champion(client):
    whole, changed, gone = (add_version(client, number) for number in (1, 2, 3))
    champions.promote(client, whole, reason="the first")
    (changed.model.path / WEIGHTS).write_bytes(b"other")
    (gone.model.path / "manifest.json").unlink()
    for version, why in ((changed, "was changed"), (gone, "not a published artifact")):
        with pytest.raises(InputError, match=why):
            champions.promote(client, version, reason="better")
        found = champions.find_champion(client, NAME)
        assert found is not None
        assert found.number == whole.number


def test_an_unknown_version_or_name_is_refused_with_what_there_is(client):
    add_version(client, 1)
    with pytest.raises(InputError, match=r"no version 9 of 'observed-2'. Versions: 1"):
        models.get_version(client, NAME, 9)
    with pytest.raises(InputError, match=r"no model 'other'. Models: observed-2"):
        models.get_version(client, "other", 1)
    with pytest.raises(InputError, match=r"other has no champion. Models: observed-2"):
        champions.roll_back(client, "other")


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
    assert re.findall(r"(\d)  champion .*, since 2", listed) == ["2"]
    assert "Champion: observed-2 version 1" in run("rollback", "--reason", "odd spirals")
    assert re.findall(r"(\d)  champion", run("list")) == ["1"]
    shown = run("show", NAME, "1")
    assert "looks right" in shown
    assert "Champion again since 2" in shown
    assert "odd spirals" in shown
    assert "# Card 1" in shown


def test_a_server_that_is_away_is_named(home, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with (
        pytest.raises(ResourceError, match=r"MLflow \(http://127.0.0.1:9\)"),
        open_store() as client,
    ):
        models.list_names(client)


def test_a_damaged_database_and_a_home_that_cannot_be_written_are_named(home, monkeypatch):
    (home / "mlflow.db").write_bytes(b"no database" * 500)
    with pytest.raises(ResourceError, match=r"mlflow.db\) does not do"), open_store() as client:
        models.list_names(client)
    (home / "file").touch()
    monkeypatch.setenv("GALAXY_HOME", str(home / "file"))
    with pytest.raises(ResourceError, match="cannot be locked"), open_store():
        pass


def test_a_home_with_signs_of_an_address_is_refused(home, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(home / "90%"))
    with pytest.raises(InputError, match=r"takes no \?, # or %"), open_store():
        pass


def test_the_registry_lies_below_the_home_unless_a_server_is_named(home, monkeypatch):
    assert tracking_uri() == f"sqlite:///{home / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert tracking_uri() == "http://mlflow:5000"
