"""Clean a release's labels with Spark: one label for each galaxy, or the reason why it has none.

This file is the application that spark-submit runs, on the machine where the package is
installed; executors need nothing but Spark:

    spark-submit galaxy_tasks/labels.py --settings '{…}' --release-files '{…}'

It exits with 0 when the labels are published, with 65 when the input is wrong (a retry cannot
help), and otherwise with 1.
"""

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from py4j.protocol import Py4JJavaError
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from galaxy_tasks import artifacts, cleaning, splitting
from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.durable import write_json
from galaxy_tasks.errors import InputError
from galaxy_tasks.lineage import ReleaseFiles, labels_made_from
from galaxy_tasks.release_files import DEC, RA, plan_catalogue
from galaxy_tasks.spark import start_session
from galaxy_tasks.spark_tables import create_small_table, read_images, read_rows, write_table

# How Spark says that a file cannot be read, whatever the exception around it.
_UNREADABLE = re.compile(
    "FAILED_READ_FILE|is not a Parquet file|EOFException|ZipException|CANNOT_READ_FILE_FOOTER"
)


def clean_labels(
    config: RunConfig, release_files: ReleaseFiles, *, spark: SparkSession | None = None
) -> artifacts.Artifact:
    """Publish a release's labels, their split, and the quarantine; return what is there already.

    The artifact holds labels.parquet (galaxy_id, image_name, label, label_index, split),
    quarantine.parquet (galaxy_id, image_name, reason, detail) and classes.json.

    Args:
        config: the run's settings.
        release_files: where the release lies, as `locate_release` found it.
        spark: session to use; None: start one, and stop it in the end.

    Raises:
        InputError: a file is unreadable, a column is missing, no galaxy is left, or a class has
            too few.
    """
    with artifacts.open_draft("labels", labels_made_from(config, release_files)) as draft:
        if draft.published is not None:
            print(f"Labels are there already: {draft.published.path}", flush=True)
            return draft.published
        draft.clear()
        session = spark or start_session("clean_labels")
        try:
            summary = _clean_into(draft.path, config, release_files, session)
        except (PySparkException, Py4JJavaError) as error:
            if not _UNREADABLE.search(str(error)):
                raise
            raise InputError(
                f"Spark cannot read {release_files.catalogue}: the file is damaged. Fetch it "
                f"again. Spark says: {str(error).splitlines()[0]}"
            ) from error
        finally:
            if spark is None:
                session.stop()
        artifact = draft.publish(summary)
    print(f"Published: {artifact.path}", flush=True)
    return artifact


def _clean_into(
    folder: Path, config: RunConfig, release_files: ReleaseFiles, spark: SparkSession
) -> dict[str, Any]:
    """Write the artifact's files and return its summary."""
    plan = plan_catalogue(config, Path(release_files.catalogue))
    rows = read_rows(spark, plan.table, plan.columns)
    for position in {RA, DEC} - plan.columns.keys():
        rows = rows.withColumn(position, F.lit(None).cast("string"))
    labelled = cleaning.label_rows(
        rows,
        plan.scheme,
        minimum_votes=config.minimum_votes,
        ignored_classes=config.ignored_classes,
    )
    images = read_images(spark, plan.release, release_files)
    judged = cleaning.attach_images(cleaning.drop_repeats(labelled), images)
    is_test = splitting.is_in_test(F.col("sky_group"), test_fraction=config.test_fraction)
    # Four jobs read it; what does not fit into memory goes to disk.
    judged = judged.withColumn("is_test", is_test).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counts = count_rows(judged, rows_in=rows.count(), config=config)
        print(format_counts(counts, config), flush=True)
        classes = sorted({*counts["test"], *counts["rest"]})
        splitting.check_class_counts(counts["test"], counts["rest"])
        write_table(
            assign_splits(judged, classes, config), folder / "labels.parquet", rows=counts["kept"]
        )
        quarantine = judged.where(F.col("reason").isNotNull()).select(
            "galaxy_id", "image_name", "reason", "detail"
        )
        dropped = counts["rows_in"] - counts["kept"]
        write_table(quarantine, folder / "quarantine.parquet", rows=dropped)
    finally:
        judged.unpersist()
    write_json(folder / "classes.json", classes)
    by_class = count_splits(folder / "labels.parquet", classes)
    print(format_classes(by_class), flush=True)
    kept_counts = {name: counts[name] for name in ("rows_in", "kept", "dropped")}
    return {**kept_counts, "classes": by_class}


