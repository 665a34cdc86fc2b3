"""Rows of text as a catalogue has them, for the tests of their cleaning."""

import pyarrow as pa
from pyspark.sql import functions as F


def make_rows(spark, columns, rows):
    """Return rows as `cleaning` expects them; cells are text, positions are unknown."""
    table = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
    frame = spark.createDataFrame(pa.table({k: pa.array(v, pa.string()) for k, v in table.items()}))
    for name in {"ra", "dec"} - set(columns):
        frame = frame.withColumn(name, F.lit(None).cast("string"))
    return frame.withColumn("is_broken", F.lit(False))
