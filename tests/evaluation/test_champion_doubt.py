"""Where it cannot be told what the champion has learned from, every sentence says so."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.challenge import _explain, _Ground
from galaxy_tasks.evaluation.champion import Doubt, assess_doubt
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.shared_objects import find_hidden_overlaps

CHALLENGE = RunConfig(release="galaxy_zoo_challenge", source="one")
GALAXY_ZOO_2 = RunConfig(release="galaxy_zoo_2", source="two")
TABLE = RunConfig(release="class_table", source="three")


def place(*ra_degrees: float, split: str = "train") -> pd.DataFrame:
    return pd.DataFrame({"ra_degrees": ra_degrees, "split": split})


@pytest.mark.parametrize(
    ("unseen", "learned", "num_uncertain"),
    [
        (place(1.0, 2.0), place(3.0), 0),
        (place(1.0, np.nan), place(3.0), 1),
        (place(1.0, 2.0), place(3.0, np.nan), 2),
        (place(1.0, 2.0), place(np.nan, split="test"), 0),
    ],
)
def test_uncertain_is_what_has_no_place_on_both_sides(unseen, learned, num_uncertain):
    assert assess_doubt(TABLE, TABLE, unseen, learned) == Doubt(num_uncertain, "")


@pytest.mark.parametrize(
    ("config", "champion"), [(CHALLENGE, GALAXY_ZOO_2), (GALAXY_ZOO_2, CHALLENGE)]
)
def test_a_winner_on_the_same_galaxies_under_other_ids_may_know_them(config, champion):
    doubt = assess_doubt(config, champion, place(1.0), place(np.nan))
    assert "galaxy_zoo_challenge has galaxies of galaxy_zoo_2 under its own ids" in (
        doubt.describe()
    )
    assert "It may know some of them: galaxy_zoo_challenge" in doubt.describe()
    assert assess_doubt(config, champion, place(1.0), place(2.0)) == Doubt(0, "")
    assert assess_doubt(TABLE, champion, place(1.0), place(np.nan)).may_know == ""


@pytest.mark.parametrize("other", ["galaxy_zoo_2", "galaxy_zoo_2_main", "galaxy_zoo_decals"])
def test_releases_that_hide_that_they_are_the_same_galaxies_are_not_combined(other):
    challenge = {"release": "galaxy_zoo_challenge", "source": "one"}
    second = {"release": other, "source": "two"}
    for settings in ({**challenge, "combine": [second]}, {**second, "combine": [challenge]}):
        with pytest.raises(InputError, match=f"galaxy_zoo_challenge has galaxies of {other} under"):
            parse_config(settings)
    placed = {**challenge, "ra_column": "ra", "dec_column": "dec"}
    assert parse_config({**placed, "combine": [second]})
    with pytest.raises(InputError, match="into both training and test"):
        parse_config({**placed, "combine": [second, challenge]})


def test_releases_with_positions_or_the_same_ids_hide_nothing():
    names = [name for name in RELEASES if name != "galaxy_zoo_challenge"]
    assert find_hidden_overlaps(names, names) == []
    assert find_hidden_overlaps(["galaxy_zoo_challenge"], ["galaxy_zoo_challenge"]) == []
    for release in RELEASES.values():
        assert set(release.same_galaxies_as) <= set(RELEASES)


def explain(doubt: Doubt, value: float | None) -> str:
    champion = SimpleNamespace(
        record=SimpleNamespace(architecture="alexnet"),
        published="2026-11-24T03:00:00Z",
        model=SimpleNamespace(key="one"),
    )
    winner = SimpleNamespace(
        record=SimpleNamespace(architecture="resnet18"), artifact=SimpleNamespace(key="other")
    )
    labels, none = np.array([0, 1, 1]), np.zeros((0, 2))
    comparison = value is not None and SimpleNamespace(
        difference=SimpleNamespace(value=value, low=value - 0.01, high=value + 0.01),
        is_distinguishable=value != 0,
    )
    ground = _Ground(("a", "b"), False, labels, none, none)
    return _explain(champion, winner, ground, comparison or None, doubt)  # pyright: ignore


@pytest.mark.parametrize("value", [None, -0.1, 0.0, 0.1])
@pytest.mark.parametrize(
    ("doubt", "clause"),
    [
        (Doubt(0, ""), "that neither has learned from"),
        (Doubt(2, ""), "that neither has learned from, as far as id and image tell"),
        (
            Doubt(2, "for a reason"),
            "of which the champion may have learned from some (for a reason)",
        ),
    ],
)
def test_no_verdict_claims_more_than_can_be_told(value, doubt, clause):
    text = explain(doubt, value)
    assert clause in text
    assert ("neither has learned from" in text) is not bool(doubt.may_know)
