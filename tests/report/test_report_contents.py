"""What the report shows comes from the artifacts of the run, and from the code that runs."""

import numpy as np
import pandas as pd
import pytest
from fixtures.answer_inputs import make_candidate
from fixtures.trained_inputs import make_record

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.candidates import Candidate
from galaxy_tasks.evaluation.challenge import Opponent
from galaxy_tasks.evaluation.outcome import evaluate_run
from galaxy_tasks.report.contents import MissingModel, gather_report
from galaxy_tasks.report.page import render_report
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import write_json
from galaxy_tasks.training.model_record import HeatMaps, write_heat_maps

CLASSES = ("round", "edge_on")
LABELS = np.arange(40) % 2


def publish(kind, summary, write) -> artifacts.Artifact:
    with artifacts.open_draft(kind, {"test": kind}) as draft:
        write(draft.path)
        return draft.publish(summary)


def write_images(folder) -> None:
    np.save(folder / "images.npy", np.zeros((40, 32, 32, 3), np.uint8))
    rejected = {"galaxy_id": ["g40"], "source_file": ["g40.jpg"], "reason": ["empty"]}
    pd.DataFrame({**rejected, "detail": ["no bytes"]}).to_parquet(folder / "rejected.parquet")


def write_labels(folder) -> None:
    ids, agreement = [f"g{n}" for n in range(40)], np.linspace(0.5, 1, 40)
    pd.DataFrame({"galaxy_id": ids, "agreement": agreement}).to_parquet(folder / "labels.parquet")


@pytest.fixture
def images(tmp_path, monkeypatch) -> artifacts.Artifact:
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    counts = {"train": 100, "validation": 30, "test": 20}
    cleaned = {"rows_in": 350, "dropped": {"malformed": 50}}
    classes = dict.fromkeys(CLASSES, counts)
    cleaned |= {"classes": classes, "test_set": {"from_holdout": 3}}
    labels = publish("labels", cleaned, write_labels)
    return publish("images", {"labels": labels.key}, write_images)


@pytest.fixture
def candidate(images) -> Candidate:
    """A network that is right but for one galaxy."""
    scores = {"loss": 0.5, "val_loss": 0.6}
    history = [
        {"epoch": n, **scores, "val_macro_f1": value, "is_kept": n == 3}
        for n, value in enumerate((0.5, 0.9, 0.7), start=1)
    ]

    def write(folder) -> None:
        write_json(folder / "history.json", history)
        write_heat_maps(folder, HeatMaps(np.array([0, 7]), np.full((2, 32, 32), 9, np.uint8)))

    model = publish("models", {}, write)
    record = make_record(classes=CLASSES, device="CPU (drawn)", orientations=8)
    calls = np.where(np.arange(40) == 7, 1 - LABELS, LABELS)
    galaxies = pd.DataFrame(
        {"galaxy_id": [f"g{n}" for n in range(40)], "label_index": LABELS, "row": np.arange(40)}
    )
    return make_candidate(model, record, np.eye(2)[calls] * 0.8 + 0.1, galaxies)


def test_the_report_shows_what_the_artifacts_hold_and_which_code_made_it(
    images, candidate, monkeypatch
):
    monkeypatch.setenv("GALAXY_COMMIT", "abc1234")
    config = RunConfig(bootstrap_samples=100)
    missing = (MissingModel("alexnet", "failed", "out of memory"),)

    labels = artifacts.get("labels", images.manifest["summary"]["labels"])
    outcome = evaluate_run(
        config,
        [candidate],
        labels=labels,
        images=images,
        baseline=None,
        opponent=Opponent(None, is_first=True),
    )
    inputs = gather_report(config, outcome, labels=labels, images=images, missing=missing)

    assert inputs.num_rows == 350
    assert inputs.class_counts["test"] == {"round": 20, "edge_on": 20}
    assert inputs.dropped == {"malformed": 50}
    assert [one.file for one in inputs.rejected_images] == ["g40.jpg"]
    assert "; 3 of the labelled test galaxies" in inputs.artifacts["test set"]
    means = [record["mean_val_macro_f1"] for record in inputs.histories["resnet18"][2026]]
    assert means == pytest.approx([0.5, 0.7, 0.7])
    assert inputs.hardware["training"] == "CPU (drawn)"
    assert inputs.times_s == {"training resnet18 (seed 2026)": 60.0}
    wrong = [galaxy for galaxy in inputs.examples if galaxy.label != galaxy.prediction]
    assert [galaxy.galaxy_id for galaxy in wrong] == ["g7"]
    assert len(inputs.examples) == 13
    seen = [(one.galaxy_id, one.label, one.prediction) for one in inputs.explained]
    assert seen == [("g0", "round", "round"), ("g7", "edge_on", "round")]
    assert inputs.explained[1].heat_map.max() == 9
    page = render_report(inputs)
    assert "Made by galaxy-morphology 0.1.0+abc1234, " in page
    assert "kept: epoch 3, where the mean of validation macro-F1 is best: 0.700 (of " in page
