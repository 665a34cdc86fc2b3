import time

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.bootstrap import (
    resample_counts,
    resample_paired_macro_f1,
    score_confusions,
)
from galaxy_tasks.evaluation.metrics import compare_models, evaluate_probabilities


def probabilities_of(predictions):
    table = np.full((len(predictions), 3), 0.1)
    table[np.arange(len(predictions)), predictions] = 0.8
    return table


def noisy_predictions(labels, *, error_share, seed):
    random = np.random.default_rng(seed)
    is_wrong = random.random(len(labels)) < error_share
    return np.where(is_wrong, (labels + 1) % 3, labels)


def evaluate(labels, predictions, *, samples=500):
    return evaluate_probabilities(
        probabilities_of(predictions),
        labels=labels,
        architecture="resnet18",
        classes=("spiral", "edge_on", "cigar"),
        bootstrap_samples=samples,
        seed=1,
    )


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


def test_scores_of_confusion_matrices_equal_scikit_learns_on_the_same_galaxies():
    random = np.random.default_rng(8)
    counts = np.array([[[30, 2, 1], [4, 9, 0], [1, 1, 5]], [[3, 0, 0], [2, 0, 1], [0, 2, 1]]])
    drawn = np.concatenate([counts, resample_counts(counts[0], samples=20, random=random)])
    scores = score_confusions(drawn)
    for index, confusion in enumerate(drawn):
        cells = [(t, p) for t in range(3) for p in range(3) for _ in range(confusion[t, p])]
        true, predicted = np.array(cells).T
        for average in ("macro", "weighted"):
            expected = f1_score(true, predicted, average=average, zero_division=0.0)
            assert scores[f"{average}_f1"][index] == pytest.approx(expected)
        assert scores["accuracy"][index] == pytest.approx((true == predicted).mean())
        expected = balanced_accuracy_score(true, predicted)
        assert scores["balanced_accuracy"][index] == pytest.approx(expected)


def test_samples_keep_every_class_at_its_own_number():
    counts = np.array([[1, 1, 0], [0, 500, 3], [1, 0, 0]])
    drawn = resample_counts(counts, samples=300, random=np.random.default_rng(0))
    assert (drawn.sum(axis=2) == [2, 503, 1]).all()
    assert drawn[:, 0, 0].mean() == pytest.approx(1.0, abs=0.15)


def test_drawing_confusion_matrices_is_drawing_galaxies():
    random = np.random.default_rng(5)
    labels = np.repeat([0, 1, 2], [80, 40, 12])
    predictions = noisy_predictions(labels, error_share=0.25, seed=6)
    groups = [np.flatnonzero(labels == label) for label in range(3)]
    by_galaxy = []
    for _ in range(600):
        rows = np.concatenate([random.choice(group, len(group)) for group in groups])
        by_galaxy.append(f1_score(labels[rows], predictions[rows], average="macro"))
    counts = np.zeros((3, 3), dtype=np.int64)
    np.add.at(counts, (labels, predictions), 1)
    by_matrix = score_confusions(resample_counts(counts, samples=4000, random=random))["macro_f1"]
    assert np.mean(by_matrix) == pytest.approx(np.mean(by_galaxy), abs=0.006)
    assert np.std(by_matrix) == pytest.approx(np.std(by_galaxy), rel=0.12)


def test_two_thousand_samples_of_twenty_thousand_galaxies_take_seconds():
    labels = np.arange(20_000) % 3
    predictions = noisy_predictions(labels, error_share=0.1, seed=1)
    start = time.perf_counter()
    evaluate(labels, predictions, samples=2000)
    compare(labels, predictions, noisy_predictions(labels, error_share=0.1, seed=2), samples=2000)
    assert time.perf_counter() - start < 20


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


def test_a_model_does_not_differ_from_itself():
    labels = np.arange(60) % 3
    predictions = noisy_predictions(labels, error_share=0.3, seed=1)
    result = compare(labels, predictions, predictions)
    assert (result.difference.value, result.p_value) == (0.0, 1.0)
    assert not result.is_distinguishable


def test_equal_models_are_rarely_told_apart_by_chance():
    labels = np.arange(300) % 3
    told_apart = 0
    for trial in range(200):
        first = noisy_predictions(labels, error_share=0.2, seed=2 * trial)
        second = noisy_predictions(labels, error_share=0.2, seed=2 * trial + 1)
        told_apart += compare(labels, first, second, samples=400).is_distinguishable
    assert 1 <= told_apart <= 20  # 5 % of 200 are expected


def test_pairing_sees_a_difference_that_separate_intervals_hide():
    labels = np.arange(600) % 3
    worse = noisy_predictions(labels, error_share=0.25, seed=1)
    better = worse.copy()
    repaired = np.flatnonzero(worse != labels)[:15]
    better[repaired] = labels[repaired]
    assert evaluate(labels, better).macro_f1.low < evaluate(labels, worse).macro_f1.value
    assert compare(labels, better, worse).is_distinguishable


def test_paired_samples_have_the_spread_of_the_difference():
    # One class decides: 100 galaxies, of which the first model alone gets 20 and the second 10.
    joint = np.zeros((2, 2, 2), dtype=np.int64)
    joint[0, 0, 0], joint[0, 0, 1], joint[0, 1, 0] = 70, 20, 10
    joint[1, 1, 1] = 100
    drawn = resample_paired_macro_f1(joint, samples=5000, random=np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(0.05, abs=0.01)
    # Recall differs by (20 - 10) / 100 with variance (30 - 100 * 0.1²) / 100².
    assert drawn.std() == pytest.approx(np.sqrt(29) / 100 / 2, rel=0.2)


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


def test_two_models_that_call_all_galaxies_alike_are_never_told_apart():
    labels = np.repeat([0, 1, 2], [50, 40, 10])
    blind, other = np.zeros(100, dtype=int), np.ones(100, dtype=int)
    assert (
        compare(labels, blind, other).difference.low > 0
    )  # drawn within classes: no spread at all
    assert not compare(labels, blind, other).is_distinguishable
    assert compare(labels, labels, blind).is_distinguishable
