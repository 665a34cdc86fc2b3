"""What stands beside the networks in the leaderboard."""

import numpy as np
import pandas as pd
import pytest
from fixtures.answer_inputs import make_candidate, write_calibration
from fixtures.trained_inputs import make_record

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.references import score_references
from galaxy_tasks.storage import artifacts

CLASSES = ("round", "edge_on")
LABELS = np.repeat([0, 1], [30, 10])
GALAXIES = pd.DataFrame(
    {"galaxy_id": [f"g{n}" for n in range(40)], "label_index": LABELS, "row": np.arange(40)}
)
CONFIG = RunConfig(bootstrap_samples=100)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))


def publish(kind, number, write=lambda folder: None):
    with artifacts.open_draft(kind, {"test": number}) as draft:
        write(draft.path)
        return draft.publish({})


def candidate(number, table):
    record = make_record(classes=CLASSES, multiply_adds=1_000)
    model = publish("models", number, lambda folder: write_calibration(folder, 2))
    return make_candidate(model, record, table, GALAXIES)


def publish_baseline(galaxies):
    def write(folder):
        np.save(folder / "test_probabilities.npy", np.eye(2, dtype=np.float32)[LABELS])
        galaxies.to_parquet(folder / "test_galaxies.parquet", index=False)

    return publish("baselines", len(galaxies), write)


def score(*tables, baseline=None):
    winners = [candidate(number, table) for number, table in enumerate(tables)]
    counts = {"round": 299, "edge_on": 99}
    return score_references(CONFIG, winners=winners, training_counts=counts, baseline=baseline)


def test_the_most_common_class_scores_what_it_must():
    (row,) = score(np.full((40, 2), 0.5))
    assert row.evaluation.accuracy.value == 0.75
    assert row.evaluation.macro_f1.value == pytest.approx(60 / 70 / 2)
    # The shares are 300 and 100 of 400.
    assert row.evaluation.loss.value == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))


def test_an_ensemble_is_the_mean_of_its_trainings_and_costs_as_much_as_all():
    right, wrong = np.eye(2)[LABELS] * 0.9 + 0.05, np.eye(2)[1 - LABELS] * 0.5 + 0.25
    ensemble, _ = score(right, wrong)
    assert (ensemble.name, ensemble.multiply_adds) == ("resnet18 × 2", 2_000)
    assert ensemble.evaluation.accuracy.value == 1.0
    assert ensemble.evaluation.loss.value == pytest.approx(-np.log((0.95 + 0.25) / 2))


def test_the_baseline_is_scored_on_the_same_galaxies():
    table = np.full((40, 2), 0.5)
    boosted, _ = score(table, baseline=publish_baseline(GALAXIES))
    assert (boosted.name, boosted.evaluation.accuracy.value) == ("gradient boosting", 1.0)


def test_a_baseline_of_other_galaxies_is_refused():
    with pytest.raises(InputError, match="tested on different galaxies"):
        score(np.full((40, 2), 0.5), baseline=publish_baseline(GALAXIES.head(39)))
