"""Clean a release's labels with Spark: one label for each galaxy, or the reason why it has none.

This file is the application that spark-submit runs, on the machine where the package is
installed; executors need nothing but Spark:

    spark-submit galaxy_tasks/pipeline/clean_labels.py \
        --settings '{…}' --release-files '{…}' --holdout '{…}' --result FILE

It writes the reference of the labels to FILE. It exits with 0 when they are published, with 65 when
the input is wrong (a retry cannot help), and otherwise with 1.
"""

import argparse
import json
import logging
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pyarrow.dataset import dataset, field
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from galaxy_tasks.acquisition.catalogue import DEC, ID, RA, CataloguePlan, plan_catalogue
from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError, show
from galaxy_tasks.labels import cells, quarantine, split, table, vote_rules
from galaxy_tasks.labels.holdout import extend_holdout, read_holdout
from galaxy_tasks.labels.learned import read_learned
from galaxy_tasks.labels.spark_io import read_images, read_rows, start_session, write_table
from galaxy_tasks.labels.votes import align_votes, count_votes, make_head
from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.pipeline.process import write_result
from galaxy_tasks.releases.schema import VoteScheme
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import write_json
from galaxy_tasks.storage.cache_keys import ReleaseFiles, labels_made_from
from galaxy_tasks.storage.content import hash_rows
from galaxy_tasks.training.ancestry import Ancestor, trace_related
from galaxy_tasks.training.galaxies import VOTES as VOTES_FILE
from galaxy_tasks.training.vote_head import VOTES_JSON

_logger = logging.getLogger("galaxy_tasks.pipeline.clean_labels")  # also as spark-submit's main

_KEPT, _COPIES, _VOTES, _QUARANTINE = "kept", "copies", "votes", "quarantine.parquet"
_EXAMPLES, _EXAMPLE_CHARACTERS = 3, 100


@dataclass(frozen=True)
class _Catalogue:
    """A release's catalogue: how it is read, and its rows as `vote_rules` takes them."""

    plan: CataloguePlan
    rows: DataFrame
    count: int


def clean_labels(
    config: RunConfig,
    release_files: ReleaseFiles,
    *,
    holdout: Artifact | None = None,
    spark: SparkSession | None = None,
) -> Artifact:
    """Publish a release's labels, their split, and the quarantine; return what is there already.

    The artifact holds labels.parquet (see `table.LabelTable`), quarantine.parquet
    (galaxy_id, image_name, reason, detail) and classes.json; where networks learn votes, also
    votes.npy, (galaxies, answers) float32 in the order of the labels, and votes.json (see
    `VoteHead`). Of several releases galaxy_id is 'release:id'. The labels' test galaxies enter the
    next holdout.

    Args:
        config: the run's settings.
        release_files: where the release lies, as `locate_release` found it.
        holdout: the galaxies that are in the test for good; None before the first.
        spark: session to use; None: start one, and stop it in the end.

    Raises:
        InputError: a file is unreadable, a column is missing, no galaxy is left, or a class has
            too few.
    """
    held = None if config.holdout == "ignore" or config.release == "simulated" else holdout
    if config.release != "simulated":
        _log_holdout(config, held)
    ancestors = trace_related(config)
    keys = {"holdout_key": held and held.key, "ancestor_keys": [a.labels.key for a in ancestors]}
    made_from = labels_made_from(config, release_files, **keys)
    with artifacts.open_draft("labels", made_from) as draft:
        labels = draft.published or _publish(
            draft, config, release_files, spark, holdout=held, ancestors=ancestors
        )
    if config.holdout == "join":
        extend_holdout(labels, config)
    return labels


def _log_holdout(config: RunConfig, held: Artifact | None) -> None:
    """Log whether the run is bound by the holdout, and whether it adds to it."""
    if config.holdout == "ignore":
        _logger.warning(
            "The holdout is ignored: this run may learn from galaxies that others are tested on, "
            "and gives no champion (setting 'holdout')."
        )
        return
    summary = held.manifest["summary"] if held else {"galaxies": 0, "entries": {}}
    _logger.info(
        "Bound by the holdout: %s galaxies of %s earlier runs stay in the test where they occur. "
        "This run's test %s ('holdout' is '%s'; see 'galaxy-morphology holdout list').",
        f"{summary['galaxies']:,}",
        len(summary["entries"]),
        "joins them" if config.holdout == "join" else "adds none",
        config.holdout,
    )


