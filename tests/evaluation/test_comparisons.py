"""Pairs of networks: what is told apart, how often by chance, and what a larger test would show."""

import numpy as np
import pytest
from fixtures.scored_inputs import Scored, score

from galaxy_tasks.evaluation.comparisons import TARGET, Comparer
from galaxy_tasks.evaluation.repeats import MacroF1Draws


def compare(scored: Scored, *ranked: str, alpha=0.05):
    return scored.comparer(alpha=alpha).compare_all(ranked)


def make_comparer(values, *, seed_deviation, num_seeds, galaxy_deviation=0.01, seed=0):
    """Return the comparer of networks with these means, whose galaxies' parts are independent."""
    random = np.random.default_rng(seed)
    names = [f"network{number}" for number in range(len(values))]
    draws = MacroF1Draws(
        values=np.array(values),
        galaxies=random.normal(0, galaxy_deviation / np.sqrt(2), (4000, len(values))),
        seed_variances=np.full(len(values), seed_deviation**2 if num_seeds > 1 else np.nan),
        num_seeds=np.full(len(values), num_seeds),
    )
    return names, Comparer(names, draws, num_galaxies=500, alpha=0.05, seed=seed)


def test_a_clearly_better_network_is_told_apart():
    scored = score({"alexnet": [0.3, 0.31, 0.29], "resnet18": [0.1, 0.11, 0.09]})
    (pair,) = compare(scored, "resnet18", "alexnet")
    assert pair.is_distinguishable
    assert max(pair.p_value, pair.p_holm) < 0.01
    assert 0 < pair.difference.low < pair.difference.value < pair.difference.high
    assert pair.difference.value == pytest.approx(0.2, abs=0.02)


def test_what_the_seeds_may_have_done_is_not_told_apart():
    scattered = {"alexnet": [0.10, 0.2, 0.3], "resnet18": [0.05, 0.15, 0.25]}
    (pair,) = compare(score(scattered), "resnet18", "alexnet")
    assert not pair.is_distinguishable
    once = {"alexnet": [0.2], "resnet18": [0.15]}
    (pair,) = compare(score(once), "resnet18", "alexnet")
    assert pair.is_distinguishable  # of these very trainings


def test_verdict_and_interval_always_agree():
    for seed in range(20):
        errors = {"a": [0.2, 0.21], "b": [0.17, 0.18], "c": [0.15, 0.16]}
        for pair in compare(score(errors, seed=seed, num_galaxies=300), "c", "b", "a"):
            holds_zero = pair.difference.low <= 0 <= pair.difference.high
            assert pair.is_distinguishable is not holds_zero


def test_holms_p_values_are_those_worked_out_by_hand():
    errors = {"a": [0.2], "b": [0.18], "c": [0.1]}
    pairs = compare(score(errors), "c", "b", "a")
    by_rank = sorted(pairs, key=lambda pair: pair.p_value)
    expected = 0.0
    for pair, factor in zip(by_rank, (3, 2, 1), strict=True):
        expected = max(expected, min(1.0, factor * pair.p_value))
        assert pair.p_holm == pytest.approx(expected)


def test_all_pairs_are_compared_the_better_first():
    errors = {"a": [0.3], "b": [0.2], "c": [0.1]}
    named = [(pair.first, pair.second) for pair in compare(score(errors), "c", "b", "a")]
    assert named == [("c", "b"), ("c", "a"), ("b", "a")]
    assert score(errors).comparer().compare_all(["c"]) == ()


def test_intervals_of_more_pairs_are_wider():
    values = [0.9, 0.8, 0.7, 0.6]
    names, few = make_comparer(values[:2], seed_deviation=0.02, num_seeds=30)
    more, many = make_comparer(values, seed_deviation=0.02, num_seeds=30)
    narrow, wide = few.compare_all(names)[0], many.compare_all(more)[0]
    assert narrow.difference.high < wide.difference.high
    # Two normal parts, and Bonferroni's bound for six pairs at most.
    deviation = np.sqrt(0.01**2 + 2 * 0.02**2 / 30)
    assert narrow.difference.high - 0.1 == pytest.approx(1.96 * deviation, rel=0.06)
    assert 2.3 * deviation < wide.difference.high - 0.1 < 2.8 * deviation


