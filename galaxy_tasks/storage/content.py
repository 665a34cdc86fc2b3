"""Hashes of content: what two tables have in common that hold the same rows in the same order."""

import hashlib

import pyarrow as pa
import pyarrow.csv as pa_csv

_ROWS_AT_ONCE = 100_000


def hash_rows(table: pa.Table) -> str:
    """Return the SHA-256, in hexadecimal, over a table's cells, row by row; names do not count."""
    digest = hashlib.sha256()
    for start in range(0, table.num_rows, _ROWS_AT_ONCE):
        text = pa.BufferOutputStream()
        rows = table.slice(start, _ROWS_AT_ONCE)
        pa_csv.write_csv(rows, text, pa_csv.WriteOptions(include_header=False))
        digest.update(text.getvalue())
    return digest.hexdigest()
