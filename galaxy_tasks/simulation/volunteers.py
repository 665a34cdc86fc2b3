"""What volunteers would answer, as the challenge's 37 vote fractions.

Each volunteer walks the Galaxy Zoo 2 decision tree (Willett et al. 2013, Table 2) alone, has an
individual weight, and answers at random, with probabilities that depend on what is *visible* of the
galaxy: its axis ratio after seeing, the contrast of its arms after seeing and noise, its thickness.
As in the real rows, the fraction of an answer is multiplied by those of the answers that lead to
it: Class2.* sum to Class1.2, Class3.*, Class4.* and Class5.* to Class2.2, Class7.* to Class1.1,
Class8.* to Class6.1, Class9.* to Class2.1, Class10.* and Class11.* to Class4.1; Class1.* and
Class6.* sum to 1.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.simulation.camera import signal_to_noise
from galaxy_tasks.simulation.population import DIFFICULTY, Difficulty, Galaxy

Fractions = NDArray[np.float64]

ANSWERS = {1: 3, 2: 2, 3: 2, 4: 2, 5: 4, 6: 2, 7: 3, 8: 7, 9: 3, 10: 3, 11: 6}
"""Question → number of its answers."""
PARENTS = {2: (1, 2), 3: (2, 2), 4: (2, 2), 5: (2, 2), 7: (1, 1), 8: (6, 1), 9: (2, 1),
           10: (4, 1), 11: (4, 1)}  # fmt: skip
"""Question → the (question, answer) that leads to it; the others are asked about every galaxy."""
VOTE_COLUMNS = tuple(
    f"Class{question}.{answer}"
    for question, count in ANSWERS.items()
    for answer in range(1, count + 1)
)


@dataclass(frozen=True)
class Impression:
    """What can be seen of a galaxy, from which the probabilities of answers follow."""

    axis_ratio: float
    features: float
    """Logit of seeing features or a disc rather than a smooth galaxy."""
    edge_on: float
    """Logit of seeing an edge-on disc, once features are seen."""
    arms: float
    """Logit of seeing spiral arms, once a disc that is not edge-on is seen."""
    problem: float
    """Probability of seeing a star or an artifact."""


def cast_votes(
    galaxy: Galaxy, *, random: np.random.Generator, difficulty: Difficulty = DIFFICULTY
) -> Fractions:
    """Return the 37 cumulative fractions in the order of `VOTE_COLUMNS`."""
    impression = look_at(galaxy, random=random, difficulty=difficulty)
    chances = find_chances(galaxy, impression=impression)
    count = max(25, int(random.poisson(difficulty.volunteers)))
    weights = random.beta(6.0, 1.0, count)
    answers = {
        question: np.searchsorted(np.cumsum(chances[question])[:-1], random.random(count)) + 1
        for question in ANSWERS
    }
    asked = {question: np.ones(count, bool) for question in ANSWERS}
    cumulative: dict[int, Fractions] = {}
    for question in ANSWERS:
        parent = PARENTS.get(question)
        share = 1.0
        if parent is not None:
            asked[question] = asked[parent[0]] & (answers[parent[0]] == parent[1])
            share = cumulative[parent[0]][parent[1] - 1]
        votes = np.bincount(
            answers[question][asked[question]],
            weights=weights[asked[question]],
            minlength=ANSWERS[question] + 1,
        )[1:].astype(np.float64)
        total = votes.sum()
        cumulative[question] = votes / total * share if total else votes
    return np.concatenate([cumulative[question] for question in ANSWERS])


def look_at(
    galaxy: Galaxy, *, random: np.random.Generator, difficulty: Difficulty = DIFFICULTY
) -> Impression:
    """Return what volunteers as a group see in a galaxy, including their misjudgement."""
    axis_ratio = galaxy.apparent_axis_ratio + random.normal(0, difficulty.axis_ratio_scatter)
    misjudged, misjudged_thickness, misjudged_arms = random.normal(0, difficulty.feature_scatter, 3)
    problem = random.beta(0.6, 20.0)
    features, edge_on, arms = -2.1, -3.0, -1.5
    if galaxy.kind == "smooth":
        features += 1.2 * _sigmoid((0.42 - axis_ratio) / 0.05)
        edge_on += 4.0 * _sigmoid((0.40 - axis_ratio) / 0.05)
    elif galaxy.kind == "edge_on":
        features = 0.4 + (0.32 - axis_ratio) / 0.06
        features += 1.5 * galaxy.dust + 3.0 * galaxy.bulge_fraction
        edge_on = 1.4 + (0.42 - axis_ratio) / 0.06
    elif galaxy.kind in {"spiral", "featured"}:
        contrast = visible_arms(galaxy, difficulty=difficulty)
        excess = math.log(contrast / difficulty.visible_arms)
        # A disc looks like one even without its arms: never as smooth as an elliptical galaxy.
        features = math.log(math.exp(-0.6) + math.exp(0.4 + 2.3 * excess))
        features += 0.8 * galaxy.bar_strength
        arms = 1.0 + 2.3 * excess if galaxy.kind == "spiral" else -1.3
        edge_on = -3.5 + 3.0 * _sigmoid((0.42 - axis_ratio) / 0.04)
    else:
        problem = random.beta(12.0, 4.0)
    return Impression(
        axis_ratio=axis_ratio,
        features=features + misjudged,
        edge_on=edge_on + 0.6 * misjudged_thickness,
        arms=arms + 0.6 * misjudged_arms,
        problem=problem,
    )


def visible_arms(galaxy: Galaxy, *, difficulty: Difficulty = DIFFICULTY) -> float:
    """Return the contrast of a disc's arms (or ring) that seeing and noise leave.

    Seeing damps a wave of the arms' spacing by its transfer function, and inclination narrows the
    spacing. Below a signal to noise of about 15 per camera pixel, noise hides what is left. Its
    rank correlation with the residual measured on 260 noise-free cutouts is 0.91.
    """
    if galaxy.kind == "spiral":
        pitch = math.tan(math.radians(galaxy.pitch_degrees))
        spacing_px = 2 * math.pi * 1.6 * galaxy.half_light_px * pitch / galaxy.arms
        contrast = galaxy.arm_strength
    else:
        spacing_px, contrast = 1.6 * galaxy.half_light_px, 0.8 * galaxy.ring_strength
    wavenumber = 2 * math.pi / (spacing_px * math.sqrt(galaxy.axis_ratio))
    seen = math.exp(-0.5 * (wavenumber * galaxy.seeing_sigma_px) ** 2)
    noise = (15.0 / signal_to_noise(galaxy, difficulty=difficulty)) ** 2
    return max(1e-3, contrast * seen / math.sqrt(1 + noise))


def find_chances(galaxy: Galaxy, *, impression: Impression) -> dict[int, Fractions]:
    """Return, for each question, how probable each of its answers is for who is asked it."""
    fair = 1 - impression.problem
    features = _sigmoid(impression.features) * fair
    is_round = _sigmoid((impression.axis_ratio - 0.785) / 0.04)
    is_cigar = _sigmoid((0.405 - impression.axis_ratio) / 0.03)
    bar = 0.05 + 0.75 * galaxy.bar_strength
    odd = 0.08 + 0.25 * (galaxy.kind == "featured") + 0.1 * galaxy.dust
    bulge_sizes = np.array([0.03, 0.10, 0.25, 0.55])
    bulge = np.exp(-0.5 * ((galaxy.bulge_fraction - bulge_sizes) / (0.03 + 0.5 * bulge_sizes)) ** 2)
    has_bulge = _sigmoid((galaxy.bulge_fraction - 0.06) / 0.03)
    odd_kinds = np.array([0.05, 0.02, 0.15, 0.25, 0.25, 0.2, 0.02])
    odd_kinds[0] += 2.0 * galaxy.ring_strength
    odd_kinds[6] += 2.0 * galaxy.dust
    windings = np.exp(-0.5 * ((galaxy.pitch_degrees - np.array([12.0, 20.0, 29.0])) / 4.5) ** 2)
    numbers = np.array([0.06, 0.06, 0.06, 0.03, 0.02, 0.25])
    numbers[galaxy.arms - 1] += 0.8
    return {
        1: np.array([fair - features, features, impression.problem]),
        2: _yes_no(_sigmoid(impression.edge_on)),
        3: _yes_no(bar),
        4: _yes_no(_sigmoid(impression.arms)),
        5: _normalised(bulge + 0.03),
        6: _yes_no(odd),
        7: _normalised(np.array([is_round, (1 - is_round) * (1 - is_cigar), is_cigar])),
        8: _normalised(odd_kinds),
        9: np.array([0.85 * has_bulge, 0.15 * has_bulge, 1 - has_bulge]),
        10: _normalised(windings + 0.05),
        11: _normalised(numbers),
    }


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-min(30.0, max(-30.0, logit))))


def _yes_no(yes: float) -> Fractions:
    return np.array([yes, 1 - yes])


def _normalised(weights: Fractions) -> Fractions:
    return weights / weights.sum()
