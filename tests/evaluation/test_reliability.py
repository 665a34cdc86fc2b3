"""Calibrated probabilities mean what they say; the measures are those worked out by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from galaxy_tasks.evaluation.reliability import (
    find_perfect_error,
    list_bins,
    measure_brier,
    measure_calibration_error,
    measure_reliability,
)
from galaxy_tasks.prediction.calibration import (
    Answers,
    Calibration,
    find_threshold,
    fit_calibration,
    remove_class_weights,
)

EVEN = (1.0, 1.0, 1.0)


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
    found = fit_calibration(probabilities[np.newaxis], labels=labels, class_weights=EVEN)
    assert found.temperature == pytest.approx(temperature, rel=0.06)
    calibrated = found.apply(probabilities[np.newaxis])
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
    tempered = fit_calibration(weighted[np.newaxis], labels=labels, class_weights=EVEN)
    undone = fit_calibration(weighted[np.newaxis], labels=labels, class_weights=weights)
    assert undone.temperature == pytest.approx(1, abs=0.06)
    error_of = {
        name: measure_brier(one.apply(weighted[np.newaxis]), labels)
        for name, one in {"tempered": tempered, "undone": undone}.items()
    }
    assert error_of["undone"] < error_of["tempered"] - 0.02


def test_weights_are_undone_in_each_orientation_before_the_mean():
    weights = (1.0, 3.0)
    turned = np.array([[[0.5, 0.5]], [[0.1, 0.9]]])
    by_hand = np.mean([[0.75, 0.25], [0.25, 0.75]], axis=0)
    assert Calibration(weights, 1.0, 0).apply(turned)[0] == pytest.approx(by_hand)


def test_a_class_without_calibration_galaxies_and_too_few_galaxies_are_no_errors():
    probabilities, labels = draw(400, temperature=2)
    rows = labels != 2
    found = fit_calibration(
        probabilities[np.newaxis, rows], labels=labels[rows], class_weights=EVEN
    )
    assert found.temperature > 1
    few = fit_calibration(probabilities[np.newaxis, :19], labels=labels[:19], class_weights=EVEN)
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
