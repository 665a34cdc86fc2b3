"""A challenger is promoted if it is shown to be better, and for no other reason."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures.published_runs import publish

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.challenge import Challenge, ChampionComparison
from galaxy_tasks.evaluation.metrics import (
    Comparison,
    Estimate,
    Evaluation,
    evaluate_probabilities,
)
from galaxy_tasks.evaluation.promotion import Decision, count_decisions, decide


def compare(low: float, value: float, high: float) -> Comparison:
    return Comparison(
        first="resnet18",
        second="alexnet",
        difference=Estimate(value, low, high),
        p_value=0.5,
        is_distinguishable=low > 0 or high < 0,
        only_first_right=1,
        only_second_right=1,
        mcnemar_p_value=1.0,
    )


def score(labels: np.ndarray) -> Evaluation:
    table = np.eye(2)[labels]
    return evaluate_probabilities(
        table,
        calibrated=table,
        labels=labels,
        architecture="resnet18",
        classes=("round", "spiral"),
        bootstrap_samples=10,
        seed=1,
    )


CHALLENGE = Challenge(
    champion_architecture="alexnet",
    champion_release="class_table",
    champion_published="2026-11-24T03:00:00Z",
    champion_evaluation="e",
    champion_model="old",
    is_same_model=False,
    num_test=500,
    num_unseen=480,
    num_without_place=0,
    num_uncertain=0,
    may_know="",
    num_common=480,
    classes=("round", "spiral"),
    are_kinds=False,
    champion=None,
    challenger=score(np.arange(480) % 2),
    comparison=compare(0.001, 0.02, 0.039),
    verdict="",
)


def judge(challenge: Challenge | None, *, is_first=False, times=0, **settings) -> Decision:
    return decide(
        RunConfig(**settings),
        ChampionComparison(challenge, None),
        challenger="new",
        is_first=is_first,
        times_decided=times,
    )


@pytest.mark.parametrize(
    ("low", "value", "high", "is_promoted"),
    [
        (0.001, 0.02, 0.039, True),
        (0.0, 0.02, 0.04, False),  # a tie keeps the champion
        (-0.001, 0.02, 0.041, False),
        (-0.04, -0.02, -0.001, False),  # shown to be worse
    ],
)
def test_a_challenger_is_promoted_if_the_interval_of_its_lead_is_above_zero(
    low, value, high, is_promoted
):
    decision = judge(replace(CHALLENGE, comparison=compare(low, value, high)))
    assert decision.is_promoted == is_promoted
    assert (decision.challenger, decision.champion) == ("new", "old")
    sign = "+" if value > 0 else "−"
    assert f"{sign}{abs(value):.3f} in macro-F1" in decision.reason
    assert "on 480 galaxies" in decision.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"comparison": None, "num_common": 12}, "12 common galaxies are too few"),
        ({"is_same_model": True}, "the challenger is the champion"),
    ],
)
def test_without_a_comparison_the_champion_stays(changes, reason):
    decision = judge(replace(CHALLENGE, **changes))
    assert not decision.is_promoted
    assert decision.champion is None  # so that it does not count as a decision
    assert reason in decision.reason


def test_a_class_of_few_common_galaxies_decides_nothing():
    counts = {5: "Promoted", 4: "Not promoted: 4 of the 480 common galaxies are of class spiral. "}
    for count, begin in counts.items():
        labels = (np.arange(480) < count).astype(int)
        decision = judge(replace(CHALLENGE, challenger=score(labels)))
        assert decision.reason.startswith(begin)
        assert decision.is_promoted == (decision.champion == "old") == (count == 5)


def test_where_the_champion_could_not_be_compared_with_it_stays():
    decision = judge(None)
    assert not decision.is_promoted
    assert "was not compared" in decision.reason


def test_the_first_of_its_classes_is_promoted_also_beside_a_champion_of_others():
    for challenge in (None, replace(CHALLENGE, comparison=compare(-0.4, -0.2, -0.1))):
        decision = judge(challenge, is_first=True, times=3)
        assert decision.is_promoted
        assert decision.champion is None
        assert decision.reason == "Promoted: it is the first model of these classes."


@pytest.mark.parametrize("is_first", [True, False])
def test_a_run_that_ignored_the_holdout_promotes_nothing(is_first):
    decision = judge(CHALLENGE, is_first=is_first, holdout="ignore")
    assert not decision.is_promoted
    assert "holdout" in decision.reason


@pytest.mark.parametrize(("times", "said"), [(0, ""), (1, "decided once"), (3, "decided 3 times")])
def test_it_is_said_how_often_the_test_has_decided(times, said):
    decision = judge(CHALLENGE, times=times)
    assert decision.times_decided == times
    assert said in decision.reason
    assert ("decided" in decision.reason) == bool(times)


def test_decisions_on_the_same_test_set_are_counted(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    for number, test_set in enumerate(("a", "a", "b", None)):
        publish("evaluations", str(number), {"decided_on": test_set})
    damaged = publish("evaluations", "damaged", {"decided_on": "a"})
    (damaged.path / "manifest.json").write_text("{")
    assert count_decisions("a") == 2
    assert count_decisions("c") == 0
    assert "is passed over" in caplog.text
