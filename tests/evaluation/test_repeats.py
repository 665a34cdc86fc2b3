"""A network's score is the mean over its trainings; its interval holds galaxies and seeds."""

import numpy as np
import pytest
from fixtures.scored_inputs import score
from scipy import stats


def half_width(estimate):
    return (estimate.high - estimate.low) / 2


def test_a_networks_score_is_the_mean_over_its_trainings():
    network = score({"resnet18": [0.1, 0.2, 0.3]}).networks[0]
    assert network.accuracy.value == pytest.approx(0.8)
    each = [model.evaluation.macro_f1.value for model in network.models]
    assert network.macro_f1.value == pytest.approx(np.mean(each))
    assert network.seed_deviation == pytest.approx(np.std(each, ddof=1))
    assert (network.training_s, network.images_per_s) == (180.0, 500.0)


def test_the_training_with_the_best_validation_is_served_whatever_the_test_says():
    network = score({"resnet18": [0.3, 0.1]}).networks[0]
    assert network.served is network.models[0]
    assert network.served.evaluation.accuracy.value == pytest.approx(0.7)


def test_one_training_has_the_interval_of_its_galaxies_and_no_deviation():
    network = score({"resnet18": [0.1]}).networks[0]
    own = network.models[0].evaluation.accuracy
    assert network.seed_deviation is None
    assert half_width(network.accuracy) == pytest.approx(half_width(own), rel=0.4)


def test_seeds_widen_the_interval_as_students_t_does():
    errors = [0.05, 0.15, 0.25]
    network = score({"resnet18": errors}, num_galaxies=60_000, samples=4000).networks[0]
    wanted = stats.t(2).ppf(0.975) * np.std(errors, ddof=1) / np.sqrt(3)
    assert network.accuracy.high == 1.0  # no score exceeds it
    assert network.accuracy.value - network.accuracy.low == pytest.approx(wanted, rel=0.15)


def test_trainings_that_agree_have_the_interval_of_galaxies():
    one = score({"resnet18": [0.1]}).networks[0]
    three = score({"resnet18": [0.1, 0.1, 0.1]}).networks[0]
    assert half_width(three.macro_f1) <= half_width(one.macro_f1) * 1.1


def test_the_same_seed_gives_the_same_scores():
    errors = {"alexnet": [0.2, 0.3], "resnet18": [0.1, 0.2]}
    assert score(errors).networks == score(errors).networks
