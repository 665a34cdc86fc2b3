"""Four times the rows cost Spark no more than about four times the work, counted and not timed."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig
from galaxy_tasks.pipeline.clean_labels import clean_labels
from galaxy_tasks.storage.cache_keys import join_release_files

pytestmark = pytest.mark.slow

COUNTED = ("number of output rows", "shuffle records written", "records read")
"""Spark's measures of how many rows its operators hand on, joins and exchanges among them."""


def write_table(folder: Path, *, galaxies: int, shift_arcsec: float, prefix: str) -> Path:
    """Write galaxies on a grid, every tenth an arcsecond beside the one before, with images."""
    (folder / "images").mkdir(parents=True)
    number = np.arange(galaxies)
    place = np.where(number % 10 == 9, number - 1, number)
    beside_degrees = (shift_arcsec + (number % 10 == 9)) / 3600
    ids = [f"{prefix}{n}" for n in number]
    table = {
        "id": ids,
        "class": np.array(["smooth", "spiral", "edge_on"])[place % 3],
        "ra": (place % 100) * 0.05,
        "dec": (place // 100) * 0.05 - 10 + beside_degrees,
    }
    pq.write_table(pa.table(table), folder / "labels.parquet")
    for one in ids:
        (folder / "images" / f"{one}.jpg").write_text(one)
    return folder


def count_rows_handed_on(spark, *, after: int) -> tuple[int, int]:
    """Return Spark's last query, and how many rows operators of those after one handed on."""
    spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
    store = spark._jsparkSession.sharedState().statusStore()
    queries = store.executionsList()
    ids = [queries.apply(i).executionId() for i in range(queries.size())]
    total = 0
    for query in (one for one in ids if one > after):
        values, nodes = store.executionMetrics(query), store.planGraph(query).allNodes()
        for i in range(nodes.size()):
            metrics = nodes.apply(i).metrics()
            for metric in (metrics.apply(j) for j in range(metrics.size())):
                text = values.get(metric.accumulatorId())
                if metric.name() in COUNTED and text.isDefined():
                    total += int(text.get().split("\n")[-1].split(" ")[0].replace(",", ""))
    return max(ids, default=-1), total


def clean(spark, folder: Path, galaxies: int) -> dict[str, int]:
    """Clean a release with another of half its galaxies; return how many rows went where."""
    first = write_table(folder / "a", galaxies=galaxies, shift_arcsec=0, prefix="a")
    second = write_table(folder / "b", galaxies=galaxies // 2, shift_arcsec=0.5, prefix="b")
    other = {"release": "class_table", "source": str(second)}
    config = RunConfig(release="class_table", source=str(first), combine=(other,))
    files = join_release_files([locate_release(part) for part in config.parts()])
    summary = clean_labels(config, files, spark=spark).manifest["summary"]
    return {"kept": summary["kept"], **summary["dropped"]}


@pytest.fixture
def count(compiling_spark, tmp_path, monkeypatch):
    """Count the rows that operators hand on while a function runs."""

    def make(work, *arguments) -> int:
        last, _ = count_rows_handed_on(compiling_spark, after=-1)
        work(*arguments)
        return count_rows_handed_on(compiling_spark, after=last)[1]

    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    return make


def test_what_is_counted_shows_work_that_grows_with_the_square_of_the_rows(spark, count):
    def pair(rows: int) -> None:
        spark.range(rows).crossJoin(spark.range(rows)).write.format("noop").mode("append").save()

    assert count(pair, 400) > 10 * count(pair, 100) > 100_000


def test_four_times_the_rows_are_cleaned_with_four_times_the_work(spark, tmp_path, count):
    outcomes = {}

    def work(galaxies: int) -> None:
        outcomes[galaxies] = clean(spark, tmp_path / str(galaxies), galaxies)

    few, many = (count(work, galaxies) for galaxies in (1000, 4000))
    print(f"{few:,} and {many:,} rows handed on")
    # As many in proportion, of which the galaxies that are in both releases are dropped once.
    assert outcomes[1000]["crossmatched"] > 100
    assert outcomes[4000] == {name: 4 * number for name, number in outcomes[1000].items()}
    assert few > 10 * 1500
    assert many < 4.4 * few