def _publish(
    draft: artifacts.Draft,
    config: RunConfig,
    release_files: ReleaseFiles,
    spark: SparkSession | None,
    **known: Any,
) -> Artifact:
    """Publish the labels; `known` as `_split_galaxies` has it."""
    draft.clear()
    session = spark or start_session("clean_labels")
    try:
        counts = _clean_catalogues(draft.path, config, release_files, session)
    finally:
        if spark is None:
            session.stop()
    summary = _split_galaxies(draft.path, config, release_files, counts=counts, **known)
    return draft.publish(summary)


def _clean_catalogues(
    folder: Path, config: RunConfig, release_files: ReleaseFiles, spark: SparkSession
) -> dict[str, Any]:
    """Write galaxies with a label to `kept`, all others to the quarantine; return the counts."""
    parts, copies = release_files.parts(), folder / _COPIES
    copies.mkdir()
    catalogues = _read_catalogues(config, parts, spark, copies=copies)
    labelled = _label_releases(config, parts, catalogues, spark, copies=copies)
    # Several jobs read it; what does not fit into memory goes to disk.
    labelled = labelled.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        rows_in = sum(catalogue.count for catalogue in catalogues)
        counts = count_outcomes(labelled, rows_in=rows_in, config=config)
        if counts["dropped"].get(quarantine.UNREADABLE):
            _require_readable(config, labelled, catalogues)
        galaxy_id = vote_rules.name_row() if config.combine else F.col("galaxy_id")
        unused = labelled.where(F.col("reason").isNotNull()).select(
            galaxy_id.alias("galaxy_id"), "image_name", "reason", "detail"
        )
        write_table(unused, folder / _QUARANTINE, rows=sum(counts["dropped"].values()))
        if not counts["kept"]:
            raise InputError(
                f"No galaxy is left of {rows_in:,} rows. Expected: rows with a label and an image. "
                f"Dropped: {describe_dropped(folder / _QUARANTINE, counts['dropped'])}"
            )
        _logger.info("%s", format_counts(counts, config))
        galaxies = labelled.where(F.col("reason").isNull()).select(*table.COLUMNS)
        write_table(galaxies, folder / _KEPT, rows=counts["kept"])
        if ballot := catalogues[0].plan.ballot:
            votes = count_votes(catalogues[0].rows, ballot)
            own = votes.join(galaxies.select("galaxy_id"), on="galaxy_id", how="left_semi")
            write_table(own, folder / _VOTES, rows=counts["kept"])
    finally:
        labelled.unpersist()
    return counts


def _split_galaxies(
    folder: Path,
    config: RunConfig,
    release_files: ReleaseFiles,
    *,
    counts: dict[str, Any],
    holdout: Artifact | None,
    ancestors: Sequence[Ancestor],
) -> dict[str, Any]:
    """Write the table of labels from the galaxies in `kept`; return the artifact's summary."""
    try:
        made = table.make_label_table(
            pq.read_table(folder / _KEPT),
            config,
            image_folders=[Path(part.images) for part in release_files.parts()],
            holdout=read_holdout(holdout),
            learned=read_learned([(one.labels, one.record.config.parts()) for one in ancestors]),
            checksums=artifacts.checksums(),
        )
    except InputError as error:
        dropped = describe_dropped(folder / _QUARANTINE, counts["dropped"])
        raise InputError(f"{error} Dropped before: {dropped}") from None
    pq.write_table(made.labels, folder / "labels.parquet")
    votes = _write_votes(folder, config, release_files, made) if config.target != "classes" else ""
    for temporary in (_KEPT, _COPIES, _VOTES):
        shutil.rmtree(folder / temporary, ignore_errors=True)
    if len(made.dropped):
        pq.write_table(made.dropped, folder / _QUARANTINE / "crossmatched.parquet")
    write_json(folder / "classes.json", made.classes)
    more_dropped = dict(sorted(Counter(made.dropped["reason"].to_pylist()).items()))
    _log_galaxies(made, more_dropped)
    summary = {
        "rows_in": counts["rows_in"],
        "dropped": counts["dropped"] | more_dropped,
        **made.summary,
    }
    learned_from = made.labels.drop_columns(["agreement"])
    content = {"galaxies": hash_rows(learned_from), "summary": summary}
    return {**summary, "content": artifacts.key_of(content | ({"votes": votes} if votes else {}))}


