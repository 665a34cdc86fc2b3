"""The table of a VOTable, as astropy reads it: whole, since it is made for up to a million rows.

Format: IVOA Recommendation VOTable 1.5. Columns of vectors are passed over.
"""

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from galaxy_tasks.errors import InputError


def read_votable(path: Path) -> dict[str, pa.Array]:
    """Return the columns with one value a cell: numbers, truth values or text; absent is null.

    Raises:
        InputError: the file is no VOTable, is damaged, or holds several tables or none.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    return _read(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _read(path: Path, _size_bytes: int, _changed_ns: int) -> dict[str, pa.Array]:
    """Read it once for header and rows."""
    from astropy.io import votable

    try:
        with warnings.catch_warnings(action="ignore"):  # of what astropy mends
            parsed: Any = votable.parse(path, verify="ignore")
            tables = list(parsed.iter_tables())
            found = tables[0].to_table(use_names_over_ids=True) if len(tables) == 1 else None
    except Exception as error:  # of many types, as expat, the decoders and NumPy have them
        raise InputError(f"{path} cannot be read as VOTable ({error}). Fetch it again.") from error
    if found is None:
        raise InputError(f"{path} must hold one table. Found: {len(tables)}.")
    columns = {name: found[name] for name in found.colnames}
    return {name: _convert(column) for name, column in columns.items() if column.ndim == 1}


def _convert(column: Any) -> pa.Array:
    mask = np.ma.getmaskarray(column)
    values = np.ma.getdata(column)
    if values.dtype.kind in "fiub":
        is_null = mask | np.isnan(values) if values.dtype.kind == "f" else mask
        return pa.array(values.astype(values.dtype.newbyteorder("=")), mask=is_null)
    texts = [None if hidden else str(value) for value, hidden in zip(values, mask, strict=True)]
    return pa.array(texts, pa.string())
