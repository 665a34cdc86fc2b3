"""Tables and image lists between disk and Spark: explicit columns in, checked Parquet out.

It is also the only place where a SparkSession is built, alike for spark-submit, the CLI and tests.
"""

import logging
import os
import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DoubleType, StringType, StructField, StructType

from galaxy_tasks.acquisition.id_matching import find_images
from galaxy_tasks.acquisition.image_folder import list_images
from galaxy_tasks.acquisition.table_rows import copy_columns
from galaxy_tasks.acquisition.tables import Table, match_columns, read_table_header
from galaxy_tasks.labels.spark_settings import spark_submit_conf
from galaxy_tasks.releases.schema import ImageKey, ImageMapping, Release
from galaxy_tasks.storage.cache_keys import ReleaseFiles

BROADCAST_ROWS = 300_000
"""Up to as many ids and names (about 30 MB) go whole to every executor, instead of a shuffle."""
_ROWS_PER_FILE = 1_000_000
_SHUFFLE_PARTITIONS = "spark.sql.shuffle.partitions"
_TYPES = {pa.string(): StringType(), pa.float64(): DoubleType(), pa.bool_(): BooleanType()}
_logger = logging.getLogger(__name__)


def read_rows(
    spark: SparkSession,
    table: Table,
    columns: Mapping[str, str],
    *,
    copy: Path,
    numbers: Collection[str] = (),
    ids: Collection[str] = (),
) -> DataFrame:
    """Return some columns of a table's rows, and whether the row is broken.

    Spark reads a copy, as `table_rows.iterate_rows` describes it, under an explicit schema.

    Args:
        spark: the session.
        table: the table's header.
        columns: for each column of the result the table's own.
        copy: Parquet file to write, where Spark's executors can read it.
        numbers: columns of the result that hold numbers.
        ids: columns of the result that hold ids.
    """
    rows = copy_columns(table, columns, copy, numbers=numbers, ids=ids)
    _logger.info("Read %s: %s rows, %s columns.", table.path, f"{rows:,}", len(columns))
    fields = [StructField(each.name, _TYPES[each.type]) for each in pq.read_schema(copy)]
    return spark.read.schema(StructType(fields)).parquet(spark_path(copy))


def spark_path(path: Path) -> str:
    """Return a local path as a file:// address for Spark, with its wildcards escaped."""
    return "file://" + re.sub(r"([\\{}\[\]*?])", r"\\\1", str(path.absolute()))


def read_images(
    spark: SparkSession, release: Release, release_files: ReleaseFiles, *, copy: Path
) -> DataFrame:
    """Return the images that exist: columns galaxy_id and image_name, each galaxy once.

    The folder is listed once, here on the driver; no executor looks for a file. Of several images
    that a mapping gives one galaxy, the first by name counts.

    Args:
        spark: the session.
        release: says how a galaxy's id leads to an image.
        release_files: where table and images are.
        copy: as for `read_rows`, of the table that leads from ids to images, where there is one.
    """
    listing = list_images(Path(release_files.images))
    names = find_images(listing, release.image_name_pattern)
    image_names = pa.array(names.values(), pa.string())
    ids = pa.array(names.keys(), pa.string())
    if release.mapping is None:
        return create_small_table(spark, {"galaxy_id": ids, "image_name": image_names})
    if isinstance(release.mapping, ImageKey):
        ids = pa.array([image_id.rstrip("_") for image_id in names], pa.string())
        image_ids = _join_image_ids(spark, release, release.mapping, release_files, copy=copy)
    else:
        image_ids = _look_up_image_ids(spark, release.mapping, release_files, copy=copy)
    listed = create_small_table(spark, {"image_id": ids, "image_name": image_names})
    return (
        image_ids.join(listed, on="image_id", how="inner")
        .groupBy("galaxy_id")
        .agg(F.min("image_name").alias("image_name"))
    )


def _look_up_image_ids(
    spark: SparkSession, mapping: ImageMapping, release_files: ReleaseFiles, *, copy: Path
) -> DataFrame:
    """Return galaxy_id and image_id as a table beside the catalogue has them."""
    table = read_table_header(Path(release_files.mapping))
    wanted = {"galaxy_id": (mapping.id_column,), "image_id": (mapping.image_column,)}
    return read_rows(spark, table, match_columns(table, wanted), copy=copy, ids=wanted).select(
        *wanted
    )


def _join_image_ids(
    spark: SparkSession, release: Release, key: ImageKey, release_files: ReleaseFiles, *, copy: Path
) -> DataFrame:
    """Return galaxy_id and the image_id that columns of the catalogue make up."""
    table = read_table_header(Path(release_files.catalogue))
    wanted = {"galaxy_id": release.id_columns, **{name: (name,) for name in key.columns}}
    rows = read_rows(spark, table, match_columns(table, wanted), copy=copy, ids={"galaxy_id"})
    parts = [F.replace(name, F.lit("-"), F.lit(key.minus)) for name in key.columns]
    return rows.select("galaxy_id", F.concat_ws(key.separator, *parts).alias("image_id"))


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


def start_session(name: str, *, cores: int | None = None, master: str = "") -> SparkSession:
    """Return a quiet session: spark-submit's own master where that started us, else this machine.

    GALAXY_SPARK_SECRET authenticates the jobs of a standalone cluster. It is never passed where
    other users of the machine could read it, such as on spark-submit's command line.

    Args:
        name: what Spark calls the application.
        cores: processor cores to use on this machine; None: all. Means nothing on a cluster.
        master: address of a cluster to use in place of this machine.
    """
    builder = SparkSession.builder.appName(name)
    # spark-submit has started the virtual machine, and its master must not be overridden.
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        builder = builder.master(master or f"local[{cores or '*'}]")
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
