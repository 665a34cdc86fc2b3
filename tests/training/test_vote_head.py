"""Votes as targets: the losses, and what a network's outputs say of answers and classes."""

import keras
import numpy as np
import pytest
from fixtures.model_inputs import KERAS_MARKS
from scipy import stats
from scipy.special import gammaln, logit

from galaxy_tasks.training.vote_head import (
    LARGEST_CONCENTRATION,
    Criterion,
    Rule,
    VoteHead,
    find_probabilities,
    read_vote_head,
)
from galaxy_tasks.training.vote_loss import DirichletMultinomial, FractionsError, log_gamma

pytestmark = KERAS_MARKS
HEAD = VoteHead(
    classes=("contested", "edge_on", "round"),
    questions={
        "smooth": ("yes", "no"),
        "shape": ("round", "cigar", "other"),
        "edge": ("yes", "no"),
    },
    rules=(
        Rule("round", (Criterion((0,), 0.5), Criterion((2, 0), 0.4))),
        Rule("edge_on", (Criterion((1,), 0.5), Criterion((5,), 0.6))),
    ),
    contested="contested",
    parents={"shape": 0, "edge": 1},
)


def outputs_of(concentrations) -> np.ndarray:
    """Return the network's outputs that mean these concentrations."""
    return logit((np.asarray(concentrations, np.float64) - 1) / LARGEST_CONCENTRATION)


def to_numpy(tensor) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def test_the_logarithm_of_gamma_is_that_of_scipy():
    x = np.concatenate([np.linspace(1, 50, 500), np.geomspace(50, 5e4, 200)]).astype(np.float32)
    expected = gammaln(x.astype(np.float64))
    np.testing.assert_allclose(to_numpy(log_gamma(x)), expected, rtol=2e-6, atol=2e-5)


def test_the_loss_is_the_dirichlet_multinomial_likelihood():
    """But for a constant of the votes: differences between two predictions are scipy's."""
    votes = np.array([[30, 10, 20, 5, 5, 7, 3], [0, 40, 0, 0, 0, 22, 18]], np.float64)
    random = np.random.default_rng(1)
    predictions = random.uniform(2, 90, (2, 2, 7))
    losses = [
        to_numpy(DirichletMultinomial(HEAD).call(votes, outputs_of(own).astype(np.float32)))
        for own in predictions
    ]
    parts = [slice(0, 2), slice(2, 5), slice(5, 7)]
    expected = [
        [
            -sum(
                stats.dirichlet_multinomial.logpmf(k[part], alpha[part], int(k[part].sum()))
                for part in parts
            )
            for k, alpha in zip(votes.astype(int), own, strict=True)
        ]
        for own in predictions
    ]
    difference = np.subtract(*losses)
    np.testing.assert_allclose(difference, np.subtract(*expected), rtol=1e-3, atol=1e-3)


def test_the_error_of_fractions_leaves_out_what_nobody_was_asked():
    votes = np.array([[30, 10, 20, 10, 0, 0, 0]], np.float32)
    outputs = outputs_of([[50, 50, 30, 30, 30, 90, 10]]).astype(np.float32)
    errors = np.array([0.75 - 0.5, 0.25 - 0.5, 2 / 3 - 1 / 3, 0, -1 / 3])
    received = to_numpy(FractionsError(HEAD).call(votes, outputs))
    np.testing.assert_allclose(received, [(errors**2).mean()], rtol=1e-4)


@pytest.mark.parametrize("loss", [DirichletMultinomial, FractionsError])
def test_without_votes_there_is_nothing_to_learn(loss):
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 1, 7)).astype(np.float32)
    nothing = np.zeros((1, 7), np.float32)
    np.testing.assert_allclose(to_numpy(loss(HEAD).call(nothing, one)), 0, atol=1e-3)
    np.testing.assert_allclose(to_numpy(loss(HEAD).call(nothing, other)), 0, atol=1e-3)


def test_a_class_has_the_share_of_the_draws_that_meet_its_rule_alone():
    sure_round = [95, 5, 95, 3, 3, 50, 50]
    sure_edge_on = [5, 95, 30, 30, 30, 90, 5]
    # Smooth without doubt, and as round as not: the product is near neither side of 0.4.
    contested = [95, 5, 5, 90, 5, 50, 50]
    found = find_probabilities(outputs_of([sure_round, sure_edge_on, contested]), HEAD)
    assert found.shape == (3, 3)
    assert found.argmax(axis=1).tolist() == [2, 1, 0]
    assert (found.max(axis=1) > 0.97).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    # The share of all volunteers who answer "yes, round" has a mean of 0.4: half of the draws.
    doubtful = [80, 20, 50, 25, 25, 50, 50]
    assert find_probabilities(outputs_of([doubtful]), HEAD)[0, 2] == pytest.approx(0.5, abs=0.1)


