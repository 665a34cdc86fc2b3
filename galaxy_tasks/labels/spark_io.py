"""Tables and image lists between disk and Spark: explicit text columns in, checked Parquet out."""

import os
import re
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from galaxy_tasks.acquisition.fits_headers import is_fits
from galaxy_tasks.acquisition.tables import Table, list_images, match_columns, read_table_header
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels.spark_settings import spark_submit_conf
from galaxy_tasks.releases.schema import ImageKey, ImageMapping, Release
from galaxy_tasks.storage.cache_keys import ReleaseFiles

_BROKEN_ROW = "broken_row"
BROADCAST_ROWS = 300_000
"""Up to as many ids and names (about 30 MB) go whole to every executor, instead of a shuffle."""
_ROWS_PER_FILE = 1_000_000


def read_rows(spark: SparkSession, table: Table, columns: dict[str, str]) -> DataFrame:
    """Return a table's rows with the chosen columns renamed, and whether the row is broken.

    A CSV is read as text by position under an explicit schema, so no pass guesses types, and no
    spelling in the header matters; a row with more or fewer cells than the header is_broken.
    Parquet keeps its doubles, and everything else becomes text.

    Args:
        spark: the session.
        table: the table's header.
        columns: for each column of the result the table's own.

    Raises:
        InputError: the table is FITS, which `prepare_release` converts.
    """
    if is_fits(table.path):
        raise InputError(
            f"Spark cannot read {table.path}. Run or clear the task 'prepare_release'."
        )
    if table.is_parquet:
        rows = spark.read.parquet(spark_path(table.path))
        chosen = [_keep_double(rows, own).alias(name) for name, own in columns.items()]
        return rows.select(*chosen, F.lit(False).alias("is_broken"))
    fields = [StructField(f"c{index}", StringType()) for index in range(len(table.columns))]
    # Without pruning the parser counts a row's cells; it costs about a tenth on 230 columns, and
    # an unquoted comma would otherwise move votes under another answer unseen.
    rows = spark.read.option("columnPruning", False).csv(
        spark_path(table.path),
        schema=StructType([*fields, StructField(_BROKEN_ROW, StringType())]),
        header=True,
        sep=table.delimiter,
        escape='"',
        mode="PERMISSIVE",
        columnNameOfCorruptRecord=_BROKEN_ROW,
    )
    chosen = [F.col(f"c{table.columns.index(own)}").alias(name) for name, own in columns.items()]
    return rows.select(*chosen, F.col(_BROKEN_ROW).isNotNull().alias("is_broken"))


def _keep_double(rows: DataFrame, own: str) -> Column:
    column = F.col(f"`{own}`")
    # A single-precision 0.469 read as double lies below 0.469; by way of text it does not.
    return column if rows.schema[own].dataType.typeName() == "double" else column.cast("string")


def spark_path(path: Path) -> str:
    """Return a local path as Spark takes it: this machine's, and no character a wildcard."""
    return "file://" + re.sub(r"([\\{}\[\]*?])", r"\\\1", str(path.absolute()))


def read_images(spark: SparkSession, release: Release, release_files: ReleaseFiles) -> DataFrame:
    """Return the images that exist: columns galaxy_id and image_name, each galaxy once.

    The folder is listed once, here on the driver; no executor looks for a file. Of several images
    that a mapping gives one galaxy, the first by name counts.
    """
    names = list_images(Path(release_files.images), pattern=release.image_name_pattern)
    image_names = pa.array(names.values(), pa.string())
    ids = pa.array(names.keys(), pa.string())
    if release.mapping is None:
        return create_small_table(spark, {"galaxy_id": ids, "image_name": image_names})
    if isinstance(release.mapping, ImageKey):
        ids = pa.array([image_id.rstrip("_") for image_id in names], pa.string())
        image_ids = _join_image_ids(spark, release, release.mapping, release_files)
    else:
        image_ids = _look_up_image_ids(spark, release.mapping, release_files)
    listed = create_small_table(spark, {"image_id": ids, "image_name": image_names})
    return (
        image_ids.join(listed, on="image_id", how="inner")
        .groupBy("galaxy_id")
        .agg(F.min("image_name").alias("image_name"))
    )


