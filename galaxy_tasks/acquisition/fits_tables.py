"""A table in FITS becomes Parquet, which Spark can read: a few rows at a time, no value changed.

What fits into one cell comes over: numbers, truth values, text. Columns of vectors, complex
numbers or bits are left out.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from galaxy_tasks.acquisition.fits_headers import (
    UNSIGNED_ZERO,
    FitsColumn,
    FitsTable,
    is_fits,
    open_fits,
    read_fits_header,
    truncation_error,
)
from galaxy_tasks.errors import InputError
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.cache_keys import ReleaseFiles

_CHUNK_BYTES = 1 << 25


def convert_fits(path: Path, target: Path) -> int:
    """Write the table of a FITS file as Parquet, a chunk of rows at a time; return its rows.

    Text loses the blanks around it. What has no value is null: NaN, a column's TNULL, empty text.

    Raises:
        InputError: as `read_fits_header`, or a row of more than 32 MiB, or text that is not UTF-8.
    """
    table = read_fits_header(path)
    print(f"Converting {path} to Parquet: {table.rows:,} rows", flush=True)
    if table.left_out:
        print(f"Left out, for lack of one value a cell: {', '.join(table.left_out)}", flush=True)
    schema = pa.schema([(column.name, column.arrow_type) for column in table.columns])
    if table.row_bytes > _CHUNK_BYTES:
        raise InputError(
            f"{path} must have rows of at most {_CHUNK_BYTES:,} bytes, one for each galaxy. Its "
            f"header asks for {table.row_bytes:,}. Is it a table of galaxies?"
        )
    rows_of_chunk = max(1, _CHUNK_BYTES // table.row_bytes)
    with open_fits(path) as file, pq.ParquetWriter(target, schema) as writer:
        file.seek(table.first_byte)
        for first in range(0, table.rows, rows_of_chunk):
            size = min(rows_of_chunk, table.rows - first) * table.row_bytes
            content = file.read(size)
            if len(content) != size:
                raise truncation_error(path, table.first_byte + table.rows * table.row_bytes)
            rows = np.frombuffer(content, _row_dtype(table))
            arrays = [_convert(path, column, rows[column.name]) for column in table.columns]
            writer.write_table(pa.table(arrays, schema=schema))
    return table.rows


def _row_dtype(table: FitsTable) -> np.dtype:
    return np.dtype(
        {
            "names": [column.name for column in table.columns],
            "formats": [column.dtype for column in table.columns],
            "offsets": [column.offset for column in table.columns],
            "itemsize": table.row_bytes,
        }
    )


def _convert(path: Path, column: FitsColumn, stored: NDArray[Any]) -> pa.Array:
    """Return a column's values, null where there is none."""
    if column.code == "A":
        return _convert_text(path, column.name, stored)
    if column.code == "L":
        is_true = stored == b"T"
        return pa.array(is_true, mask=~is_true & (stored != b"F"))
    mask = np.zeros(len(stored), bool) if column.null is None else stored == column.null
    if column.is_floating:
        values = stored.astype(stored.dtype.newbyteorder("="))
        if (column.scale, column.zero) != (1, 0):
            values = values.astype(np.float64) * column.scale + column.zero
        return pa.array(values, column.arrow_type, mask=mask | np.isnan(values))
    whole = stored.astype(np.int64)
    if column.zero == UNSIGNED_ZERO:  # shifts the sign bit, and nothing else
        return pa.array(whole.view(np.uint64) ^ np.uint64(UNSIGNED_ZERO), mask=mask)
    return pa.array(whole + int(column.zero), mask=mask)


def _convert_text(path: Path, name: str, stored: NDArray[np.bytes_]) -> pa.Array:
    try:
        text = pc.cast(pa.array(stored, pa.binary()), pa.string())
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: column {name!r} must be UTF-8 text. {error}") from error
    compute: Any = pc  # its stubs lack most functions
    text = compute.replace_substring_regex(text, r"(?s)\x00.*", "")  # text ends at a zero byte
    text = compute.utf8_trim_whitespace(text)
    return compute.if_else(compute.equal(text, ""), pa.scalar(None, pa.string()), text)


# The tables of a release in a form that Spark can read.


TABLES_FORMAT = 1
"""Changes when the same FITS file is converted to another table."""


def convert_tables(files: ReleaseFiles) -> ReleaseFiles:
    """Return the release with Parquet in place of FITS; what is converted already is taken.

    The content stays that of the files as published, so nothing else is made again.

    Raises:
        InputError: a FITS file is damaged, or its text is not UTF-8.
    """
    paths = {"catalogue": Path(files.catalogue), "mapping": Path(files.mapping)}
    fits = {name: path for name, path in paths.items() if is_fits(path)}
    if not fits:
        return files
    made_from = {"format": TABLES_FORMAT, "content": files.content, "tables": sorted(fits)}
    with artifacts.open_draft("releases", made_from) as draft:
        artifact = draft.published
        if artifact is None:
            draft.clear()
            rows = {
                name: convert_fits(path, draft.path / f"{name}.parquet")
                for name, path in fits.items()
            }
            artifact = draft.publish({"rows": rows, "converted": {n: str(fits[n]) for n in fits}})
    return replace(files, **{name: str(artifact.path / f"{name}.parquet") for name in fits})
