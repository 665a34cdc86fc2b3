import numpy as np
import pytest
from sklearn.metrics import log_loss

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.metrics import (
    Evaluation,
    compare_models,
    evaluate_probabilities,
)

CLASSES = ("spiral", "edge_on", "cigar")


def probabilities_of(predictions, *, num_classes=3, confidence=0.8):
    table = np.full((len(predictions), num_classes), (1 - confidence) / (num_classes - 1))
    table[np.arange(len(predictions)), predictions] = confidence
    return table


def evaluate(labels, predictions, *, confidence=0.8, classes=CLASSES, samples=500) -> Evaluation:
    return evaluate_probabilities(
        probabilities_of(predictions, num_classes=len(classes), confidence=confidence),
        labels=np.array(labels),
        architecture="resnet18",
        classes=classes,
        bootstrap_samples=samples,
        seed=1,
    )


def noisy_predictions(labels, *, error_share, seed):
    random = np.random.default_rng(seed)
    is_wrong = random.random(len(labels)) < error_share
    return np.where(is_wrong, (labels + 1) % 3, labels)


def test_a_perfect_model_scores_one_everywhere():
    result = evaluate([0, 0, 1, 2, 2], [0, 0, 1, 2, 2])
    for estimate in (result.accuracy, result.macro_f1, result.weighted_f1):
        assert estimate.low < estimate.value == estimate.high == 1.0  # five galaxies prove little
    assert result.confusion_matrix == ((2, 0, 0), (0, 1, 0), (0, 0, 2))
    assert [score.support for score in result.class_scores] == [2, 1, 2]


def test_the_worst_model_scores_zero_everywhere():
    result = evaluate([0, 0, 1, 2], [1, 2, 2, 0])
    for estimate in (result.accuracy, result.macro_f1, result.weighted_f1):
        assert estimate.high > estimate.value == estimate.low == 0.0
    scores = [getattr(c, n) for c in result.class_scores for n in ("f1", "precision", "recall")]
    assert all(score.value == 0 for score in scores)


def test_scores_equal_those_worked_out_by_hand():
    # spiral:  2 of 3 found, 2 of 2 calls right: recall 2/3, precision 1,   F1 4/5
    # edge_on: 2 of 2 found, 2 of 3 calls right: recall 1,   precision 2/3, F1 4/5
    # cigar:   0 of 1 found, 0 of 1 calls right: F1 0
    result = evaluate([0, 0, 0, 1, 1, 2], [0, 0, 2, 1, 1, 1])
    assert result.accuracy.value == pytest.approx(4 / 6)
    assert result.macro_f1.value == pytest.approx((4 / 5 + 4 / 5 + 0) / 3)
    assert result.weighted_f1.value == pytest.approx((3 * 4 / 5 + 2 * 4 / 5) / 6)
    assert result.balanced_accuracy.value == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert result.confusion_matrix == ((2, 0, 1), (0, 2, 0), (0, 1, 0))
    spiral = result.class_scores[0]
    scores = [score.value for score in (spiral.precision, spiral.recall, spiral.f1)]
    assert scores == pytest.approx([1, 2 / 3, 4 / 5])


def test_loss_is_the_cross_entropy_in_nats():
    result = evaluate([0, 1], [0, 0], confidence=0.8)
    assert result.loss.value == pytest.approx((-np.log(0.8) - np.log(0.1)) / 2)


def test_a_confident_mistake_costs_sixteen_nats_and_not_infinity():
    result = evaluate([0, 1], [1, 1], confidence=1.0)
    assert result.loss.value == pytest.approx(-np.log(1e-7) / 2, rel=1e-3)


def test_a_class_without_test_galaxies_does_not_lower_the_means():
    result = evaluate([0, 0, 1, 1], [0, 0, 1, 2])
    # F1: spiral 1, edge_on 2/3; cigar, which no galaxy is, takes no part.
    assert result.macro_f1.value == pytest.approx((1 + 2 / 3) / 2)
    assert result.balanced_accuracy.value == pytest.approx((1 + 1 / 2) / 2)
    assert result.class_scores[2].support == 0


