"""What the outputs of a network mean that has learned votes: answers, from which classes follow.

Loads no Keras, as predictions need it where no Keras is.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, expit, ndtri, softmax

from galaxy_tasks.storage.atomic_io import read_json, write_json

VOTES_JSON = "votes.json"
"""Name of the file, beside images and weights, that describes the answers."""
LARGEST_CONCENTRATION = 100.0
DRAWS = 128
_ROWS_AT_ONCE = 1024
_PRIOR = 0.5
"""Jeffreys' share of a draw for each class, so that no probability is zero."""


@dataclass(frozen=True)
class Criterion:
    """A fraction that must reach a minimum: the product of the fractions of some answers."""

    answers: tuple[int, ...]
    minimum: float


@dataclass(frozen=True)
class Rule:
    """A class and what a galaxy of it must meet."""

    morphology: str
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True)
class VoteHead:
    """A Dirichlet distribution over the answers to each question (Walmsley et al. 2022, 4.2).

    The concentration of an answer is 1 + 100 sigmoid(output). Of the distributions' draws each has
    the class whose rule it alone meets, else the class for contested galaxies: a class's
    probability is its share of the draws.
    """

    classes: tuple[str, ...]
    questions: Mapping[str, tuple[str, ...]]
    """Question → its answers, in the order of the outputs."""
    rules: tuple[Rule, ...]
    """Of classes that may be left out of `classes`, too."""
    contested: str
    """Class of what meets no rule, or several."""
    parents: Mapping[str, int]
    """Question → the number of the answer that leads to it; empty where that is unknown."""

    @property
    def num_outputs(self) -> int:
        """Outputs of the network."""
        return sum(map(len, self.questions.values()))

    @cached_property
    def question_of(self) -> NDArray[np.int64]:
        """(answers,) the number of each answer's question."""
        counts = [len(answers) for answers in self.questions.values()]
        return np.repeat(np.arange(len(counts)), counts)

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of the answers, 'question_answer', in the order of the outputs."""
        return tuple(f"{name}_{one}" for name, own in self.questions.items() for one in own)

    def find_concentrations(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return those of outputs (…, answers)."""
        return 1 + LARGEST_CONCENTRATION * expit(np.asarray(logits, np.float64))

    def find_fractions(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return each answer's share of its question, (…, answers); NaN where nobody answered."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return weights / self.sum_questions(weights)[..., self.question_of]

    def sum_questions(self, weights: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (…, questions) of numbers (…, answers)."""
        starts = np.flatnonzero(np.diff(self.question_of, prepend=-1))
        return np.add.reduceat(np.asarray(weights, np.float64), starts, axis=-1)

    def multiply_parents(self, fractions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return fractions of all volunteers, of those of the ones asked, each (…, answers)."""
        leading = np.array([self.parents.get(name, -1) for name in self.questions])
        whole = np.array(fractions, np.float64)
        # A question comes after the one that leads to it.
        for number, answer in enumerate(leading.tolist()):
            if answer >= 0:
                whole[..., self.question_of == number] *= whole[..., [answer]]
        return whole

    def find_intervals(
        self, concentrations: NDArray[np.float64], *, coverage: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the bounds that the share of all volunteers lies between, each (…, answers)."""
        others = self.sum_questions(concentrations)[..., self.question_of] - concentrations
        tail = (1 - coverage) / 2
        return (
            betaincinv(concentrations, others, tail),
            betaincinv(concentrations, others, 1 - tail),
        )

    def find_probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return (…, classes) of outputs (…, answers)."""
        rows = np.asarray(logits).reshape(-1, self.num_outputs)
        parts = [
            self._share_out(self.find_concentrations(rows[first : first + _ROWS_AT_ONCE]))
            for first in range(0, len(rows), _ROWS_AT_ONCE)
        ]
        table = np.concatenate([np.zeros((0, len(self.classes))), *parts]).astype(np.float32)
        return table.reshape(*np.shape(logits)[:-1], len(self.classes))

    def _share_out(self, concentrations: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (galaxies, classes): the shares of the draws."""
        drawn = self._draw_fractions(concentrations)
        is_met = np.stack([self._meets(rule, drawn) for rule in self.rules], axis=-1)
        is_clear = is_met.sum(axis=-1, keepdims=True) == 1
        shares = np.concatenate([is_met & is_clear, ~is_clear], axis=-1).sum(axis=1)
        names = np.array([*(rule.morphology for rule in self.rules), self.contested])
        table = _PRIOR + np.stack(
            [shares[:, names == name].sum(axis=1) for name in self.classes], axis=-1
        )
        # What is no number meets no rule, and would seem to be contested.
        table[~np.isfinite(concentrations).all(axis=1)] = np.nan
        return table / table.sum(axis=-1, keepdims=True)

    def _draw_fractions(self, concentrations: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (galaxies, draws, answers in use): gamma variates, shared out by question.

        They are cubes of normal ones (Wilson & Hilferty 1931, doi:10.1073/pnas.17.12.684), the same
        for every galaxy, so that its answers do not depend on what it is classified with. Sobol's
        points leave smaller gaps than random ones.
        """
        alpha = concentrations[:, np.newaxis, self._in_use]
        roots = 1 - 1 / (9 * alpha) + self._normal / (3 * np.sqrt(alpha))
        drawn = np.maximum(alpha * roots * roots * roots, 1e-9)
        asked = self.question_of[self._in_use]
        _, starts, of = np.unique(asked, return_index=True, return_inverse=True)
        return drawn / np.add.reduceat(drawn, starts, axis=-1)[..., of]

    def _meets(self, rule: Rule, fractions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which (…) fractions (…, answers in use) meet a rule."""
        met = [
            fractions[..., np.searchsorted(self._in_use, one.answers)].prod(axis=-1) >= one.minimum
            for one in rule.criteria
        ]
        return np.logical_and.reduce(met)

    @cached_property
    def _in_use(self) -> NDArray[np.int64]:
        """Numbers of the answers to questions that a rule asks about."""
        asked = [n for rule in self.rules for one in rule.criteria for n in one.answers]
        return np.flatnonzero(np.isin(self.question_of, self.question_of[asked]))

    @cached_property
    def _normal(self) -> NDArray[np.float64]:
        from scipy.stats.qmc import Sobol  # a second, which other networks do not wait for

        return ndtri(Sobol(len(self._in_use), rng=0).random(DRAWS))

    def write(self, folder: Path) -> None:
        """Write it beside what it is about."""
        write_json(folder / VOTES_JSON, asdict(self))


def find_probabilities(logits: NDArray[np.floating], votes: VoteHead | None) -> NDArray[np.float32]:
    """Return (…, classes) of a network's outputs (…, outputs); `votes` if it has learned votes."""
    if votes is None:
        with np.errstate(invalid="ignore"):  # of logits that are not finite, which callers refuse
            return softmax(np.asarray(logits, np.float32), axis=-1)
    return votes.find_probabilities(logits)


def read_vote_head(folder: Path) -> VoteHead | None:
    """Return what the outputs of the model in a folder mean; None where they are its classes."""
    path = folder / VOTES_JSON
    return make_vote_head(read_json(path)) if path.is_file() else None


def make_vote_head(document: Mapping[str, Any]) -> VoteHead:
    """Return the head that its JSON form describes."""
    rules = (
        Rule(
            rule["morphology"],
            tuple(Criterion(tuple(one["answers"]), one["minimum"]) for one in rule["criteria"]),
        )
        for rule in document["rules"]
    )
    return VoteHead(
        classes=tuple(document["classes"]),
        questions={name: tuple(answers) for name, answers in document["questions"].items()},
        rules=tuple(rules),
        contested=document["contested"],
        parents=document["parents"],
    )
