"""Calibrated probabilities mean what they say; the measures are those worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin

from galaxy_tasks.evaluation.reliability import (
    find_perfect_error,
    list_bins,
    measure_brier,
    measure_calibration_error,
    measure_reliability,
)
from galaxy_tasks.prediction.calibration import remove_class_weights
from galaxy_tasks.prediction.calibration_fit import find_threshold, fit_calibration

EVEN = (1.0, 1.0, 1.0)


def fit(probabilities, labels, *, class_weights=EVEN, coverage=0.9):
    return fit_calibration(
        probabilities[np.newaxis], labels=labels, class_weights=class_weights, coverage=coverage
    )


def calibrate(calibration, probabilities):
    return calibration.answer(probabilities[np.newaxis]).calibrated


def draw(count, *, temperature=1.0, seed=0):
    """Return probabilities that are too sure by the temperature, and labels of the right ones."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(count, 3))
    honest = softmax(logits, axis=1)
    labels = (random.random((count, 1)) > honest.cumsum(axis=1)).sum(axis=1)
    return softmax(temperature * logits, axis=1), np.minimum(labels, 2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_a_model_that_is_too_sure_or_not_sure_enough_is_found(temperature):
    probabilities, labels = draw(8000, temperature=temperature)
    found = fit(probabilities, labels)
    assert found.temperature == pytest.approx(temperature, rel=0.06)
    calibrated = calibrate(found, probabilities)
    assert calibrated.sum(axis=1) == pytest.approx(np.ones(8000))
    error, perfect = (
        measure_calibration_error(calibrated, labels),
        find_perfect_error(calibrated, seed=1),
    )
    assert error < 2 * perfect  # by chance it varies by a quarter


def test_a_perfectly_and_a_badly_calibrated_model_show_it():
    honest, labels = draw(4000)
    sure, _ = draw(4000, temperature=3)
    perfect = find_perfect_error(honest, seed=1)
    assert measure_calibration_error(honest, labels) == pytest.approx(perfect, abs=0.008)
    assert measure_calibration_error(sure, labels) > 3 * find_perfect_error(sure, seed=1)


def test_fewer_galaxies_show_a_larger_error_though_nothing_is_wrong():
    few, many = (find_perfect_error(draw(count)[0], seed=1) for count in (100, 10_000))
    assert few > 5 * many


def test_class_weights_are_undone_where_no_temperature_could():
    honest, labels = draw(8000)
    weights = (1.0, 4.0, 0.25)
    weighted = honest * weights
    weighted /= weighted.sum(axis=1, keepdims=True)
    assert remove_class_weights(weighted, weights) == pytest.approx(honest)
    tempered = fit(weighted, labels)
    undone = fit(weighted, labels, class_weights=weights)
    assert undone.temperature == pytest.approx(1, abs=0.06)
    error_of = {
        name: measure_brier(calibrate(one, weighted), labels)
        for name, one in {"tempered": tempered, "undone": undone}.items()
    }
    assert error_of["undone"] < error_of["tempered"] - 0.02


def test_weights_are_undone_in_each_orientation_before_the_mean():
    weights = (1.0, 3.0)
    turned = np.array([[[0.5, 0.5]], [[0.1, 0.9]]])
    by_hand = np.mean([[0.75, 0.25], [0.25, 0.75]], axis=0)
    calibration = fit_calibration(
        np.empty((2, 0, 2)), labels=np.array([], dtype=int), class_weights=weights, coverage=0.9
    )
    answers = calibration.answer(turned)
    assert answers.calibrated[0] == pytest.approx(by_hand)
    assert answers.decisive[0] == pytest.approx([0.3, 0.7])


def test_a_class_without_calibration_galaxies_and_too_few_galaxies_are_no_errors():
    probabilities, labels = draw(400, temperature=2)
    rows = labels != 2
    found = fit(probabilities[rows], labels[rows])
    assert found.temperature > 1
    few = fit(probabilities[:19], labels[:19])
    assert (few.temperature, few.num_galaxies) == (1.0, 19)


def test_the_calibration_error_is_the_one_worked_out_by_hand():
    # Two bins: of confidence 0.7 and 0.95.
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.3, 0.7], [0.3, 0.7]])
    labels = np.array([0, 1, 1, 1])
    assert [
        (one.confidence, one.accuracy, one.num_galaxies) for one in list_bins(probabilities, labels)
    ] == [
        (pytest.approx(0.7), 1.0, 2),
        (pytest.approx(0.95), 0.5, 2),
    ]
    expected = (2 * 0.3 + 2 * 0.45) / 4
    assert measure_calibration_error(probabilities, labels) == pytest.approx(expected)


def test_the_brier_score_is_the_one_worked_out_by_hand():
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6]])
    assert measure_brier(probabilities, np.array([0, 0])) == pytest.approx((0.08 + 0.72) / 2)
    assert measure_brier(np.eye(2), np.array([0, 1])) == 0.0
    assert measure_brier(np.eye(2), np.array([1, 0])) == 2.0


