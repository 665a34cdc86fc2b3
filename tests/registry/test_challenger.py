"""What was decided of a challenger is done once, if it still holds."""

import pytest
from fixtures.registry_inputs import CLASSES, OBSERVED, publish_evaluation, publish_model

from galaxy_tasks.errors import InputError
from galaxy_tasks.registry import champions, models
from galaxy_tasks.registry.challenger import (
    Promotion,
    promote_challenger,
    read_decision,
    register_challenger,
)
from galaxy_tasks.registry.store import open_store

NAME = models.name_model(OBSERVED, CLASSES)


@pytest.fixture
def client(home):
    with open_store() as client:
        yield client


@pytest.fixture
def first(client):
    """The first champion's model."""
    model = publish_model(1)
    promote_challenger(client, publish_evaluation(model, is_promoted=True))
    return model


def challenge(client, number: int, champion, *, is_promoted: bool = True) -> Promotion:
    evaluation = publish_evaluation(
        publish_model(number), is_promoted=is_promoted, champion=champion
    )
    return promote_challenger(client, evaluation)


def find_champion(client) -> str | None:
    found = champions.find_champion(client, NAME)
    return found and found.facts.model


def test_a_decision_survives_being_written(home):
    model = publish_model(1)
    decision = read_decision(publish_evaluation(model, is_promoted=True))
    assert (decision.is_promoted, decision.challenger, decision.champion) == (True, model.key, None)


def test_a_registered_challenger_has_its_card_and_its_weights_digest(client):
    evaluation = publish_evaluation(publish_model(1), is_promoted=False)
    version = register_challenger(client, evaluation)
    assert version.name == NAME
    assert version.facts.evaluation == evaluation.key
    assert len(version.facts.sha256) == 64
    assert client.get_model_version(NAME, "1").description == f"# {version.facts.model}\n"


def test_the_better_one_becomes_champion_and_once_only_is_it_new(client, first):
    promotion = challenge(client, 2, first)
    assert (promotion.is_champion, promotion.is_new) == (True, True)
    assert promotion.reason == "Promoted: better."
    again = challenge(client, 2, first)
    assert (again.is_champion, again.is_new) == (True, False)
    assert find_champion(client) == promotion.version.facts.model


def test_only_the_run_that_promoted_may_tell_of_it_again(client, first):
    evaluation = publish_evaluation(publish_model(2), is_promoted=True, champion=first)
    told = [promote_challenger(client, evaluation, run=run) for run in ("d/1", "d/1", "d/2", "")]
    assert [one.is_new for one in told] == [True, False, False, False]
    assert [one.is_own for one in told] == [True, True, False, False]


def test_the_worse_one_is_registered_and_nothing_more(client, first):
    promotion = challenge(client, 2, first, is_promoted=False)
    assert (promotion.is_champion, promotion.is_new) == (False, False)
    assert promotion.reason == "Not promoted: worse."
    assert find_champion(client) == first.key
    assert len(models.list_versions(client, NAME)) == 2


def test_two_that_beat_the_same_champion_do_not_beat_each_other(client, first):
    second = challenge(client, 2, first)
    third = challenge(client, 3, first)
    assert not third.is_champion
    assert "is champion now, which is not what it was compared with" in third.reason
    assert find_champion(client) == second.version.facts.model


def test_two_first_ones_do_not_replace_each_other(client, first):
    other = challenge(client, 2, None)
    assert not other.is_champion
    assert find_champion(client) == first.key


def test_what_was_rolled_back_does_not_come_back_by_itself(client, first):
    second = challenge(client, 2, first).version
    champions.roll_back(client, NAME)
    again = challenge(client, 2, first)
    assert (again.is_champion, again.is_new) == (False, False)
    assert f"models promote {NAME} {second.number}" in again.reason
    assert find_champion(client) == first.key


def test_without_its_model_a_challenger_is_refused_and_the_champion_stays(client, first):
    model = publish_model(2)
    evaluation = publish_evaluation(model, is_promoted=True, champion=first)
    (model.path / "manifest.json").unlink()
    with pytest.raises(InputError, match="not a published artifact"):
        promote_challenger(client, evaluation)
    assert find_champion(client) == first.key
