import pytest

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.metrics import ClassScore, Comparison, Estimate, Evaluation
from galaxy_tasks.evaluation.winner import ScoredCandidate, choose_winner, rank


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


def compare_as(*, distinguishable=()):
    """Return a comparison that tells the best from these architectures and from no others."""

    def compare(first, second):
        value = first.macro_f1 - second.macro_f1
        is_clear = second.architecture in distinguishable
        return Comparison(
            first.architecture,
            second.architecture,
            Estimate(value, value / 2 if is_clear else -0.01, value + 0.01),
            0.0005 if is_clear else 0.4,
            is_clear,
        )

    return compare


ALEXNET = candidate("alexnet", macro_f1=0.80, num_parameters=57_000_000)
RESNET = candidate("resnet50", macro_f1=0.90, num_parameters=23_500_000)
DENSENET = candidate("densenet121", macro_f1=0.89, num_parameters=7_000_000)


def test_a_clear_lead_wins_whatever_its_size():
    others = ("alexnet", "densenet121")
    chosen = choose_winner([ALEXNET, DENSENET, RESNET], compare=compare_as(distinguishable=others))
    assert (chosen.winner, chosen.tied) == ("resnet50", ())
    compared = [(one.first, one.second) for one in chosen.comparisons]
    assert compared == [("resnet50", "densenet121"), ("resnet50", "alexnet")]
    assert chosen.reason == (
        "resnet50 has the best macro-F1, 0.900, and leads densenet121 (0.890) by 0.010 "
        "(95 % interval 0.005 to 0.020, p < 0.001, paired bootstrap)."
    )


def test_a_tie_goes_to_the_model_with_the_fewest_parameters_of_all_and_names_all():
    best = candidate("resnet18", macro_f1=0.802, num_parameters=11_200_000)
    second = candidate("alexnet", macro_f1=0.801, num_parameters=57_000_000)
    third = candidate("densenet121", macro_f1=0.800, num_parameters=7_000_000)
    worst = candidate("resnet34", macro_f1=0.7, num_parameters=5_000_000)
    chosen = choose_winner(
        [worst, second, third, best], compare=compare_as(distinguishable=["resnet34"])
    )
    assert (chosen.winner, chosen.tied) == ("densenet121", ("resnet18", "alexnet", "densenet121"))
    assert chosen.reason == (
        "resnet18 has the best macro-F1, 0.802, but on 4 test galaxies it cannot be told apart "
        "from alexnet (0.801), which is behind by 0.001 (95 % interval −0.010 to 0.011, p = 0.400, "
        "paired bootstrap) and densenet121 (0.800), which is behind by 0.002 (95 % interval −0.010 "
        "to 0.012, p = 0.400, paired bootstrap). Among these 3, densenet121 wins because it has "
        "the fewest parameters (7.0 M against 11.2 M and 57.0 M)."
    )


@pytest.mark.parametrize(
    ("others", "distinguishable", "winner", "tied"),
    [
        # The second is worse for certain; the third, which errs elsewhere, is not.
        ([DENSENET, ALEXNET], ["densenet121"], "resnet50", ("resnet50", "alexnet")),
        ([candidate("resnet18", macro_f1=0.91, num_parameters=11_000_000)], [], "resnet18", None),
        ([candidate("twin", macro_f1=0.91, num_parameters=23_500_000)], [], "twin", None),
    ],
    ids=["second_told_apart_third_not", "best_is_smallest", "equal_sizes"],
)
def test_a_tie_is_among_those_that_the_best_cannot_be_told_apart_from(
    others, distinguishable, winner, tied
):
    chosen = choose_winner([RESNET, *others], compare=compare_as(distinguishable=distinguishable))
    assert chosen.winner == winner
    assert chosen.tied == (tied or (winner, "resnet50"))


def test_one_candidate_alone_wins_without_a_comparison():
    chosen = choose_winner([ALEXNET], compare=lambda one, two: pytest.fail("one candidate"))
    assert (chosen.winner, chosen.comparisons, chosen.tied) == ("alexnet", (), ())
    assert chosen.reason == "alexnet is the only trained model: macro-F1 0.800 (0.780 to 0.820)."


def test_no_candidate_is_a_clear_failure():
    with pytest.raises(InputError, match="every training task failed or was skipped"):
        choose_winner([], compare=compare_as())


def test_models_of_other_test_galaxies_are_not_ranked_together():
    other = candidate("resnet18", macro_f1=0.5, num_galaxies=5)
    with pytest.raises(InputError, match="resnet50: 4 galaxies, 2 classes, resnet18: 5 galaxies"):
        choose_winner([RESNET, other], compare=compare_as())


def test_one_architecture_twice_is_refused():
    with pytest.raises(InputError, match="resnet50 2 times"):
        choose_winner([RESNET, RESNET], compare=compare_as())


def test_ranking_is_by_score_then_by_size_and_ignores_the_order_given():
    same_score = candidate("resnet34", macro_f1=0.80, num_parameters=21_000_000)
    ranked = rank([ALEXNET, same_score, DENSENET, RESNET])
    names = [one.architecture for one in ranked]
    assert names == ["resnet50", "densenet121", "resnet34", "alexnet"]
    assert rank(ranked[::-1]) == ranked
