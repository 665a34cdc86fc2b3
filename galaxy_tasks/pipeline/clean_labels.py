"""Clean a release's labels with Spark: one label for each galaxy, or the reason why it has none.

This file is the application that spark-submit runs, on the machine where the package is
installed; executors need nothing but Spark:

    spark-submit galaxy_tasks/pipeline/clean_labels.py --settings '{…}' --release-files '{…}'

It exits with 0 when the labels are published, with 65 when the input is wrong (a retry cannot
help), and otherwise with 1.
"""

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from galaxy_tasks.acquisition.locate import DEC, RA, CataloguePlan, plan_catalogue
from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels import split, table, vote_rules
from galaxy_tasks.labels.holdout import find_labels, read_holdout
from galaxy_tasks.labels.spark_io import read_images, read_rows, start_session, write_table
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import write_json
from galaxy_tasks.storage.cache_keys import KEPT_IN_TEST, ReleaseFiles, labels_made_from


@dataclass(frozen=True)
class _Catalogue:
    """A release's catalogue: how it is read, and its rows as `vote_rules` takes them."""

    plan: CataloguePlan
    rows: DataFrame
    count: int


def clean_labels(
    config: RunConfig, release_files: ReleaseFiles, *, spark: SparkSession | None = None
) -> artifacts.Artifact:
    """Publish a release's labels, their split, and the quarantine; return what is there already.

    The artifact holds labels.parquet (see `table.LabelTable`), quarantine.parquet
    (galaxy_id, image_name, reason, detail) and classes.json. Of several releases galaxy_id is
    'release:id'.

    Args:
        config: the run's settings.
        release_files: where the release lies, as `locate_release` found it.
        spark: session to use; None: start one, and stop it in the end.

    Raises:
        InputError: a file is unreadable, a column is missing, no galaxy is left, or a class has
            too few.
    """
    with artifacts.open_draft("labels", labels_made_from(config, release_files)) as draft:
        if published := find_labels(config, release_files):
            print(f"Labels are there already: {published.path}", flush=True)
            draft.discard()
            return published
        draft.clear()
        session = spark or start_session("clean_labels")
        try:
            summary = _clean_into(draft, config, release_files, session)
        finally:
            if spark is None:
                session.stop()
        artifact = draft.publish(summary)
    print(f"Published: {artifact.path}", flush=True)
    return artifact


def _clean_into(
    draft: artifacts.Draft, config: RunConfig, release_files: ReleaseFiles, spark: SparkSession
) -> dict[str, Any]:
    """Write the artifact's files and return its summary."""
    folder, parts = draft.path, release_files.parts()
    copies, kept = folder / "copies", folder / "kept"
    copies.mkdir()
    catalogues = _read_catalogues(config, parts, spark, copies=copies)
    judged = _judge_releases(config, parts, catalogues, spark, copies=copies)
    # Several jobs read it; what does not fit into memory goes to disk.
    judged = judged.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        rows_in = sum(catalogue.count for catalogue in catalogues)
        counts = count_rows(judged, rows_in=rows_in, config=config)
        print(format_counts(counts, config), flush=True)
        galaxies = judged.where(F.col("reason").isNull()).select(*table.COLUMNS)
        write_table(galaxies, kept, rows=counts["kept"])
        galaxy_id = vote_rules.name_row() if config.combine else F.col("galaxy_id")
        quarantine = judged.where(F.col("reason").isNotNull()).select(
            galaxy_id.alias("galaxy_id"), "image_name", "reason", "detail"
        )
        write_table(quarantine, folder / "quarantine.parquet", rows=sum(counts["dropped"].values()))
    finally:
        judged.unpersist()
    is_kept = config.holdout == "keep" and config.release != "simulated"
    made = table.make_label_table(
        pq.read_table(kept),
        config,
        image_folders=[Path(part.images) for part in parts],
        earlier=read_holdout() if is_kept else None,
        checksums=artifacts.checksums(),
    )
    draft.determine(**{KEPT_IN_TEST: made.kept_in_test})
    shutil.rmtree(kept)
    shutil.rmtree(copies)
    pq.write_table(made.labels, folder / "labels.parquet")
    if len(made.dropped):
        pq.write_table(made.dropped, folder / "quarantine.parquet" / "merged.parquet")
    write_json(folder / "classes.json", made.classes)
    print(table.format_classes(made.summary["classes"]), flush=True)
    merged = Counter(made.dropped["reason"].to_pylist())
    for reason, count in sorted(merged.items()):
        print(f"{'  dropped: ' + reason:34}{count:>12,}", flush=True)
    if merged:
        print(f"{'  kept after all':34}{made.summary['kept']:>12,}", flush=True)
    dropped = counts["dropped"] | dict(sorted(merged.items()))
    return {"rows_in": counts["rows_in"], "dropped": dropped, **made.summary}


