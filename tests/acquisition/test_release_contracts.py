"""Every release as published, on galaxies of known class cleaned by Spark."""

import math
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.release_inputs import (
    CLASSES,
    FIVE_CLASSES,
    PUBLISHED,
    build_source,
    name_galaxy,
    name_image,
)
from pyspark.sql import functions as F

from galaxy_tasks.acquisition.catalogue import plan_catalogue
from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig
from galaxy_tasks.labels import vote_rules
from galaxy_tasks.labels.spark_io import read_rows
from galaxy_tasks.pipeline.clean_labels import clean_labels
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.clean_samples import make_modern_tree


@pytest.mark.parametrize("name", PUBLISHED)
def test_galaxies_of_a_known_class_get_it_from_the_release_as_published(
    spark, tmp_path, monkeypatch, name
):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    config = build_source(tmp_path / "source", name, galaxies=200)
    artifact = clean_labels(config, locate_release(config), spark=spark)
    summary = artifact.manifest["summary"]
    assert (summary["rows_in"], summary["kept"], summary["dropped"]) == (200, 200, {})
    labels = pd.read_parquet(artifact.path / "labels.parquet").set_index("galaxy_id")
    classes = CLASSES if name in FIVE_CLASSES else ("elliptical", "spiral")
    expected = {name_galaxy(name, n): classes[n % len(classes)] for n in range(200)}
    assert labels["label"].to_dict() == expected
    images = {name_galaxy(name, n): f"{name_image(name, n)}.jpg" for n in range(200)}
    assert labels["image_name"].to_dict() == images


BRANCHING = [
    name
    for name in PUBLISHED
    if (scheme := RELEASES[name].schemes["clean5"]) and getattr(scheme, "blank_columns", None)
]


def test_only_releases_that_ask_by_branch_may_leave_blanks():
    kept_whole = {"galaxy_zoo_challenge", "galaxy_zoo_2", "galaxy_zoo_2_main", "galaxy_zoo_1"}
    assert set(PUBLISHED) - set(BRANCHING) == kept_whole


@pytest.mark.parametrize("name", BRANCHING)
@pytest.mark.parametrize("blank", ["", "NaN"])
def test_a_question_that_nobody_was_asked_meets_no_rule_and_is_no_fault(
    spark, tmp_path, name, blank
):
    config = build_source(tmp_path, name, galaxies=10, table="t.csv.gz", blank=blank)
    judged = judge(spark, config)
    assert [judged[name_galaxy(name, n)] for n in range(10)] == [
        (CLASSES[n % 5], None) for n in range(10)
    ]


def judge(spark, config: RunConfig) -> dict[str, tuple[str | None, str | None]]:
    """Return (label, reason) by id, as read and labelled by the release's own plan."""
    plan = plan_catalogue(config, Path(config.source, config.catalogue_file))
    copy = Path(config.source, "copy.parquet")
    rows = read_rows(spark, plan.table, plan.columns, copy=copy, numbers=plan.numbers)
    for position in {"ra", "dec"} - plan.columns.keys():
        rows = rows.withColumn(position, F.lit(None).cast("string"))
    labelled = vote_rules.label_rows(
        rows, plan.scheme, minimum_votes=config.minimum_votes, ignored_classes=()
    )
    return {row["galaxy_id"]: (row["label"], row["reason"]) for row in labelled.collect()}


def test_blanks_and_faults_of_parquet_are_told_apart(spark, tmp_path):
    smooth, featured = "smooth-or-featured_smooth", "smooth-or-featured_featured-or-disk"
    fractions = {f"{stem}_fraction": [math.nan] * 5 for stem in make_modern_tree()}
    # round; everything blank; NaN on the only criterion left; above 1; the first question blank
    fractions[f"{smooth}_fraction"] = [0.9, 0.9, 0.1, 0.9, None]
    fractions[f"{featured}_fraction"] = [0.1, 0.1, 0.9, 0.1, 0.1]
    fractions["how-rounded_round_fraction"] = [0.8, None, None, 1.1, 0.8]
    fractions["disk-edge-on_yes_fraction"] = [None, None, math.nan, None, None]
    ids = [f"303240_{number}" for number in range(5)]
    floats = {name: pa.array(cells, pa.float32()) for name, cells in fractions.items()}
    table = pa.table({"dr8_id": ids, "ra": [10.0] * 5, "dec": [5.0] * 5, **floats})
    pq.write_table(table, tmp_path / "desi.parquet")
    config = RunConfig(
        release="galaxy_zoo_desi", source=str(tmp_path), catalogue_file="desi.parquet"
    )
    assert list(judge(spark, config).values()) == [
        ("completely_round_smooth", None),
        (None, "contested_no_rule"),
        (None, "contested_no_rule"),
        (None, "unreadable"),
        (None, "missing_value"),
    ]


def test_a_galaxy_with_too_few_volunteers_on_one_question_has_no_class(spark, tmp_path):
    config = build_source(tmp_path, "galaxy_zoo_decals", galaxies=5, table="t.csv")
    path = tmp_path / config.catalogue_file
    table = pd.read_csv(path)
    table.loc[0, "how-rounded_total-votes"] = 19
    table.to_csv(path, index=False)
    labels = [label for label, _ in judge(spark, config).values()]
    assert labels == [None, *CLASSES[1:]]