def _log_galaxies(made: table.LabelTable, dropped: Mapping[str, int]) -> None:
    lines = [table.format_classes(made.summary["classes"])]
    lines += [f"{'  dropped: ' + reason:34}{count:>12,}" for reason, count in dropped.items()]
    if dropped:
        lines.append(f"{'  kept after all':34}{made.summary['kept']:>12,}")
    _logger.info("%s", "\n".join(lines))


def _write_votes(
    folder: Path, config: RunConfig, release_files: ReleaseFiles, made: table.LabelTable
) -> str:
    """Write the votes of the labelled galaxies, and what follows from them; return their hash."""
    plan = plan_catalogue(config, Path(release_files.catalogue))
    assert plan.ballot is not None
    assert isinstance(plan.scheme, VoteScheme)  # RunConfig sees to both
    votes = align_votes(folder / _VOTES, made.labels["own_id"].to_pylist(), plan.ballot)
    np.save(folder / VOTES_FILE, votes)
    make_head(config, plan.ballot, plan.scheme, plan.release, made.classes).write(folder)
    _logger.info(
        "Votes on %d answers to %d questions; %s volunteers a galaxy answered the first.",
        *(votes.shape[1], len(plan.ballot.questions)),
        f"{votes[:, : len(plan.ballot.questions[0].answers)].sum(axis=1).mean():.1f}",
    )
    return " ".join(artifacts.sha256_of(folder / name) for name in (VOTES_FILE, VOTES_JSON))


def _read_catalogues(
    config: RunConfig, parts: Sequence[ReleaseFiles], spark: SparkSession, *, copies: Path
) -> list[_Catalogue]:
    catalogues = []
    for index, (part, files) in enumerate(zip(config.parts(), parts, strict=True)):
        plan = plan_catalogue(part, Path(files.catalogue))
        copy = copies / f"catalogue_{index}.parquet"
        rows = read_rows(spark, plan.table, plan.columns, copy=copy, numbers=plan.numbers, ids={ID})
        for position in {RA, DEC} - plan.columns.keys():
            rows = rows.withColumn(position, F.lit(None).cast("string"))
        catalogues.append(_Catalogue(plan, rows, pq.read_metadata(copy).num_rows))
    return catalogues


def _label_releases(
    config: RunConfig,
    parts: Sequence[ReleaseFiles],
    catalogues: Sequence[_Catalogue],
    spark: SparkSession,
    *,
    copies: Path,
) -> DataFrame:
    """Return one row for each catalogue row: its label and image or reason, and its side."""
    tables = []
    each = zip(name_releases(config), config.parts(), parts, catalogues, strict=True)
    for index, (name, part, files, catalogue) in enumerate(each):
        labelled = vote_rules.label_rows(
            catalogue.rows,
            catalogue.plan.scheme,
            minimum_votes=part.required_votes,
            ignored_classes=part.ignored_classes,
            class_names=part.class_names,
            has_contested=config.target != "classes",
        )
        copy = copies / f"image_ids_{index}.parquet"
        images = read_images(spark, catalogue.plan.release, files, copy=copy)
        labelled = vote_rules.attach_images(vote_rules.flag_duplicates(labelled), images)
        named = (F.lit(name).alias("release"), F.lit(index).alias("release_index"))
        tables.append(labelled.select(*named, "*"))
    is_test = split.is_in_test(F.col("sky_group"), test_fraction=config.test_fraction)
    return reduce(DataFrame.unionByName, tables).withColumn("is_test", is_test)


