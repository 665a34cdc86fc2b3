"""The questions and answers of all releases, in one spelling.

Releases ask nearly the same questions in different words: the artifact is `artifact`, `problem` or
`a03_star_or_artifact`; the roundest answer is `round`, `completely` or `a16_completely_round`.
Answers of different meaning stay apart: a bulge has four sizes in Galaxy Zoo 2, three in GZD-1/2
and five since GZD-5, and a bar is present or absent, or strong, weak or absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

QUESTIONS: dict[str, tuple[str, ...]] = {
    "type": (
        "elliptical",
        "spiral",
        "spiral_clockwise",
        "spiral_anticlockwise",
        "edge_on",
        "dont_know",
        "merger",
    ),
    "smooth_or_featured": ("smooth", "featured", "artifact"),
    "edge_on": ("yes", "no"),
    "bar": ("yes", "strong", "weak", "no"),
    "spiral": ("yes", "no"),
    "bulge_size": (
        "none",
        "just_noticeable",
        "small",
        "moderate",
        "obvious",
        "large",
        "dominant",
    ),
    "odd": ("yes", "no"),
    "roundness": ("round", "in_between", "cigar"),
    "odd_feature": (
        "ring",
        "lens_or_arc",
        "disturbed",
        "irregular",
        "other",
        "merger",
        "dust_lane",
    ),
    "edge_on_bulge": ("yes", "rounded", "boxy", "none"),
    "winding": ("tight", "medium", "loose"),
    "arm_count": ("1", "2", "3", "4", "more_than_4", "cant_tell"),
    "merging": (
        "none",
        "minor_disturbance",
        "major_disturbance",
        "tidal_debris",
        "merger",
        "merger_and_debris",
    ),
    "clumpy": ("yes", "no"),
    "clump_count": ("1", "2", "3", "4", "more_than_4", "cant_tell"),
    "clump_arrangement": ("line", "chain", "cluster", "spiral"),
    "bright_clump": ("yes", "no"),
    "bright_clump_central": ("yes", "no"),
    "symmetrical": ("yes", "no"),
    "clumps_embedded": ("yes", "no"),
    "problem": ("star", "artifact", "zoom"),
    "artifact": (
        "satellite",
        "scattered",
        "diffraction",
        "ray",
        "saturation",
        "ghost",
        "other",
    ),
}
"""Every question with the answers that any release allows, in canonical words."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A canonical answer to a canonical question.

    Raises:
        ValueError: it is not in QUESTIONS.
    """

    question: str
    answer: str

    def __post_init__(self) -> None:
        if self.answer not in QUESTIONS.get(self.question, ()):
            raise ValueError(
                f"No canonical answer {self.answer!r} to {self.question!r}. "
                f"Allowed: {QUESTIONS.get(self.question, tuple(QUESTIONS))}"
            )


def name_answers(
    questions: Mapping[str, tuple[str, Mapping[str, str]]], *, separator: str = "_"
) -> dict[str, Answer]:
    """Return the canonical answer for each column stem of a release's decision tree.

    Args:
        questions: maps the release's name of a question to its canonical name, and to the
            canonical answers by the release's names of them.
        separator: between question and answer in the release's columns.

    Returns:
        Canonical answers by stem, `question + separator + answer`: a column's name without its
        suffix, such as `_fraction`.
    """
    return {
        f"{own_question}{separator}{own_answer}": Answer(question=question, answer=answer)
        for own_question, (question, answers) in questions.items()
        for own_answer, answer in answers.items()
    }
