"""How common classes are comes out right, though the model mistakes them."""

import numpy as np
import pytest

from galaxy_tasks.evaluation.shares import correct_shares

CLASSES = ("round", "spiral", "cigar")
TRUTH = np.array([[0.9, 0.08, 0.02], [0.05, 0.94, 0.01], [0.3, 0.1, 0.6]])


def test_a_perfect_model_is_not_corrected():
    found = correct_shares([70, 20, 10], np.diag([1000, 1000, 1000]), CLASSES)
    assert [one.num_counted for one in found] == [70, 20, 10]
    assert [one.corrected.value for one in found] == pytest.approx([0.7, 0.2, 0.1], abs=0.002)


def test_shares_are_corrected_to_those_that_would_be_counted_so():
    """By hand: 0.49 and 0.51 are counted where 0.5 and 0.5 of these rows are mixed."""
    confusion = np.array([[90, 10], [8, 92]]) * 1000
    found = correct_shares([4900, 5100], confusion, CLASSES[:2])
    assert [one.counted for one in found] == [0.49, 0.51]
    assert [one.corrected.value for one in found] == pytest.approx([0.5, 0.5], abs=1e-3)


def test_a_class_of_which_fewer_are_called_than_mistaken_for_it_has_a_share_of_zero():
    found = correct_shares([990, 9, 1], (TRUTH * 500).astype(int), CLASSES)
    assert found[1].corrected.value == 0
    assert 0.003 <= found[1].corrected.high < 0.1
    assert sum(one.corrected.value for one in found) == pytest.approx(1)


def test_intervals_hold_the_true_shares_as_often_as_they_say():
    random = np.random.default_rng(5)
    shares, test_counts = np.array([0.6, 0.35, 0.05]), [150, 200, 80]
    covered = []
    for _ in range(60):
        confusion = np.array(
            [random.multinomial(n, row) for n, row in zip(test_counts, TRUTH, strict=True)]
        )
        counts = random.multinomial(5000, shares @ TRUTH)
        found = correct_shares(list(counts), confusion, CLASSES)
        covered += [
            one.corrected.low <= share <= one.corrected.high
            for one, share in zip(found, shares, strict=True)
        ]
    assert 0.9 <= np.mean(covered) <= 1.0