def test_classes_of_one_name_are_one():
    rules = (Rule("disk", HEAD.rules[0].criteria), Rule("disk", HEAD.rules[1].criteria))
    head = VoteHead(("contested", "disk"), HEAD.questions, rules, "contested", {})
    found = find_probabilities(
        outputs_of([[95, 5, 95, 3, 3, 50, 50], [5, 95, 9, 9, 9, 90, 5]]), head
    )
    assert found.argmax(axis=1).tolist() == [1, 1]


def test_draws_have_the_mean_and_spread_of_the_dirichlet_distribution():
    concentrations = np.array([[1.0, 1.0, 3.0, 30.0, 10.0, 60.0, 60.0]])
    drawn = HEAD._draw_fractions(concentrations)[0]  # all of its questions are in use
    expected = HEAD.find_fractions(concentrations)[0]
    total = HEAD.sum_questions(concentrations)[0][HEAD.question_of]
    spread = np.sqrt(expected * (1 - expected) / (total + 1))
    error = spread / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - expected) < 0.3 * error + 0.01).all()
    np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.25)


def test_probabilities_are_those_of_many_draws():
    random = np.random.default_rng(5)
    concentrations = random.uniform(1, 60, (40, 7))
    found = find_probabilities(outputs_of(concentrations), HEAD)
    drawn = HEAD.find_fractions(random.gamma(concentrations, size=(20_000, 40, 7)))
    is_round = (drawn[..., 0] >= 0.5) & (drawn[..., 2] * drawn[..., 0] >= 0.4)
    is_edge_on = (drawn[..., 1] >= 0.5) & (drawn[..., 5] >= 0.6)
    shares = np.stack([~(is_round | is_edge_on), is_edge_on, is_round], axis=-1).mean(axis=0)
    assert np.abs(found - shares).mean() < 0.01
    assert np.abs(found - shares).max() < 0.06


def test_what_is_no_number_is_no_class():
    outputs = np.zeros((3, 7))
    outputs[1, 4] = np.nan
    found = find_probabilities(outputs, HEAD)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False]


def test_only_questions_of_the_rules_are_drawn():
    more = {"first": ("a", "b"), **HEAD.questions, "last": ("c", "d")}
    moved = tuple(
        Rule(
            rule.morphology,
            tuple(
                Criterion(tuple(n + 2 for n in one.answers), one.minimum) for one in rule.criteria
            ),
        )
        for rule in HEAD.rules
    )
    head = VoteHead(HEAD.classes, more, moved, "contested", {})
    outputs = np.random.default_rng(3).normal(size=(20, 11))
    own = find_probabilities(outputs[:, 2:9], HEAD)
    np.testing.assert_array_equal(find_probabilities(outputs, head), own)


def test_answers_do_not_depend_on_the_batch():
    outputs = np.random.default_rng(2).normal(size=(3, 1500, 7))
    whole = find_probabilities(outputs, HEAD)
    assert whole.shape == (3, 1500, 3)
    np.testing.assert_array_equal(
        find_probabilities(outputs[1, 1200:1201], HEAD), whole[1, 1200:1201]
    )
    assert find_probabilities(np.zeros((2, 0, 7)), HEAD).shape == (2, 0, 3)


def test_intervals_are_those_of_the_beta_distribution():
    concentrations = np.array([[30.0, 10.0, 5.0, 5.0, 10.0, 2.0, 90.0]])
    low, high = HEAD.find_intervals(concentrations, coverage=0.9)
    assert low[0, 0] == pytest.approx(stats.beta(30, 10).ppf(0.05))
    assert high[0, 4] == pytest.approx(stats.beta(10, 10).ppf(0.95))
    assert (low < HEAD.find_fractions(concentrations)).all()
    assert (high > HEAD.find_fractions(concentrations)).all()


def test_shares_of_all_volunteers_are_products_along_the_tree():
    fractions = np.array([[0.8, 0.2, 0.5, 0.3, 0.2, 0.9, 0.1]])
    expected = [[0.8, 0.2, 0.4, 0.24, 0.16, 0.18, 0.02]]
    np.testing.assert_allclose(HEAD.multiply_parents(fractions), expected)


def test_a_head_is_read_as_it_was_written(tmp_path):
    assert read_vote_head(tmp_path) is None
    HEAD.write(tmp_path)
    assert read_vote_head(tmp_path) == HEAD
    assert HEAD.answers[:3] == ("smooth_yes", "smooth_no", "shape_round")
