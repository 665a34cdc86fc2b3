import pytest

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.metrics import ClassScore, Comparison, Estimate, Evaluation
from galaxy_tasks.evaluation.selection import ScoredCandidate, choose_winner, rank


def candidate(architecture, *, macro_f1, num_parameters=1_000_000, num_galaxies=4):
    score = Estimate(macro_f1, macro_f1 - 0.02, macro_f1 + 0.02)
    return ScoredCandidate(
        evaluation=Evaluation(
            architecture=architecture,
            num_galaxies=num_galaxies,
            classes=("spiral", "edge_on"),
            accuracy=score,
            loss=score,
            macro_f1=score,
            weighted_f1=score,
            balanced_accuracy=score,
            class_scores=(ClassScore("spiral", 1, 1, 1, 2), ClassScore("edge_on", 1, 1, 1, 2)),
            confusion_matrix=((2, 0), (0, 2)),
        ),
        num_parameters=num_parameters,
        training_s=60.0,
        images_per_s=500.0,
        key="0123456789abcdef",
        path="models/0123456789abcdef",
    )


def compare_as(*, is_distinguishable, asked=None):
    def compare(first, second):
        if asked is not None:
            asked.append((first.architecture, second.architecture))
        value = first.macro_f1 - second.macro_f1
        low = value / 2 if is_distinguishable else -0.01
        return Comparison(
            first.architecture,
            second.architecture,
            Estimate(value, low, value + 0.01),
            0.0005 if is_distinguishable else 0.4,
            is_distinguishable,
        )

    return compare


ALEXNET = candidate("alexnet", macro_f1=0.80, num_parameters=57_000_000)
RESNET = candidate("resnet50", macro_f1=0.90, num_parameters=23_500_000)
DENSENET = candidate("densenet121", macro_f1=0.89, num_parameters=7_000_000)


def test_a_clear_lead_wins_whatever_its_size():
    chosen = choose_winner([ALEXNET, DENSENET, RESNET], compare=compare_as(is_distinguishable=True))
    assert (chosen.winner, chosen.runner_up, chosen.is_tie) == ("resnet50", "densenet121", False)
    assert chosen.reason == (
        "resnet50 has the best macro-F1, 0.900, and leads densenet121 (0.890) by 0.010 "
        "(95 % interval 0.005 to 0.020, p < 0.001, paired bootstrap)."
    )


def test_a_tie_goes_to_the_model_with_fewer_parameters_and_says_so():
    chosen = choose_winner([RESNET, DENSENET], compare=compare_as(is_distinguishable=False))
    assert (chosen.winner, chosen.runner_up, chosen.is_tie) == ("densenet121", "resnet50", True)
    assert chosen.reason == (
        "resnet50 (0.900) and densenet121 (0.890) cannot be told apart on 4 test galaxies: their "
        "macro-F1 differs by 0.010 (95 % interval −0.010 to 0.020, p = 0.400, paired bootstrap). "
        "densenet121 wins because it has fewer parameters (7.0 M against 23.5 M)."
    )


def test_a_tie_whose_best_is_also_the_smaller_stays_with_the_best():
    small = candidate("resnet18", macro_f1=0.91, num_parameters=11_000_000)
    chosen = choose_winner([RESNET, small], compare=compare_as(is_distinguishable=False))
    assert (chosen.winner, chosen.is_tie) == ("resnet18", True)


def test_a_tie_of_equal_sizes_goes_to_the_higher_score():
    twin = candidate("densenet169", macro_f1=0.91, num_parameters=7_000_000)
    chosen = choose_winner([DENSENET, twin], compare=compare_as(is_distinguishable=False))
    assert chosen.winner == "densenet169"
    assert "higher macro-F1, both having as many parameters" in chosen.reason


def test_only_the_best_two_are_compared_best_first():
    asked = []
    choose_winner(
        [ALEXNET, DENSENET, RESNET], compare=compare_as(is_distinguishable=True, asked=asked)
    )
    assert asked == [("resnet50", "densenet121")]


def test_one_candidate_alone_wins_without_a_comparison():
    asked = []
    chosen = choose_winner([ALEXNET], compare=compare_as(is_distinguishable=True, asked=asked))
    assert (chosen.winner, chosen.runner_up, chosen.comparison) == ("alexnet", None, None)
    assert asked == []
    assert chosen.reason == "alexnet is the only trained model: macro-F1 0.800 (0.780 to 0.820)."


def test_no_candidate_is_a_clear_failure():
    with pytest.raises(InputError, match="every training task failed or was skipped"):
        choose_winner([], compare=compare_as(is_distinguishable=True))


def test_models_of_other_test_galaxies_are_not_ranked_together():
    other = candidate("resnet18", macro_f1=0.5, num_galaxies=5)
    with pytest.raises(InputError, match="resnet50: 4 galaxies, 2 classes, resnet18: 5 galaxies"):
        choose_winner([RESNET, other], compare=compare_as(is_distinguishable=True))


def test_one_architecture_twice_is_refused():
    with pytest.raises(InputError, match="resnet50 2 times"):
        choose_winner([RESNET, RESNET], compare=compare_as(is_distinguishable=True))


def test_ranking_is_by_score_then_by_size_and_ignores_the_order_given():
    same_score = candidate("resnet34", macro_f1=0.80, num_parameters=21_000_000)
    ranked = rank([ALEXNET, same_score, DENSENET, RESNET])
    names = [one.architecture for one in ranked]
    assert names == ["resnet50", "densenet121", "resnet34", "alexnet"]
    assert rank(ranked[::-1]) == ranked
