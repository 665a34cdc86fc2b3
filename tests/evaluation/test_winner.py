from dataclasses import replace

import pytest
from fixtures.scored_inputs import score

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.winner import (
    choose_challenger,
    choose_winner,
    describe_comparison,
    rank,
)

COSTS = {"alexnet": 700_000_000, "resnet50": 4_000_000_000, "densenet121": 2_800_000_000}


def choose(errors, *, margin=0.02, num_galaxies=900, costs=COSTS):
    scored = score(errors, costs=costs, num_galaxies=num_galaxies)
    return choose_winner(scored.networks, scored.comparer(), margin=margin, alpha=0.05)


def test_the_best_wins_where_no_cheaper_one_is_shown_to_be_close():
    chosen = choose({"alexnet": [0.3], "resnet50": [0.1], "densenet121": [0.11]})
    assert (chosen.winner, chosen.best) == ("resnet50", "resnet50")
    assert [one.architecture for one in chosen.deficits] == ["densenet121", "alexnet"]
    assert "No cheaper network is shown to be at most 0.020 behind it" in chosen.reason


def test_that_two_cannot_be_told_apart_is_no_reason_to_prefer_the_cheaper():
    chosen = choose({"resnet50": [0.10], "densenet121": [0.14]}, num_galaxies=150)
    assert not chosen.comparisons[0].is_distinguishable
    assert chosen.winner == "resnet50"


def test_the_cheapest_that_is_shown_to_be_close_wins():
    errors = {"alexnet": [0.3], "resnet50": [0.1], "densenet121": [0.103]}
    chosen = choose(errors, num_galaxies=20_000)
    assert (chosen.winner, chosen.best) == ("densenet121", "resnet50")
    (close, far) = chosen.deficits
    assert close.bound < 0.02 < far.bound
    assert chosen.reason.startswith("densenet121 is the cheapest network (2.80 G multiply-adds")


def test_a_wide_margin_lets_a_cheap_network_win():
    errors = {"alexnet": [0.3], "resnet50": [0.1], "densenet121": [0.103]}
    assert choose(errors, margin=0.3, num_galaxies=20_000).winner == "alexnet"


def test_the_cheapest_network_wins_without_further_words_where_it_is_the_best():
    chosen = choose({"alexnet": [0.1], "resnet50": [0.2]})
    assert chosen.winner == "alexnet"
    assert chosen.reason.endswith("and is the cheapest.")


def test_an_order_of_one_seed_each_comes_with_a_caution():
    once, repeated = (
        {"alexnet": [0.2], "resnet50": [0.1]},
        {"alexnet": [0.2, 0.21], "resnet50": [0.1, 0.12]},
    )
    assert "may be the seed's doing" in choose(once).caution
    assert choose(repeated).caution == ""
    assert "mean of 2 seeds" in choose(repeated).reason


def test_a_pair_is_described_by_difference_interval_power_and_what_it_would_take():
    apart, level = (
        describe_comparison(choose(errors).comparisons[0], alpha=0.05)
        for errors in (
            {"alexnet": [0.3, 0.31], "resnet50": [0.1, 0.11]},
            {"alexnet": [0.11, 0.12], "resnet50": [0.1, 0.13]},
        )
    )
    assert apart.startswith("resnet50 leads alexnet by 0.2")
    assert "cannot be told apart" in level
    for sentence in (apart, level):
        assert "95 % interval" in sentence
        assert "would have shown a difference of" in sentence


def test_an_only_network_wins_and_the_reason_says_that_it_is_the_only_one():
    scored = score({"alexnet": [0.1]})
    chosen = choose_winner(scored.networks, scored.comparer(), margin=0.02, alpha=0.05)
    assert (chosen.winner, chosen.comparisons, chosen.deficits) == ("alexnet", (), ())
    assert chosen.reason.startswith("alexnet is the only trained network: macro-F1 0.900")
    assert chosen.caution.startswith("alexnet was trained once, so its score may be the seed's")


def test_no_network_and_one_that_is_named_twice_are_refused():
    scored = score({"alexnet": [0.1]})
    with pytest.raises(InputError, match="no winner without a trained model"):
        choose_winner([], scored.comparer(), margin=0.02, alpha=0.05)
    with pytest.raises(InputError, match="alexnet 2 times"):
        choose_winner(scored.networks * 2, scored.comparer(), margin=0.02, alpha=0.05)


def test_networks_of_equal_score_are_ranked_by_what_they_cost():
    errors = {"resnet50": [0.1], "alexnet": [0.1]}
    scored = score(errors, costs=COSTS)
    equal = [one for one in scored.networks]
    ranked = rank(equal)
    if equal[0].macro_f1.value == equal[1].macro_f1.value:
        assert [one.architecture for one in ranked] == ["alexnet", "resnet50"]


def test_only_the_networks_that_were_trained_once_are_cautioned_against():
    selection = choose({"alexnet": [0.1, 0.11], "resnet18": [0.1], "densenet121": [0.1, 0.12]})
    assert selection.caution.startswith("resnet18 was trained once")
    assert "clear the trainings that failed" in selection.caution


def with_validation(network, scores):
    models = [
        replace(model, validation_macro_f1=score)
        for model, score in zip(network.models, scores, strict=True)
    ]
    return replace(network, models=tuple(models))


def test_the_best_mean_in_validation_makes_a_challenger_not_one_lucky_training_nor_the_test():
    scored = score({"alexnet": [0.3, 0.3], "resnet50": [0.1, 0.1]}, costs=COSTS)
    validation = {"alexnet": [0.85, 0.86], "resnet50": [0.79, 0.87]}
    networks = [with_validation(one, validation[one.architecture]) for one in scored.networks]
    assert choose_challenger(networks) == "alexnet"


def test_of_networks_that_are_equal_in_validation_the_cheaper_gives_the_challenger():
    scored = score({"resnet50": [0.1], "alexnet": [0.3]}, costs=COSTS)
    networks = [with_validation(each, [1.0]) for each in scored.networks]
    assert choose_challenger(networks) == "alexnet"
