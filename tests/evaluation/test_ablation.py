"""Values of a setting compared on held-out galaxies: worked out by hand, and by simulation."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.ablation import (
    HeldOutScore,
    compare_all,
    compare_levels,
    fit_learning_curve,
)

METHODS = ["none", "gaussian", "median"]


def make_score(loss, *, fold=0, architecture="resnet18", num_training=100, galaxies="g", **varied):
    return HeldOutScore(
        varied, architecture, fold, galaxies, num_training, loss, 1 - loss, 1 - loss / 2
    )


def simulate(random, *, effect=0.0, deviation=0.02, folds=3, methods=METHODS):
    """Return trainings of two networks, whose folds differ much more than the values do.

    A fold's galaxies and seed favour a value for both networks as much as luck does for each.
    """
    favour = {
        (method, fold): random.normal(0, deviation) for method in methods for fold in range(folds)
    }
    blocks = {
        block: random.normal(0.5, 0.1)
        for block in itertools.product(("alexnet", "resnet18"), range(folds))
    }
    return [
        make_score(
            base
            + favour[method, fold]
            + random.normal(0, deviation)
            + (effect if method == "gaussian" else 0),
            fold=fold,
            architecture=architecture,
            denoise_method=method,
        )
        for method in methods
        for (architecture, fold), base in blocks.items()
    ]


def compare(scores, *, methods=METHODS, alpha=0.05):
    return compare_levels(scores, setting="denoise_method", levels=methods, alpha=alpha)


def test_of_two_values_it_is_the_paired_t_test_of_the_folds_means():
    scores = simulate(np.random.default_rng(1), effect=0.03, methods=METHODS[:2])
    first, second = np.reshape([one.loss for one in scores], (2, 2, 3)).mean(axis=1)
    expected = stats.ttest_rel(second, first)
    found = compare(scores, methods=METHODS[:2]).levels[1].differences["loss"]
    interval = expected.confidence_interval()
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.p_holm == pytest.approx(expected.pvalue)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((interval.low, interval.high))


def test_three_values_are_those_worked_out_by_hand():
    # On two folds the second value differs by 0.1 and 0.3, the third not at all.
    losses = {"none": [0.2, 0.4], "gaussian": [0.3, 0.7], "median": [0.2, 0.4]}
    scores = [
        make_score(loss, fold=fold, denoise_method=method)
        for method, own in losses.items()
        for fold, loss in enumerate(own)
    ]
    factor = compare(scores)
    gaussian, median = (level.differences["loss"] for level in factor.levels[1:])
    # Residuals are ±1/30 and ∓2/30: their squares sum to 12/900 on two degrees of freedom.
    error = np.sqrt(2 * 12 / 900 / 2 / 2)
    t = 0.2 / error
    p = 2 * stats.t(2).sf(t)
    assert factor.num_trainings == 2
    assert gaussian.estimate.value == pytest.approx(0.2)
    assert gaussian.p_value == pytest.approx(p)
    assert gaussian.p_holm == pytest.approx(2 * p)
    assert gaussian.estimate.high == pytest.approx(0.2 + stats.t(2).ppf(1 - 0.05 / 4) * error)
    assert (median.estimate.value, median.p_holm) == pytest.approx((0, 1))
    assert factor.levels[0].differences == {}
    assert factor.levels[1].means["loss"] == pytest.approx(0.5)


def test_equal_values_are_rarely_told_apart_and_a_difference_as_often_as_announced():
    random, trials = np.random.default_rng(2), 300
    equal = [compare(simulate(random)).levels[1:] for _ in range(trials)]
    false = sum(any(one.differences["loss"].is_distinguishable for one in own) for own in equal)
    announced = [levels[0].differences["loss"].detectable for levels in equal]
    effect = np.sqrt(np.mean(np.square(announced)))  # as variances are, it is right on average
    different = [compare(simulate(random, effect=effect)).levels[1] for _ in range(trials)]
    found = sum(level.differences["loss"].is_distinguishable for level in different)
    assert 0.02 < false / trials < 0.09
    assert 0.72 < found / trials < 0.9


def test_a_training_that_is_missing_or_doubled_and_a_single_fold_are_refused():
    scores = simulate(np.random.default_rng(1))
    with pytest.raises(InputError, match=r"alike\. Received: 17 trainings of 3 values on 3 folds"):
        compare(scores[:-1])
    with pytest.raises(InputError, match="Received: 19 trainings"):
        compare([*scores, scores[0]])
    alone = [
        make_score(0.1, denoise_method=method, architecture=name)
        for method in METHODS
        for name in ("alexnet", "resnet18")
    ]
    with pytest.raises(InputError, match="two folds or more"):
        compare(alone)


def test_a_power_law_is_found_and_carried_on():
    scores = [
        make_score(
            scale * (1000 * fraction) ** -0.4,
            fold=fold,
            num_training=int(1000 * fraction),
            training_fraction=fraction,
        )
        for fold, scale in enumerate((2.0, 2.2, 1.9))
        for fraction in (0.125, 0.25, 0.5, 1.0)
    ]
    curve = fit_learning_curve(scores, "loss")
    assert curve.exponent.value == pytest.approx(0.4)
    assert curve.exponent.high - curve.exponent.low == pytest.approx(0, abs=1e-6)
    geometric = (2.0 * 2.2 * 1.9) ** (1 / 3)
    assert curve.doubled.value == pytest.approx(geometric * 2000**-0.4)
    assert curve.doubled.low < curve.doubled.value < curve.doubled.high
    f1 = fit_learning_curve(scores, "macro_f1")  # 1 - macro-F1 is the loss here
    assert f1.doubled.value == pytest.approx(1 - curve.doubled.value)
    assert f1.doubled.low < f1.doubled.value < f1.doubled.high


def test_networks_that_share_a_fold_do_not_narrow_the_interval_of_a_power_law():
    random = np.random.default_rng(4)
    scores = [
        make_score(
            scale * (1000 * fraction) ** -0.4,
            fold=fold,
            architecture=architecture,
            num_training=int(1000 * fraction),
            training_fraction=fraction,
        )
        for architecture in ("alexnet", "resnet18", "densenet121")
        for fold, scale in enumerate(random.normal(2, 0.1, 3))
        for fraction in (0.25, 1.0)
    ]
    three = fit_learning_curve(scores, "loss").doubled
    means = [
        np.mean(
            [np.log(one.loss) for one in scores if one.fold == fold and one.num_training == 1000]
        )
        for fold in range(3)
    ]
    interval = stats.ttest_1samp(means, 0).confidence_interval()
    drop = np.log(2**-0.4)
    assert (three.low, three.high) == pytest.approx(
        (np.exp(interval.low + drop), np.exp(interval.high + drop))
    )


def test_a_grid_is_compared_by_each_of_its_settings_and_a_curve_comes_with_fractions():
    random = np.random.default_rng(3)
    scores = [
        make_score(
            random.uniform(0.2, 0.3) - (0.1 if fraction == 1 else 0),
            fold=fold,
            num_training=int(200 * fraction),
            denoise_method=method,
            training_fraction=fraction,
        )
        for method in METHODS
        for fraction in (0.5, 1.0)
        for fold in range(3)
    ]
    found = compare_all(scores, ["denoise_method", "training_fraction"], alpha=0.05)
    assert [factor.num_trainings for factor in found.factors] == [6, 9]
    assert [level.value for level in found.factors[0].levels] == METHODS
    assert [curve.score for curve in found.curves] == ["loss", "macro_f1", "accuracy"]
    assert (found.num_folds, found.architectures) == (3, ("resnet18",))
    assert found.factors[1].levels[1].differences["loss"].is_distinguishable
    whole = [one for one in scores if one.varied["training_fraction"] == 1]
    assert compare_all(whole, ["denoise_method"], alpha=0.05).curves == ()


def test_folds_of_different_galaxies_are_refused():
    scores = simulate(np.random.default_rng(1))
    other = replace(scores[-1], galaxies="other")
    with pytest.raises(InputError, match="different galaxies of one fold"):
        compare_all([*scores[:-1], other], ["denoise_method"], alpha=0.05)
