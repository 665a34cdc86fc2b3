"""Scores of predicted votes: errors worked out by hand, and intervals that hold what they say."""

import numpy as np
import pytest

from galaxy_tasks.evaluation.votes import find_coverage, score_answers
from galaxy_tasks.report.votes import describe_votes
from galaxy_tasks.training.vote_head import VoteHead

HEAD = VoteHead(
    (), {"smooth": ("yes", "no"), "shape": ("a", "b", "c")}, (), "contested", {"shape": 0}
)


def test_errors_are_those_worked_out_by_hand():
    concentrations = np.array([[60.0, 40, 10, 10, 20], [50, 50, 10, 20, 10]])
    votes = np.array([[20.0, 20, 10, 0, 10], [10, 30, 2, 2, 0]])  # four were asked for the shape
    scores = score_answers(HEAD, concentrations, votes, name="resnet18", coverage=0.9)
    smooth, shape = scores.questions
    assert (smooth.num_galaxies, shape.num_galaxies) == (2, 1)
    assert smooth.absolute_error == pytest.approx((0.1 + 0.1 + 0.25 + 0.25) / 4)
    assert shape.squared_error == pytest.approx(np.sqrt((0.25**2 + 0.25**2 + 0) / 3))
    expected = [[0.6, 0.4, 0.15, 0.15, 0.3], [0.5, 0.5, 0.125, 0.25, 0.125]]
    observed = [[0.5, 0.5, 0.25, 0.0, 0.25], [0.25, 0.75, 0.125, 0.125, 0.0]]
    error = np.sqrt(((np.array(expected) - observed) ** 2).mean())
    assert scores.cumulative_error == pytest.approx(error)


@pytest.mark.parametrize("coverage", [0.5, 0.9])
@pytest.mark.parametrize(
    ("believed", "is_right"), [(1.0, True), (8.0, False)], ids=["right", "too sure"]
)
def test_intervals_hold_as_often_as_they_say_where_the_network_is_right(
    coverage, believed, is_right
):
    random = np.random.default_rng(4)
    true = random.uniform(1, 12, (4000, 5))
    fractions = np.concatenate([_draw(true[:, :2], random), _draw(true[:, 2:], random)], axis=1)
    votes = np.zeros_like(fractions)
    for row, (one, two) in enumerate(random.integers(0, 40, (4000, 2))):
        votes[row, :2] = random.multinomial(one, fractions[row, :2])
        votes[row, 2:] = random.multinomial(two, fractions[row, 2:])
    held = find_coverage(HEAD, believed * true, votes, coverage=coverage).mean()
    if is_right:
        assert held == pytest.approx(coverage, abs=0.01)
    else:
        assert held < coverage - 0.1


def _draw(concentrations, random) -> np.ndarray:
    drawn = random.gamma(concentrations)
    return drawn / drawn.sum(axis=1, keepdims=True)


def test_a_question_that_nobody_was_asked_has_no_score():
    votes = np.array([[20.0, 20, 0, 0, 0]])
    scores = score_answers(HEAD, np.full((1, 5), 10.0), votes, name="a", coverage=0.9)
    assert scores.questions[1].num_galaxies == 0
    assert scores.questions[1].absolute_error is None
    assert "of 0.000" in describe_votes(scores)
    nobody = score_answers(HEAD, np.full((1, 5), 10.0), 0 * votes, name="a", coverage=0.9)
    assert describe_votes(nobody).startswith("No question was answered by 5 volunteers")