def test_a_threshold_is_the_quantile_worked_out_by_hand():
    own = np.arange(1, 21) / 20
    # The 19th of 20 in rank from above, as ceil(21 * 0.9) is 19.
    assert find_threshold(own, coverage=0.9) == pytest.approx(0.1)
    assert find_threshold(own, coverage=0.95) == pytest.approx(0.05)
    assert find_threshold(own[:19], coverage=0.95) is None
    assert find_threshold(own[:10], coverage=0.9) == pytest.approx(0.05)
    assert find_threshold(own[:9], coverage=0.9) is None


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_are_those_of_mapie(coverage):
    class Table(ClassifierMixin, BaseEstimator):
        classes_ = np.arange(3)

        def fit(self, features, labels):
            return self

        def __sklearn_is_fitted__(self):
            return True

        def predict_proba(self, features):
            return features

        def predict(self, features):
            return features.argmax(axis=1)

    probabilities, labels = draw(500, seed=3)
    tested, _ = draw(200, seed=4)
    other = SplitConformalClassifier(
        Table(), confidence_level=coverage, conformity_score="lac", prefit=True
    ).conformalize(probabilities, labels)
    expected = other.predict_set(tested)[1][:, :, 0]
    answers = fit(probabilities, labels, coverage=coverage).answer(tested[np.newaxis])
    assert (answers.is_in_marginal_set == expected).all()


def test_sets_cover_as_often_as_they_promise_and_each_class_by_itself():
    """Over many calibrations, of a class that is rare and hard, too."""
    random, held, hard = np.random.default_rng(0), [], []
    for _ in range(300):
        labels = random.choice(3, size=400, p=[0.6, 0.3, 0.1])
        logits = random.normal(size=(400, 3))
        logits[np.arange(400), labels] += np.array([3.0, 2.0, 0.5])[labels]
        table = softmax(logits, axis=1)
        answers = fit(table[:200], labels[:200]).answer(table[np.newaxis, 200:])
        rest = labels[200:]
        own = np.arange(200), rest
        held.append(answers.is_in_marginal_set[own].mean())
        hard.append(answers.is_in_set[own][rest == 2].mean())
    assert np.mean(held) == pytest.approx(0.9, abs=0.01)
    assert np.mean(hard) == pytest.approx(0.92, abs=0.025)  # 1 / (n + 1) above, from few galaxies


def test_a_class_of_few_galaxies_has_the_threshold_of_all_and_the_report_can_say_so():
    probabilities, labels = draw(300)
    few = np.concatenate([np.flatnonzero(labels != 2), np.flatnonzero(labels == 2)[:5]])
    calibration = fit(probabilities[few], labels[few])
    assert calibration.class_thresholds[2] is None
    answers = calibration.answer(probabilities[np.newaxis])
    assert (answers.is_in_set[:, 2] == answers.is_in_marginal_set[:, 2]).all()
    found = measure_reliability(
        answers, labels, calibration=calibration, classes=("a", "b", "c"), seed=1
    )
    assert [one.has_own_threshold for one in found.classes] == [True, True, False]
    assert sum(one.num_galaxies for one in found.classes) == found.marginal.num_galaxies == 300


def test_from_too_few_galaxies_every_class_is_in_every_set():
    probabilities, labels = draw(8)
    assert fit(probabilities, labels).answer(probabilities[np.newaxis]).is_in_set.all()


def test_coverage_has_the_exact_interval_and_a_class_without_galaxies_none():
    table = np.tile([0.8, 0.15, 0.05], (20, 1))
    labels = np.array([0] * 19 + [1])
    calibration = fit(table[:0], labels[:0])
    answers = replace(calibration, threshold=0.5).answer(table[np.newaxis])
    found = measure_reliability(
        answers, labels, calibration=calibration, classes=("a", "b", "c"), seed=1
    )
    covered = found.marginal.covered
    assert (covered.value, found.marginal.mean_size) == (0.95, 1.0)
    # The exact interval of 19 in 20, as R gives it.
    assert (covered.low, covered.high) == pytest.approx((0.7513, 0.9987), abs=1e-4)
    assert found.classes[2].covered is None


def test_a_set_always_has_the_network_s_choice():
    """Sure networks would have empty sets, and class weights may tip the balance."""
    probabilities, labels = draw(400, temperature=4)
    weighted = probabilities * (1.0, 9.0, 1.0)
    weighted /= weighted.sum(axis=1, keepdims=True)
    calibration = fit(weighted, labels, class_weights=(1.0, 9.0, 1.0), coverage=0.5)
    answers = calibration.answer(weighted[np.newaxis])
    assert answers.is_in_set[np.arange(400), weighted.argmax(axis=1)].all()
    assert not answers.is_in_marginal_set.any(axis=1).all()
