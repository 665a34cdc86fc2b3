"""The winner's scores on parts of the test galaxies."""

import numpy as np
import pandas as pd
import pytest
from fixtures.answer_inputs import make_candidate
from fixtures.trained_inputs import make_record

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.subsets import LEAST_GALAXIES, score_subsets
from galaxy_tasks.storage.artifacts import Artifact

CONFIG = RunConfig(bootstrap_samples=100)
LABELS = np.arange(120) % 2
IDS = [f"g{n}" for n in range(120)]


@pytest.fixture
def winner(tmp_path):
    """A network that is wrong about every fourth of the first 60 galaxies, and no other."""
    calls = np.where((np.arange(120) % 4 == 3) & (np.arange(120) < 60), 1 - LABELS, LABELS)
    galaxies = pd.DataFrame({"galaxy_id": IDS, "label_index": LABELS, "row": np.arange(120)})
    table = np.eye(2)[calls] * 0.8 + 0.1
    return make_candidate(Artifact("models", "m", tmp_path), make_record(), table, galaxies)


def make_labels(agreement):
    # As the artifact has them: more galaxies than the test's, in another order.
    ids = [*reversed(IDS), "other"]
    return pd.DataFrame({"galaxy_id": ids, "agreement": [*reversed(agreement), 0.5]})


def score(winner, agreement, measurements=None):
    found = score_subsets(CONFIG, winner, labels=make_labels(agreement), measurements=measurements)
    return {one.name: (one.evaluation.num_galaxies, one.evaluation.accuracy.value) for one in found}


def test_where_volunteers_agree_is_told_from_where_they_agree_less(winner):
    agreement = np.where(np.arange(120) < 60, 0.8, 0.81)
    assert score(winner, agreement) == {
        "volunteers agree (above 0.8)": (60, 1.0),
        "volunteers agree less": (60, 0.75),
    }


def test_a_release_without_votes_has_no_such_part_and_a_small_part_is_left_out(winner):
    assert score(winner, np.full(120, np.nan)) == {}
    few = np.where(np.arange(120) < LEAST_GALAXIES - 1, 0.9, 0.5)
    assert list(score(winner, few)) == ["volunteers agree less"]


def test_thirds_by_brightness_and_size_have_as_many_galaxies_each(winner):
    measured = pd.DataFrame({"brightness": np.arange(120), "size": -np.arange(120)})
    assert score(winner, np.full(120, np.nan), measured) == {
        "faintest third": (40, 0.75),
        "middle third in brightness": (40, 0.875),
        "brightest third": (40, 1.0),
        "smallest third": (40, 1.0),
        "middle third in size": (40, 0.875),
        "largest third": (40, 0.75),
    }