@pytest.mark.parametrize("num_seeds", [1, 3, 5])
def test_true_ties_are_rarely_told_apart_and_true_differences_as_often_as_announced(num_seeds):
    """In simulated tests whose means scatter as the comparer takes them to."""
    random, trials = np.random.default_rng(1), 400
    galaxy_deviation, seed_deviation = 0.01, 0.012 if num_seeds > 1 else 0.0
    false, found, detectable = 0, 0, []
    for trial in range(trials):
        means, variances = [], []
        for truth in (0.8, 0.8, 0.85):
            seeds = random.normal(truth, seed_deviation, num_seeds)
            means.append(seeds.mean() + random.normal(0, galaxy_deviation / np.sqrt(2)))
            variances.append(seeds.var(ddof=1) if num_seeds > 1 else np.nan)
        draws = MacroF1Draws(
            values=np.array(means),
            galaxies=random.normal(0, galaxy_deviation / np.sqrt(2), (1000, 3)),
            seed_variances=np.array(variances),
            num_seeds=np.full(3, num_seeds),
        )
        comparer = Comparer(list("abc"), draws, num_galaxies=500, alpha=0.05, seed=trial)
        pairs = comparer.compare_all("cab")
        false += pairs[2].is_distinguishable
        found += pairs[0].is_distinguishable
        detectable.append(pairs[0].detectable)
    assert false / trials < 0.05  # together with the two other pairs, 5 % are expected
    is_announced = np.median(detectable) < 0.05
    assert found / trials > 0.75 if is_announced else found / trials < 0.9


def test_the_detectable_difference_and_the_plan_are_those_of_the_normal_test():
    names, comparer = make_comparer([0.8, 0.79], seed_deviation=0.0, num_seeds=1)
    (pair,) = comparer.compare_all(names)
    assert pair.detectable == pytest.approx((1.96 + 0.8416) * 0.01, rel=0.05)
    wanted = 500 * (0.01 * (1.96 + 0.8416) / TARGET) ** 2
    assert pair.plan.num_galaxies == pytest.approx(wanted, rel=0.12)
    assert pair.plan.num_seeds is None  # nothing is known of them


def test_where_seeds_scatter_too_much_no_number_of_galaxies_is_named_without_more_seeds():
    names, comparer = make_comparer([0.8, 0.79], seed_deviation=0.02, num_seeds=3)
    (pair,) = comparer.compare_all(names)
    assert pair.plan.num_seeds > 10
    names, comparer = make_comparer([0.8, 0.79], seed_deviation=0.002, num_seeds=3)
    (pair,) = comparer.compare_all(names)
    assert pair.plan.num_seeds == 3
    names, comparer = make_comparer([0.8, 0.79], seed_deviation=0.1, num_seeds=3)
    assert comparer.compare_all(names)[0].plan is None


def test_a_deficits_bound_is_one_sided():
    names, comparer = make_comparer([0.8, 0.79], seed_deviation=0.0, num_seeds=1)
    (deficit,) = comparer.bound_deficits(names)
    assert (deficit.architecture, deficit.value) == ("network1", pytest.approx(0.01))
    assert deficit.bound == pytest.approx(0.01 + 1.645 * 0.01, abs=0.001)


def test_bounds_of_several_deficits_hold_together():
    # The first is better than the five others by 0.02 in truth.
    random, trials, wrong = np.random.default_rng(5), 400, 0
    for seed in range(trials):
        values = np.array([0.9, *[0.88] * 5]) + random.normal(0, 0.01 / np.sqrt(2), 6)
        names, comparer = make_comparer(list(values), seed_deviation=0.0, num_seeds=1, seed=seed)
        wrong += any(one.bound < 0.02 for one in comparer.bound_deficits(names))
    assert 0.01 < wrong / trials < 0.07


def test_as_few_samples_as_are_allowed_still_give_intervals_and_plans():
    random = np.random.default_rng(1)
    draws = MacroF1Draws(
        values=np.array([0.8, 0.79, 0.78, 0.77]),
        galaxies=random.normal(0, 0.01, (120, 4)),
        seed_variances=np.full(4, np.nan),
        num_seeds=np.ones(4, dtype=int),
    )
    comparer = Comparer(list("abcd"), draws, num_galaxies=500, alpha=0.05, seed=1)
    pairs = comparer.compare_all("abcd")
    assert all(pair.difference.low < pair.difference.value for pair in pairs)
    assert all(pair.plan.num_galaxies > 500 for pair in pairs)