def count_rows(judged: DataFrame, *, rows_in: int, config: RunConfig) -> dict[str, Any]:
    """Return how many rows came in, were kept, were dropped by reason, and by class where kept.

    Raises:
        InputError: no row is kept.
        RuntimeError: rows in are not kept and dropped together; a fault of this package.
    """
    kept, dropped, ignored = {True: Counter(), False: Counter()}, Counter(), set()
    is_ignored = F.col("reason") == cleaning.IGNORED
    label = F.when(F.col("reason").isNull() | is_ignored, F.col("label")).alias("label")
    for row in judged.groupBy("reason", label, "is_test").count().collect():
        if row["reason"] is None:
            kept[row["is_test"]][row["label"]] += row["count"]
        else:
            dropped[row["reason"]] += row["count"]
            ignored.add(row["label"])
    counts = {
        "rows_in": rows_in,
        "kept": kept[True].total() + kept[False].total(),
        "dropped": {name: dropped[name] for name in cleaning.REASONS if dropped[name]},
        "test": dict(kept[True]),
        "rest": dict(kept[False]),
    }
    if rows_in != counts["kept"] + dropped.total():
        raise RuntimeError(f"Of {rows_in} rows in, not all are kept or dropped: {counts}")
    for name in sorted(set(config.ignored_classes) - ignored):
        print(f"Note: ignored class {name!r} does not occur.", flush=True)
    if not counts["kept"]:
        raise InputError(
            f"No galaxy is left of {rows_in} rows. Expected: rows with a label and an image. "
            f"Dropped: {counts['dropped']}"
        )
    return counts


def assign_splits(judged: DataFrame, classes: list[str], config: RunConfig) -> DataFrame:
    """Return the kept galaxies with their encoded label and their split.

    Only ids and labels of kept galaxies outside the test come to the driver: some 30 bytes each,
    and each has an image file beside it, so that 30 million of them are one gigabyte. That buys
    scikit-learn's own stratified draw, which a user can repeat.
    """
    names = F.array(*[F.lit(name) for name in classes])
    kept = judged.where(F.col("reason").isNull()).withColumn(
        "label_index", (F.array_position(names, F.col("label")) - 1).cast("int")
    )
    rest = kept.where(~F.col("is_test")).select("galaxy_id", "label_index").toArrow()
    rest = rest.sort_by("galaxy_id")
    is_validation = splitting.choose_validation(
        rest["label_index"].to_numpy(),
        validation_fraction=config.validation_fraction,
        seed=config.seed,
    )
    ids = rest["galaxy_id"].filter(pa.array(is_validation))
    validation = create_small_table(
        judged.sparkSession, {"galaxy_id": ids, "is_validation": pa.array([True] * len(ids))}
    )
    split = (
        F.when(F.col("is_test"), F.lit("test"))
        .when(F.col("is_validation"), F.lit("validation"))
        .otherwise(F.lit("train"))
    )
    return kept.join(validation, on="galaxy_id", how="left").select(
        "galaxy_id", "image_name", "label", "label_index", split.alias("split")
    )


def count_splits(labels: Path, classes: list[str]) -> dict[str, dict[str, int]]:
    """Return how many galaxies of each class each split has, as read back from disk."""
    table = ds.dataset(labels).to_table(columns=["label", "split"])
    groups = table.group_by(["label", "split"]).aggregate([([], "count_all")]).to_pylist()
    counts = {(group["label"], group["split"]): group["count_all"] for group in groups}
    return {
        name: {split: counts.get((name, split), 0) for split in splitting.LEAST_PER_SPLIT}
        for name in classes
    }


def format_counts(counts: dict[str, Any], config: RunConfig) -> str:
    """Return a small aligned table: rows in, kept, and dropped by reason."""
    lines = [f"Labels of release {config.release}", f"{'rows in':34}{counts['rows_in']:>12,}"]
    lines.append(f"{'  kept':34}{counts['kept']:>12,}")
    lines += [f"{'  dropped: ' + name:34}{n:>12,}" for name, n in counts["dropped"].items()]
    return "\n".join(lines)


def format_classes(classes: dict[str, dict[str, int]]) -> str:
    """Return a small aligned table: galaxies by class and split."""
    splits = list(splitting.LEAST_PER_SPLIT)
    lines = [f"{'class':34}" + "".join(f"{split:>12}" for split in splits)]
    for name, counts in classes.items():
        lines.append(f"{'  ' + name:34}" + "".join(f"{counts[split]:>12,}" for split in splits))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run the application; see the module's docstring for its arguments and exit codes."""
    parser = argparse.ArgumentParser(description="Clean a release's labels with Spark.")
    parser.add_argument("--settings", required=True, type=json.loads, help="RunConfig as JSON")
    parser.add_argument("--release-files", required=True, type=json.loads, help="ReleaseFiles")
    options = parser.parse_args(arguments)
    try:
        clean_labels(parse_config(options.settings), ReleaseFiles(**options.release_files))
    except InputError as error:
        print(f"ERROR: {error}", flush=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    # spark-submit puts this file's folder on the path, where config.py or models/ could stand in
    # for somebody else's module of that name.
    here = Path(__file__).resolve().parent
    sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != here]
    main()
