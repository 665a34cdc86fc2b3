"""Tables are read cell by cell as they are written."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq

from galaxy_tasks.acquisition.tables import read_table_header
from galaxy_tasks.labels.spark_io import read_rows


def test_csv_rows_survive_marks_blank_lines_and_quotes_and_broken_ones_are_told(spark, tmp_path):
    folder = tmp_path / "a [b] {c} *d"  # wildcards, if they were not escaped
    folder.mkdir()
    text = (
        '\ufeffid,note,class,extra\r\n587722981741363294,"a, ""b""",spiral,1\r\n\r\n'
        "2,,edge_on,\r\n3,x,spiral,1,1\r\n4,x,spi"
    )
    (folder / "t.csv").write_bytes(text.encode())
    (folder / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("t.csv", "t.csv.gz"):
        table = read_table_header(folder / name)
        rows = read_rows(spark, table, {"galaxy_id": "id", "class": "class", "note": "note"})
        assert [tuple(row) for row in rows.collect()] == [
            ("587722981741363294", "spiral", 'a, "b"', False),
            ("2", "edge_on", None, False),
            ("3", "spiral", "x", True),
            ("4", "spi", "x", True),
        ]
        assert rows.count() == 4


def test_parquet_ids_and_single_precision_fractions_stay_exact(spark, tmp_path):
    ids = [587722981741363294, 587722981741363295]
    columns = {"id": ids, "Class1.1": pa.array([0.469, 0.5], pa.float32()), "n": [0.25, 1.0]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    table = read_table_header(tmp_path / "t.parquet")
    rows = read_rows(spark, table, {"galaxy_id": "id", "f": "Class1.1", "n": "n"})
    assert [tuple(row) for row in rows.collect()] == [
        ("587722981741363294", "0.469", 0.25, False),
        ("587722981741363295", "0.5", 1.0, False),
    ]
