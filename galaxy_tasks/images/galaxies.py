"""The table of galaxies to prepare: checked, in a fixed order, and identified by its content."""

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from galaxy_tasks.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("galaxy_id", "image_name", "label", "label_index", "split")
"""The columns that are read."""
FOLDER = "release_index"
"""Column with the position of the image's folder; without it, all images are in the first."""
GROUP = "group"
"""Column with the number of the galaxies that stay together in every split; without it, each
galaxy is by itself."""


def order_galaxies(galaxies: "pd.DataFrame | pa.Table") -> pa.Table:
    """Return COLUMNS, FOLDER and GROUP in the order of galaxy_id.

    Raises:
        InputError: the table is empty, lacks a column or a value, or repeats a galaxy.
    """
    is_arrow = isinstance(galaxies, pa.Table)
    table: Any = galaxies if is_arrow else pa.Table.from_pandas(galaxies, preserve_index=False)
    names = table.column_names
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise InputError(
            f"The table of galaxies needs the columns {', '.join(COLUMNS)}. "
            f"Missing: {', '.join(missing)}. Received: {', '.join(names)}"
        )
    folders = table[FOLDER] if FOLDER in names else pa.array([0] * len(table))
    kept = [*COLUMNS, *(name for name in (GROUP,) if name in names)]
    table = table.select(kept).replace_schema_metadata(None)
    table = table.append_column(FOLDER, folders.cast(pa.int32()))
    empty = {name: table[name].null_count for name in COLUMNS if table[name].null_count}
    if empty or not len(table):
        raise InputError(f"The table of galaxies has {len(table)} rows; empty values: {empty}.")
    table = table.sort_by("galaxy_id").combine_chunks()
    if GROUP not in names:
        table = table.append_column(GROUP, pa.array(range(len(table)), pa.int64()))
    ids = table["galaxy_id"]
    if len(ids.unique()) < len(ids):
        counts = Counter(ids.to_pylist())
        repeated = [galaxy_id for galaxy_id, count in counts.items() if count > 1]
        raise InputError(f"Each galaxy_id may occur once. Repeated: {repeated[:20]}")
    return table


def hash_galaxies(table: pa.Table) -> str:
    """Return a hash of the table's types and content, in hexadecimal."""
    content = pa.BufferOutputStream()
    with pa.ipc.new_stream(content, table.schema) as writer:
        writer.write_table(table)
    return hashlib.sha256(content.getvalue()).hexdigest()


def find_label_splits(table: pa.Table) -> set[tuple[str, str]]:
    """Return every pair of label and split that has a galaxy."""
    pairs = table.select(["label", "split"]).group_by(["label", "split"]).aggregate([])
    return {(row["label"], row["split"]) for row in pairs.to_pylist()}
