"""How well networks that have learned votes predict the volunteers' answers on the test galaxies.

A question counts for the galaxies of which at least LEAST_VOTES volunteers were asked it: of fewer,
the share of an answer says little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.candidates import Candidate
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.galaxies import VOTES
from galaxy_tasks.training.model_record import TEST_CONCENTRATIONS
from galaxy_tasks.training.vote_head import VoteHead, read_vote_head

LEAST_VOTES = 5


@dataclass(frozen=True)
class QuestionScores:
    """How well the answers to a question are predicted; means over a network's trainings."""

    question: str
    num_galaxies: int
    absolute_error: float | None
    """Mean absolute error of the answers' shares, 0 to 1. None, as those below, where no galaxy
    counts."""
    squared_error: float | None
    """Root of the mean squared error of the same."""
    coverage: float | None
    """How often the number of volunteers is within the interval that is meant to hold it with the
    probability `VoteScores.coverage`; None, too, where nothing has trained its width."""


@dataclass(frozen=True)
class VoteScores:
    """How well a network predicts the volunteers."""

    architecture: str
    coverage: float
    """How often intervals are meant to hold."""
    questions: tuple[QuestionScores, ...]
    cumulative_error: float | None
    """Root of the mean squared error over all answers, each share multiplied by those that lead to
    it, as the Galaxy Zoo challenge scored it; None where it is unknown which do."""


def score_votes(
    candidates: Sequence[Candidate], images: Artifact, config: RunConfig
) -> tuple[VoteScores, ...]:
    """Return the scores of each network; none where networks learned classes."""
    heads = [read_vote_head(one.artifact.path) for one in candidates]
    if not all(heads):
        return ()
    votes = np.load(images.path / VOTES, mmap_mode="r")
    names = dict.fromkeys(one.architecture for one in candidates)
    scored = {name: [] for name in names}
    for one, head in zip(candidates, heads, strict=True):
        assert head is not None
        of_each = np.load(one.artifact.path / TEST_CONCENTRATIONS, mmap_mode="r")
        concentrations = of_each[: config.test_time_augmentation].mean(axis=0, dtype=np.float64)
        own = np.asarray(votes[one.galaxies["row"].to_numpy()], np.float64)
        scored[one.architecture].append(
            score_answers(
                head,
                concentrations,
                own,
                name=one.architecture,
                coverage=config.coverage,
                has_intervals=one.record.config.target == "votes",
            )
        )
    return tuple(_average(trainings) for trainings in scored.values())


def score_answers(
    head: VoteHead,
    concentrations: NDArray[np.float64],
    votes: NDArray[np.float64],
    *,
    name: str,
    coverage: float,
    has_intervals: bool = True,
) -> VoteScores:
    """Return how concentrations (galaxies, answers) predict votes of the same shape."""
    expected, observed = head.find_fractions(concentrations), head.find_fractions(votes)
    asked = head.sum_questions(votes)
    held = find_coverage(head, concentrations, votes, coverage=coverage) if has_intervals else None
    questions = []
    for number, question in enumerate(head.questions):
        rows, columns = asked[:, number] >= LEAST_VOTES, head.question_of == number
        errors = expected[rows][:, columns] - observed[rows][:, columns]
        absolute, root, covered = None, None, None
        if rows.any():
            absolute, root = float(np.abs(errors).mean()), float(np.sqrt((errors**2).mean()))
            covered = None if held is None else float(held[rows][:, columns].mean())
        questions.append(QuestionScores(question, int(rows.sum()), absolute, root, covered))
    error = None
    if head.parents:
        both = [head.multiply_parents(np.nan_to_num(one)) for one in (expected, observed)]
        error = float(np.sqrt(((both[0] - both[1]) ** 2).mean()))
    return VoteScores(name, coverage, tuple(questions), error)


def find_coverage(
    head: VoteHead,
    concentrations: NDArray[np.float64],
    votes: NDArray[np.float64],
    *,
    coverage: float,
) -> NDArray[np.float64]:
    """Return how far each number of volunteers is within its interval, (galaxies, answers), 0 to 1.

    Numbers are whole, and so intervals have no exact probability: what the distribution
    (beta-binomial) gives to a number on a bound is inside by its part (Czado et al. 2009,
    doi:10.1111/j.1541-0420.2009.01191.x). The mean is `coverage` where all is as predicted.
    """
    whole = np.rint(head.sum_questions(votes))[:, head.question_of]
    given = np.minimum(np.rint(votes), whole)
    others = head.sum_questions(concentrations)[:, head.question_of] - concentrations
    below, own = np.zeros_like(votes), np.zeros_like(votes)
    # The logarithm of the beta-binomial probability of a number, from none upwards.
    chance = betaln(concentrations, whole + others) - betaln(concentrations, others)
    for number in range(int(given.max(initial=0)) + 1):
        below += np.where(number < given, np.exp(chance), 0.0)
        own += np.where(number == given, np.exp(chance), 0.0)
        left = np.maximum(whole - number, 1e-300)
        chance += np.log(left * (number + concentrations) / (number + 1))
        chance -= np.log(np.maximum(left - 1, 0) + others)
    tail = (1 - coverage) / 2
    inside = np.minimum(below + own, 1 - tail) - np.maximum(below, tail)
    return np.clip(inside / np.maximum(own, 1e-300), 0.0, 1.0)


def _average(trainings: Sequence[VoteScores]) -> VoteScores:
    first = trainings[0]
    questions = tuple(
        QuestionScores(
            own[0].question,
            own[0].num_galaxies,
            *(
                _average_known([getattr(one, name) for one in own])
                for name in ("absolute_error", "squared_error", "coverage")
            ),
        )
        for own in zip(*(one.questions for one in trainings), strict=True)
    )
    error = _average_known([one.cumulative_error for one in trainings])
    return VoteScores(first.architecture, first.coverage, questions, error)


def _average_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