def _look_up_image_ids(
    spark: SparkSession, mapping: ImageMapping, release_files: ReleaseFiles
) -> DataFrame:
    """Return galaxy_id and image_id as a table beside the catalogue has them."""
    table = read_table_header(Path(release_files.mapping))
    wanted = {"galaxy_id": (mapping.id_column,), "image_id": (mapping.image_column,)}
    rows = read_rows(spark, table, match_columns(table, wanted))
    return rows.select(F.trim("galaxy_id").alias("galaxy_id"), F.trim("image_id").alias("image_id"))


def _join_image_ids(
    spark: SparkSession, release: Release, key: ImageKey, release_files: ReleaseFiles
) -> DataFrame:
    """Return galaxy_id and the image_id that columns of the catalogue make up."""
    table = read_table_header(Path(release_files.catalogue))
    wanted = {"galaxy_id": release.id_columns, **{name: (name,) for name in key.columns}}
    rows = read_rows(spark, table, match_columns(table, wanted))
    parts = [F.replace(F.trim(name), F.lit("-"), F.lit(key.minus)) for name in key.columns]
    return rows.select(
        F.trim("galaxy_id").alias("galaxy_id"), F.concat_ws(key.separator, *parts).alias("image_id")
    )


def create_small_table(spark: SparkSession, columns: dict[str, pa.Array]) -> DataFrame:
    """Return a DataFrame of arrays on the driver, marked for broadcast where that pays."""
    table = pa.table(columns)
    frame = spark.createDataFrame(table)
    return F.broadcast(frame) if table.num_rows <= BROADCAST_ROWS else frame


def write_table(frame: DataFrame, path: Path, *, rows: int) -> None:
    """Write Parquet sorted by the first column, and read back that all rows are there.

    Args:
        frame: what to write.
        path: folder to create.
        rows: how many rows there must be; also decides how many files there are.

    Raises:
        RuntimeError: Spark's committer did not finish, or rows are missing.
    """
    first = frame.columns[0]
    files = 1 + rows // _ROWS_PER_FILE
    parts = frame.coalesce(1) if files == 1 else frame.repartitionByRange(files, first)
    parts.sortWithinPartitions(first).write.parquet(f"file://{path.absolute()}")
    # Spark's own checksums, which the manifest's replace.
    for checksum in path.glob(".*.crc"):
        checksum.unlink()
    written = count_written(path)
    if not (path / "_SUCCESS").is_file() or written != rows:
        raise RuntimeError(f"Spark wrote {written} of {rows} rows to {path}, or did not commit.")


def count_written(path: Path) -> int:
    """Return the rows of a folder of Parquet files, by their footers."""
    return sum(pq.read_metadata(part).num_rows for part in path.glob("*.parquet"))


# The only place where a SparkSession is built, alike for spark-submit, the CLI and the tests.


_SHUFFLE_PARTITIONS = "spark.sql.shuffle.partitions"


def start_session(name: str, *, cores: int | None = None) -> SparkSession:
    """Return a quiet session: spark-submit's own master where that started us, else this machine.

    GALAXY_SPARK_SECRET is what a standalone cluster knows its own by. It goes no way on which other
    users of a machine could read it, such as the arguments of spark-submit.

    Args:
        name: what Spark calls the application.
        cores: processor cores to use on this machine; None: all. Means nothing on a cluster.
    """
    builder = SparkSession.builder.appName(name)
    # spark-submit has started the virtual machine, and its master must not be overridden.
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        builder = builder.master(f"local[{cores or '*'}]")
        os.environ["PYSPARK_PYTHON"] = sys.executable  # driver and workers are this machine's
    for key, value in spark_submit_conf().items():
        builder = builder.config(key, value)
    if secret := os.environ.get("GALAXY_SPARK_SECRET"):
        builder = builder.config("spark.authenticate", "true")
        builder = builder.config("spark.authenticate.secret", secret)
    spark = builder.getOrCreate()
    context = spark.sparkContext
    if (context.master or "").startswith("local") and not context.getConf().contains(
        _SHUFFLE_PARTITIONS
    ):
        # 200, the default, is meant for a cluster: here it is 200 tiny tasks and files.
        spark.conf.set(_SHUFFLE_PARTITIONS, 2 * context.defaultParallelism)
    return spark