def _read_catalogues(
    config: RunConfig, parts: Sequence[ReleaseFiles], spark: SparkSession, *, copies: Path
) -> list[_Catalogue]:
    catalogues = []
    for index, (part, files) in enumerate(zip(config.parts(), parts, strict=True)):
        plan = plan_catalogue(part, Path(files.catalogue))
        copy = copies / f"catalogue_{index}.parquet"
        rows = read_rows(spark, plan.table, plan.columns, copy=copy, numbers=plan.numbers)
        for position in {RA, DEC} - plan.columns.keys():
            rows = rows.withColumn(position, F.lit(None).cast("string"))
        catalogues.append(_Catalogue(plan, rows, pq.read_metadata(copy).num_rows))
    return catalogues


def _judge_releases(
    config: RunConfig,
    parts: Sequence[ReleaseFiles],
    catalogues: Sequence[_Catalogue],
    spark: SparkSession,
    *,
    copies: Path,
) -> DataFrame:
    """Return one row for each row of all catalogues, with label, image, or reason; and its side."""
    tables = []
    each = zip(name_releases(config), config.parts(), parts, catalogues, strict=True)
    for index, (name, part, files, catalogue) in enumerate(each):
        labelled = vote_rules.label_rows(
            catalogue.rows,
            catalogue.plan.scheme,
            minimum_votes=part.minimum_votes,
            ignored_classes=part.ignored_classes,
            class_names=part.class_names,
        )
        copy = copies / f"image_ids_{index}.parquet"
        images = read_images(spark, catalogue.plan.release, files, copy=copy)
        judged = vote_rules.attach_images(vote_rules.drop_repeats(labelled), images)
        named = (F.lit(name).alias("release"), F.lit(index).alias("release_index"))
        tables.append(judged.select(*named, "*"))
    is_test = split.is_in_test(F.col("sky_group"), test_fraction=config.test_fraction)
    return reduce(DataFrame.unionByName, tables).withColumn("is_test", is_test)


def name_releases(config: RunConfig) -> list[str]:
    """Return a name for each release of the run; one that occurs again gets a number."""
    names = [part.release for part in config.parts()]
    return [
        name if names.index(name) == place else f"{name}_{names[: place + 1].count(name)}"
        for place, name in enumerate(names)
    ]


def count_rows(judged: DataFrame, *, rows_in: int, config: RunConfig) -> dict[str, Any]:
    """Return how many rows came in, were kept, and were dropped by reason.

    Raises:
        InputError: no row is kept.
        RuntimeError: rows in are not kept and dropped together; a fault of this package.
    """
    kept, dropped, seen = 0, Counter(), set()
    is_named = F.col("reason").isNull() | (F.col("reason") == vote_rules.IGNORED)
    # What a row is called in its release; its label may have another name by now.
    name = F.when(is_named, F.col("detail")).alias("name")
    for row in judged.groupBy("release", "reason", name).count().collect():
        seen.add((row["release"], row["name"]))
        if row["reason"] is None:
            kept += row["count"]
        else:
            dropped[row["reason"]] += row["count"]
    if rows_in != kept + dropped.total():
        raise RuntimeError(f"Of {rows_in} rows in, {kept} are kept and dropped are {dropped}")
    for release, part in zip(name_releases(config), config.parts(), strict=True):
        for setting in ("ignored_classes", "class_names"):
            for name in sorted(set(getattr(part, setting)) - {n for r, n in seen if r == release}):
                print(f"Note: {setting} names {name!r}, which does not occur.", flush=True)
    counts = {name: dropped[name] for name in vote_rules.REASONS if dropped[name]}
    if not kept:
        raise InputError(
            f"No galaxy is left of {rows_in} rows. Expected: rows with a label and an image. "
            f"Dropped: {counts}"
        )
    return {"rows_in": rows_in, "kept": kept, "dropped": counts}


def format_counts(counts: dict[str, Any], config: RunConfig) -> str:
    """Return a small aligned table: rows in, kept, and dropped by reason."""
    releases = " and ".join(name_releases(config))
    lines = [f"Labels of release {releases}", f"{'rows in':34}{counts['rows_in']:>12,}"]
    lines.append(f"{'  kept':34}{counts['kept']:>12,}")
    lines += [f"{'  dropped: ' + name:34}{n:>12,}" for name, n in counts["dropped"].items()]
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