def name_releases(config: RunConfig) -> list[str]:
    """Return a name for each release of the run; one that occurs again gets a number."""
    names = [part.release for part in config.parts()]
    return [
        name if names.index(name) == place else f"{name}_{names[: place + 1].count(name)}"
        for place, name in enumerate(names)
    ]


def count_outcomes(labelled: DataFrame, *, rows_in: int, config: RunConfig) -> dict[str, Any]:
    """Return how many rows came in, were kept, and were dropped by reason.

    Raises:
        RuntimeError: kept and dropped rows do not add up to the rows read: a bug of this package.
    """
    kept, dropped, seen = 0, Counter(), set()
    is_named = F.col("reason").isNull() | (F.col("reason") == quarantine.IGNORED)
    # What a row is called in its release; its label may have another name by now.
    name = F.when(is_named, F.col("detail")).alias("name")
    for row in labelled.groupBy("release", "reason", name).count().collect():
        seen.add((row["release"], row["name"]))
        if row["reason"] is None:
            kept += row["count"]
        else:
            dropped[row["reason"]] += row["count"]
    if rows_in != kept + dropped.total():
        raise RuntimeError(f"{rows_in} rows read are not {kept} kept and {dict(dropped)} dropped")
    for release, part in zip(name_releases(config), config.parts(), strict=True):
        for setting in ("ignored_classes", "class_names"):
            for name in sorted(set(getattr(part, setting)) - {n for r, n in seen if r == release}):
                _logger.warning("%s names %r, which does not occur.", setting, name)
    counts = {name: dropped[name] for name in quarantine.REASONS if dropped[name]}
    return {"rows_in": rows_in, "kept": kept, "dropped": counts}


def _require_readable(
    config: RunConfig, labelled: DataFrame, catalogues: Sequence[_Catalogue]
) -> None:
    """Raise InputError for a column that is unreadable in too many rows; see `cells`."""
    is_unreadable = F.col("reason") == quarantine.UNREADABLE
    counts = labelled.where(is_unreadable).groupBy("release_index").count().collect()
    for index, count in counts:
        # Only then may one of the columns have as many.
        if count > cells.MOST_UNREADABLE * catalogues[index].count:
            plan, votes = catalogues[index].plan, config.parts()[index].required_votes
            cells.require_readable(
                vote_rules.parse_rows(catalogues[index].rows, plan.scheme, minimum_votes=votes),
                vote_rules.check_cells(plan.scheme, minimum_votes=votes),
                table=plan.table,
                names=plan.columns,
            )


def describe_dropped(folder: Path, dropped: Mapping[str, int]) -> str:
    """Return the counts by reason, the largest first, each with examples of such rows."""
    texts, rows = [], dataset(folder)
    for reason, count in sorted(dropped.items(), key=lambda item: -item[1]):
        found = rows.head(_EXAMPLES, filter=field("reason") == reason).to_pylist()
        examples = [
            show(": ".join(filter(None, (row["galaxy_id"], row["detail"]))))[:_EXAMPLE_CHARACTERS]
            for row in found
        ]
        texts.append(f"{count:,} as {reason} ({', '.join(examples)})")
    return "; ".join(texts) or "nothing"


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
    parser.add_argument("--holdout", type=json.loads, help="reference of the holdout, or null")
    parser.add_argument("--result", required=True, type=Path, help="file for the reference")
    options = parser.parse_args(arguments)
    set_up_logging()
    write_result(
        options.result,
        lambda: clean_labels(
            parse_config(options.settings),
            ReleaseFiles(**options.release_files),
            holdout=Artifact.from_reference(options.holdout) if options.holdout else None,
        ).as_reference(),
    )


if __name__ == "__main__":
    # spark-submit puts this file's folder on the path, where train.py or process.py would hide
    # another package's module of that name.
    here = Path(__file__).resolve().parent
    sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != here]
    main()