def test_every_interval_holds_its_value_and_narrows_with_more_galaxies():
    widths = []
    for num_galaxies in (60, 6000):
        labels = np.arange(num_galaxies) % 3
        result = evaluate(labels, noisy_predictions(labels, error_share=0.2, seed=4))
        for estimate in (
            result.accuracy,
            result.loss,
            result.macro_f1,
            result.weighted_f1,
            result.balanced_accuracy,
        ):
            assert estimate.low < estimate.value < estimate.high
        widths.append(result.accuracy.high - result.accuracy.low)
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.3)


def test_the_accuracy_interval_is_that_of_the_binomial():
    labels = np.arange(3000) % 3
    predictions = labels.copy()
    predictions[:600] = (labels[:600] + 1) % 3
    result = evaluate(labels, predictions, samples=4000)
    half_width = 1.96 * np.sqrt(0.8 * 0.2 / 3000)
    assert result.accuracy.low == pytest.approx(0.8 - half_width, abs=0.002)
    assert result.accuracy.high == pytest.approx(0.8 + half_width, abs=0.002)


def test_the_loss_interval_is_that_of_a_mean():
    random = np.random.default_rng(3)
    labels = np.arange(2000) % 2
    right = random.uniform(0.2, 0.99, 2000)
    table = np.stack([np.where(labels == 0, right, 1 - right), np.zeros(2000)], axis=1)
    table[:, 1] = 1 - table[:, 0]
    result = evaluate_probabilities(
        table,
        labels=labels,
        architecture="alexnet",
        classes=("a", "b"),
        bootstrap_samples=3000,
        seed=0,
    )
    half_width = 1.96 * np.log(right).std() / np.sqrt(2000)
    assert (result.loss.high - result.loss.low) / 2 == pytest.approx(half_width, rel=0.08)


def test_the_same_seed_gives_the_same_evaluation():
    labels = np.arange(90) % 3
    predictions = noisy_predictions(labels, error_share=0.2, seed=1)
    assert evaluate(labels, predictions) == evaluate(labels, predictions)


def test_float32_probabilities_are_taken_as_they_are():
    labels = np.arange(300) % 3
    table = np.random.default_rng(2).dirichlet([1, 1, 1], 300).astype(np.float32)
    result = evaluate_probabilities(
        table,
        labels=labels,
        architecture="alexnet",
        classes=CLASSES,
        bootstrap_samples=100,
        seed=0,
    )
    wide = table.astype(np.float64)
    expected = log_loss(labels, wide / wide.sum(axis=1, keepdims=True))
    assert result.loss.value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("table", "labels", "said"),
    [
        (np.zeros((0, 3)), [], "Received: \\(0, 3\\)"),
        (np.full((4, 2), 0.5), [0, 1, 0, 1], "one column for each class"),
        (np.full(4, 0.5), [0, 1, 0, 1], "Received: \\(4,\\)"),
        (np.full((4, 3), 1 / 3), [0, 1, 0], "must be 4 integers"),
        (np.full((4, 3), 1 / 3), [0.0, 1.0, 0.0, 1.0], "float64"),
        (np.full((4, 3), 1 / 3), [0, 1, 2, 3], "0 to 2. Received: 0 to 3"),
        (np.full((4, 3), 1 / 3), [0, 1, 2, -1], "Received: -1 to 2"),
        (np.full((4, 3), 0.5), [0, 1, 2, 0], "4 of 4 do not"),
        (np.array([[1, 0, 0], [np.nan, 0.5, 0.5]]), [0, 1], "row 1: \\[nan"),
        (np.array([[1, 0, 0], [-0.5, 1.0, 0.5]]), [0, 1], "row 1: \\[-0.5"),
    ],
)
def test_what_does_not_fit_together_is_refused(table, labels, said):
    with pytest.raises(InputError, match=said):
        evaluate_probabilities(
            table,
            labels=np.array(labels),
            architecture="alexnet",
            classes=CLASSES,
            bootstrap_samples=100,
            seed=0,
        )


