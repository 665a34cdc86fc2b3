"""The only place where a SparkSession is built, alike for spark-submit, the CLI and the tests."""

import os
import sys

from pyspark.sql import SparkSession

from galaxy_tasks.spark_conf import spark_submit_conf

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
