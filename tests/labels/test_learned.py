"""What an ancestor has learned from is in no test, and what trained it in no validation."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from fixtures.combining_inputs import ARCSEC, draw_galaxies, write_release
from fixtures.trained_inputs import make_record

from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig
from galaxy_tasks.pipeline.clean_labels import clean_labels
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import write_json
from galaxy_tasks.training.model_record import MODEL

CLASSES = ("edge_on", "smooth")


def clean(spark, config: RunConfig):
    return clean_labels(config, locate_release(config), spark=spark)


def read_splits(labels) -> pd.Series:
    table = pd.read_parquet(labels.path / "labels.parquet")
    return table.set_index("galaxy_id")["split"]


def class_table(source, **settings) -> RunConfig:
    return RunConfig.model_validate(
        {
            "release": "class_table",
            "source": str(source),
            "architectures": ["resnet18"],
            "holdout": "ignore",
            **settings,
        }
    )


def publish_model(labels, config: RunConfig) -> str:
    """Publish the record of a network that has learned from these labels; return its key."""
    with artifacts.open_draft("images", {"of": labels.key, "by": config.release}) as draft:
        images = draft.publish({"labels": labels.key})
    with artifacts.open_draft("models", {"images": images.key}) as draft:
        write_json(draft.path / MODEL, asdict(make_record(config, classes=CLASSES)))
        return draft.publish().key


@pytest.fixture(scope="module")
def runs(spark, tmp_path_factory):
    """A release, and the same galaxies moved by less than the radius into other cells."""
    folder = tmp_path_factory.mktemp("learned")
    rows = draw_galaxies(1000)
    first = write_release(folder / "first", rows)
    moved = rows.assign(id="new" + rows["id"], dec=rows["dec"] + 1.9 * ARCSEC)
    more = draw_galaxies(200).assign(dec=lambda more: more["dec"] + 40)
    more["id"] = "more" + more["id"]
    moved = pd.concat([moved.drop(columns="image", errors="ignore"), more], ignore_index=True)
    second = write_release(folder / "second", moved)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(folder / "runs"))
        configs = {"first": class_table(first), "second": class_table(second)}
        made = {name: clean(spark, config) for name, config in configs.items()}
        key = publish_model(made["first"], configs["first"])
        configs["started"] = class_table(second, start_from=key)
        made["started"] = clean(spark, configs["started"])
        yield configs, made


def test_no_test_galaxy_is_known_to_the_ancestor(runs):
    first, second, started = (read_splits(runs[1][n]) for n in ("first", "second", "started"))
    learned = {f"new{name}" for name in first.index[first != "test"]}
    would_be_known = learned & set(second.index[second == "test"])
    assert would_be_known  # in other cells some of them come into the test
    assert not learned & set(started.index[started == "test"])
    quarantine = pd.read_parquet(runs[1]["started"].path / "quarantine.parquet")
    dropped = set(quarantine.loc[quarantine["reason"] == "learned_by_ancestor", "galaxy_id"])
    assert dropped >= would_be_known
    assert set(second.index[second == "test"]) == set(started.index[started == "test"]) | dropped
    summary = runs[1]["started"].manifest["summary"]
    assert summary["dropped"]["learned_by_ancestor"] == len(dropped)
    assert summary["rows_in"] == summary["kept"] + sum(summary["dropped"].values())


def test_no_validation_galaxy_trained_the_ancestor(runs):
    first, started = (read_splits(runs[1][n]) for n in ("first", "started"))
    validation = set(started.index[started == "validation"])
    assert validation
    assert not validation & {f"new{name}" for name in first.index[first == "train"]}
    # Those of the ancestor's own validation may be.
    assert validation & {f"new{name}" for name in first.index[first == "validation"]}


def test_an_ancestor_s_ancestor_counts_too(spark, runs, tmp_path):
    configs, made = runs
    key = publish_model(made["started"], configs["started"])
    again = clean(spark, configs["first"].model_copy(update={"start_from": key}))
    ancestors = [made["started"].key, made["first"].key]
    assert again.manifest["made_from"]["ancestors"] == ancestors
    first, third = (read_splits(labels) for labels in (made["first"], again))
    assert not set(first.index[first != "test"]) & set(third.index[third == "test"])


def test_simulated_galaxies_are_no_observed_ones(spark, runs):
    configs, made = runs
    key = publish_model(made["first"], RunConfig(release="simulated"))
    config = configs["second"].model_copy(update={"start_from": key})
    assert clean(spark, config).key == made["second"].key


def test_labels_without_an_ancestor_are_as_ever(runs):
    assert "ancestors" not in runs[1]["first"].manifest["made_from"]
    assert np.isin(read_splits(runs[1]["first"]), ["train", "validation", "test"]).all()