def test_a_class_named_twice_is_refused():
    with pytest.raises(InputError, match="spiral, spiral"):
        evaluate([0, 1], [0, 1], classes=("spiral", "spiral"))


def compare(labels, first, second, *, samples=1000):
    return compare_models(
        probabilities_of(first),
        probabilities_of(second),
        labels=labels,
        first="resnet18",
        second="alexnet",
        bootstrap_samples=samples,
        seed=3,
    )


def test_a_clearly_better_model_is_told_apart():
    labels = np.arange(900) % 3
    better = noisy_predictions(labels, error_share=0.05, seed=1)
    worse = noisy_predictions(labels, error_share=0.2, seed=2)
    result = compare(labels, better, worse)
    assert result.is_distinguishable
    assert result.p_value < 0.01
    assert 0 < result.difference.low < result.difference.value < result.difference.high
    assert compare(labels, worse, better).difference.value == -result.difference.value


def test_two_models_of_the_same_skill_are_not_told_apart():
    labels = np.arange(900) % 3
    first = noisy_predictions(labels, error_share=0.1, seed=1)
    second = noisy_predictions(labels, error_share=0.1, seed=2)
    result = compare(labels, first, second)
    assert not result.is_distinguishable
    assert result.p_value > 0.05


def test_a_model_does_not_differ_from_itself_but_its_interval_has_a_width():
    labels = np.arange(60) % 3
    predictions = noisy_predictions(labels, error_share=0.3, seed=1)
    result = compare(labels, predictions, predictions)
    assert (result.difference.value, result.p_value, result.mcnemar_p_value) == (0.0, 1.0, 1.0)
    assert result.difference.low < 0 < result.difference.high
    assert not result.is_distinguishable


def test_equal_models_are_rarely_told_apart_by_chance():
    labels = np.arange(300) % 3
    told_apart = 0
    for trial in range(200):
        first = noisy_predictions(labels, error_share=0.2, seed=2 * trial)
        second = noisy_predictions(labels, error_share=0.2, seed=2 * trial + 1)
        told_apart += compare(labels, first, second, samples=400).is_distinguishable
    assert 1 <= told_apart <= 20  # 5 % of 200 are expected


def test_two_models_that_call_all_galaxies_alike_are_not_told_apart():
    labels = np.repeat([0, 1, 2], [50, 48, 10])
    blind, other = np.zeros(108, dtype=int), np.ones(108, dtype=int)
    assert not compare(labels, blind, other).is_distinguishable
    assert compare(labels, labels, blind).is_distinguishable


def test_mcnemars_exact_p_value_is_the_one_worked_out_by_hand():
    labels = np.zeros(12, dtype=int)
    labels[-1] = 1
    first, second = np.zeros(12, dtype=int), np.zeros(12, dtype=int)
    second[:5] = 1  # the first alone is right in 5 galaxies
    first[11], second[11] = 0, 1  # the second alone in 1
    result = compare(labels, first, second)
    assert (result.only_first_right, result.only_second_right) == (5, 1)
    # Of 6 fair coins, 5 or more heads or tails: 2 * (6 + 1) / 64.
    assert result.mcnemar_p_value == pytest.approx(14 / 64)


def test_models_of_other_widths_are_not_compared():
    with pytest.raises(InputError, match=r"one column for each class.*\(2, 4\)"):
        compare_models(
            np.full((2, 3), 1 / 3),
            np.full((2, 4), 1 / 4),
            labels=np.array([0, 1]),
            first="resnet18",
            second="alexnet",
            bootstrap_samples=100,
            seed=0,
        )
