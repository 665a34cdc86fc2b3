"""What a release's volunteers were asked, and which columns say how many gave each answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from galaxy_tasks.releases.questions import Answer


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, in canonical words, with its answers in the order of the columns."""

    name: str
    answers: tuple[str, ...]
    columns: tuple[str, ...]
    """Of each answer: volunteers or a fraction of them."""
    total: str = ""
    """Column of the volunteers who answered; empty where it is not needed."""


@dataclass(frozen=True, kw_only=True)
class Ballot:
    """How the number of volunteers for each answer is read from a table.

    `counted_as` says what the answers' columns hold: volunteers; fractions of those who answered
    the question; or fractions of all of a galaxy's volunteers.
    """

    questions: tuple[Question, ...]
    counted_as: Literal["counts", "fractions", "cumulative"]
    volunteers: float = 1.0
    """Volunteers a galaxy, assumed where the table has cumulative fractions alone."""
    parents: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Question → the question and answer that lead to it, an earlier one of `questions`; the others
    are asked about every galaxy. Empty where nobody needs it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read, each once."""
        names = [name for one in self.questions for name in (*one.columns, one.total) if name]
        return tuple(dict.fromkeys(names))

    @property
    def answers(self) -> tuple[Answer, ...]:
        """All answers, question by question."""
        return tuple(
            Answer(question=one.name, answer=answer)
            for one in self.questions
            for answer in one.answers
        )


def make_questions(
    tree: Mapping[str, Answer], *, suffix: str = "", total_suffix: str = ""
) -> tuple[Question, ...]:
    """Return the questions of a tree of canonical answers by column stem.

    Args:
        tree: as `questions.name_answers` returns it.
        suffix: after the stem, in the name of an answer's column.
        total_suffix: after the release's name of a question, in that of the column that counts its
            volunteers; empty where there is none.
    """
    names = dict.fromkeys(answer.question for answer in tree.values())
    return tuple(_make_question(name, tree, suffix, total_suffix) for name in names)


def _make_question(
    name: str, tree: Mapping[str, Answer], suffix: str, total_suffix: str
) -> Question:
    own = {stem: answer for stem, answer in tree.items() if answer.question == name}
    return Question(
        name=name,
        answers=tuple(answer.answer for answer in own.values()),
        columns=tuple(stem + suffix for stem in own),
        total=_find_question(own) + total_suffix if total_suffix else "",
    )


def _find_question(stems: Iterable[str]) -> str:
    """Return what stems of one question have in common: 't01_how_rounded', of its answers."""
    first, *others = stems
    words = first.split("_")
    for count in range(len(words) - 1, 0, -1):
        question = "_".join(words[:count])
        if all(stem.startswith(f"{question}_") for stem in others):
            return question
    raise ValueError(f"The answers {list(stems)} have no question in common")
