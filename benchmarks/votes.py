"""How close do networks that have learned votes come to what is true of a galaxy?

    python -m benchmarks.votes [--galaxies 2400] [--image-size-px 64] [--epochs 20] [--seeds 3]

Of simulated galaxies it is known how probable each answer is, which the shares of a few dozen
volunteers only estimate. A ResNet-18 learns from these volunteers, with the likelihood of their
votes and with the squared error of their shares. What it expects of the test galaxies is compared
with the true shares, and with those of the volunteers; beside it stand the volunteers themselves,
and the shares of all training galaxies together.

Errors are absolute ones, means over answers, galaxies and seeds, with the standard deviation over
seeds. Trainings are kept below GALAXY_HOME: what was trained before is not trained again.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.starts import prepare, train_seeds
from galaxy_tasks.config import parse_config
from galaxy_tasks.evaluation.candidates import Candidate, check_same_galaxies
from galaxy_tasks.evaluation.votes import VoteScores, score_answers, score_votes
from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.questions import Answer
from galaxy_tasks.simulation.population import draw_galaxy, random_generator
from galaxy_tasks.simulation.release import FIRST_ID, IDS_OF_A_SEED
from galaxy_tasks.simulation.volunteers import VOTE_COLUMNS, find_chances, look_at
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.galaxies import VOTES, open_galaxies
from galaxy_tasks.training.model_record import TEST_CONCENTRATIONS
from galaxy_tasks.training.vote_head import VoteHead, read_vote_head

RECIPE: dict[str, Any] = {
    "release": "simulated",
    "architectures": ["resnet18"],
    "weight_decay": 0.05,
    "early_stopping_patience_epochs": 1000,
}

Weights = NDArray[np.float64]
"""(galaxies, answers), of which only the ratios within a question matter."""


@dataclass(frozen=True)
class TestGalaxies:
    """The galaxies that all networks are tested on."""

    head: VoteHead
    ids: tuple[int, ...]
    votes: Weights
    """Volunteers for each answer."""
    usual: Weights
    """Those of all training galaxies together, in each row."""


def main() -> None:
    """Run it; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galaxies", type=int, default=2400)
    parser.add_argument("--image-size-px", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    set_up_logging()
    settings = {
        **RECIPE,
        "simulated_galaxies": options.galaxies,
        "image_size_px": options.image_size_px,
        "epochs": options.epochs,
    }
    by_votes = train_seeds({**settings, "target": "votes"}, options.seeds)
    by_squares = train_seeds({**settings, "target": "fractions"}, options.seeds)
    images = Artifact.from_reference(prepare({**settings, "target": "votes"})[1])
    check_same_galaxies([*by_votes, *by_squares])
    galaxies = read_galaxies(by_votes[0], images)
    expected = {
        "network, likelihood": [read_expected(one) for one in by_votes],
        "network, squared error": [read_expected(one) for one in by_squares],
        "training galaxies": [galaxies.usual],
    }
    true = find_true_votes(galaxies)
    print(tabulate(galaxies, {"volunteers": [galaxies.votes], **expected}, true, "the true"))
    print(tabulate(galaxies, {"truth": [true], **expected}, galaxies.votes, "the volunteers'"))
    (scores,) = score_votes(by_votes, images, parse_config(settings))
    held = [
        f"{one.question} {one.coverage:.1%}" for one in scores.questions if one.coverage is not None
    ]
    print(f"Intervals for {scores.coverage:.0%} hold the volunteers: {', '.join(held)}")


def read_galaxies(candidate: Candidate, images: Artifact) -> TestGalaxies:
    """Return the test galaxies of a network that has learned votes."""
    head = read_vote_head(candidate.artifact.path)
    assert head is not None
    votes = np.load(images.path / VOTES).astype(np.float64)
    own = votes[candidate.galaxies["row"].to_numpy()]
    learned = votes[open_galaxies(images.path, "train").rows]
    ids = tuple(map(int, candidate.galaxies["galaxy_id"]))
    return TestGalaxies(head, ids, own, np.broadcast_to(learned.sum(axis=0), own.shape))


def read_expected(candidate: Candidate) -> Weights:
    """Return the concentrations that a network gives, means over orientations."""
    return np.load(candidate.artifact.path / TEST_CONCENTRATIONS).mean(axis=0, dtype=np.float64)


def find_true_votes(galaxies: TestGalaxies) -> Weights:
    """Return what as many volunteers would answer on average as were asked each question."""
    head, find = galaxies.head, RELEASES["simulated"].find_answer
    places = [
        Answer(question=name, answer=one) for name, own in head.questions.items() for one in own
    ]
    order = [places.index(answer) for column in VOTE_COLUMNS if (answer := find(column))]
    true = np.empty(galaxies.votes.shape)
    for row, galaxy_id in enumerate(galaxies.ids):
        seed, index = divmod(galaxy_id - FIRST_ID, IDS_OF_A_SEED)
        random = random_generator(seed=seed, index=index)
        galaxy = draw_galaxy(random)
        chances = find_chances(galaxy, impression=look_at(galaxy, random=random))
        true[row, order] = np.concatenate(list(chances.values()))
    return true * head.sum_questions(galaxies.votes)[:, head.question_of]


def tabulate(
    galaxies: TestGalaxies, expected: Mapping[str, Sequence[Weights]], votes: Weights, whose: str
) -> str:
    """Return the errors of shares, by question and by what expects them, as a table in Markdown."""
    scores: dict[str, list[VoteScores]] = {
        name: [
            score_answers(galaxies.head, one, votes, name=name, coverage=1, has_intervals=False)
            for one in own
        ]
        for name, own in expected.items()
    }
    lines = [f"\nErrors of {whose} shares of {len(votes):,} test galaxies\n"]
    lines += [f"| question | galaxies | {' | '.join(scores)} |", "|---" * (len(scores) + 2) + "|"]
    for number, question in enumerate(galaxies.head.questions):
        cells = [
            describe([one.questions[number].absolute_error for one in own])
            for own in scores.values()
        ]
        count = next(iter(scores.values()))[0].questions[number].num_galaxies
        lines.append(f"| {question} | {count:,} | {' | '.join(cells)} |")
    cells = [describe([one.cumulative_error for one in own]) for own in scores.values()]
    lines.append(f"| the challenge's root mean square | {len(votes):,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def describe(errors: Sequence[float | None]) -> str:
    """Return a mean and, of several, the standard deviation."""
    known = [error for error in errors if error is not None]
    if len(known) < 2:
        return f"{known[0]:.3f}" if known else ""
    return f"{np.mean(known):.3f} ± {np.std(known, ddof=1):.3f}"


if __name__ == "__main__":
    main()
