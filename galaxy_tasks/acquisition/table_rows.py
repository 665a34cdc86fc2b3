"""Read a table's rows, whatever its format, in batches of bounded size; or copy them to Parquet.

Labels are made from such copies, of the few columns that the settings name: what the other columns
hold, or how they are stored, is no matter.
"""

import codecs
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from galaxy_tasks.acquisition.image_file_rules import IMAGE_SUFFIXES
from galaxy_tasks.acquisition.tables import UTF_8, Table, is_gzipped, list_parts, open_unpacked
from galaxy_tasks.errors import InputError

IS_BROKEN = "is_broken"
"""Column that is true where a row has more or fewer cells than the header."""
_MOST_ROW_BYTES = 1 << 22
_ROWS_OF_BATCH = 1 << 16
_CHUNK_BYTES = 1 << 20
_MOST_BROKEN_ROWS = 10_000
_ABSENT_NUMBERS = (
    *("NaN", "nan", "NAN", "NULL", "null", "Null", "None", "none", "NONE"),
    *("NA", "N/A", "n/a", "<NA>", "\\N", "-", "--", "---", "..."),
)
"""What pandas, R, databases, astropy and people write where a number is missing."""
_SUFFIXES = "|".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
_AROUND_IDS = (
    (r'^="([^"]+)"$', r"\1"),
    (r"^'([^']+)'?$", r"\1"),
    (rf"^(?:.*[/\\])?([^/\\]+)\.(?i:{_SUFFIXES})$", r"\1"),
    (r"^(\d{1,15})\.0$", r"\1"),
)
_MINUS_SIGNS = "[\u2010\u2011\u2012\u2013\u2212]"
_compute: Any = pyarrow.compute  # its stubs lack most functions


def copy_columns(
    table: Table,
    columns: Mapping[str, str],
    target: Path,
    *,
    numbers: Collection[str] = (),
    ids: Collection[str] = (),
) -> int:
    """Write some columns of a table as Parquet, as `iterate_rows` yields them; return the rows."""
    rows = 0
    # Most cells differ, so that a dictionary of them would cost more than it saves.
    with pq.ParquetWriter(
        target, _describe_rows(table, columns), compression="lz4", use_dictionary=False
    ) as writer:
        for batch in iterate_rows(table, columns, numbers=numbers, ids=ids):
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def iterate_rows(
    table: Table,
    columns: Mapping[str, str],
    *,
    numbers: Collection[str] = (),
    ids: Collection[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Yield some columns of a table's rows, in batches.

    Floating-point numbers are float64. All else is text as published, so that ids keep their
    zeros: in Unicode's form NFC, without white space around it and without what nobody sees in it.
    Absent cells are null: those without text, NaN, and in columns of numbers what programs write
    for a missing one. All else is present, whether it can be read or not.

    Args:
        table: the table's header.
        columns: for each column of the result the table's own.
        numbers: columns of the result that hold numbers: a lone comma in them is a decimal point,
            and typeset minus signs are minus signs.
        ids: columns of the result that hold ids, which become as `tidy_ids` returns them.

    Yields:
        Batches with these columns and IS_BROKEN. Broken rows come after those of their batch.

    Raises:
        InputError: the table is damaged, is not UTF-8, or a column has no single value a cell.
    """
    schema = _describe_rows(table, columns)
    own = list(dict.fromkeys(columns.values()))
    for arrays, is_broken in _READERS[table.format](table, own):
        values = dict(zip(own, arrays, strict=True))
        tidied = []
        for column, name in columns.items():
            array = _tidy(table, name, values[name], is_number=column in numbers)
            is_text_id = column in ids and array.type == pa.string()
            tidied.append(tidy_ids(array) if is_text_id else array)
        flags = pa.repeat(is_broken, len(tidied[0]))
        yield pa.RecordBatch.from_arrays([*tidied, flags], schema=schema)


def tidy_ids(ids: pa.Array) -> pa.Array:
    """Return ids without what spreadsheets and programs put around them, and nothing lost.

    That is: ="…" and an apostrophe before it, which keep a spreadsheet from making it a number; the
    folder and the suffix of an image's file name; and '.0' after at most 15 digits.
    """
    for pattern, kept in _AROUND_IDS:
        ids = _compute.replace_substring_regex(ids, pattern, kept)
    return ids


def _describe_rows(table: Table, columns: Mapping[str, str]) -> pa.Schema:
    fields = [
        (column, pa.float64() if name in table.floating_columns else pa.string())
        for column, name in columns.items()
    ]
    return pa.schema([*fields, (IS_BROKEN, pa.bool_())])


def _tidy(table: Table, name: str, values: pa.Array, *, is_number: bool) -> pa.Array:
    """Return a column's values as float64, or as text without what nobody sees; absent is null."""
    if values.type == pa.float64():
        return _compute.if_else(_compute.is_nan(values), None, values)
    try:
        text = _compute.cast(values, pa.string())
    except pa.ArrowNotImplementedError as error:
        raise InputError(
            f"{table.path}: column {name!r} must hold one value a cell. Found: {values.type}."
        ) from error
    except pa.ArrowInvalid as error:
        raise InputError(f"{table.path}: column {name!r} must be UTF-8 text. {error}") from error
    if name in table.floating_columns:
        # A single-precision 0.469 read as double lies below 0.469; by way of text it does not.
        return _tidy(table, name, _compute.cast(text, pa.float64()), is_number=is_number)
    text = _tidy_number(_tidy_text(text)) if is_number else _tidy_text(text)
    absent = ["", *_ABSENT_NUMBERS] if is_number else [""]
    return _compute.if_else(_compute.is_in(text, pa.array(absent, text.type)), None, text)


def _tidy_text(text: pa.Array) -> pa.Array:
    if not _compute.all(_compute.string_is_ascii(text)).as_py():
        text = _compute.utf8_normalize(text, form="NFC")
        text = _compute.replace_substring_regex(text, r"[\p{Zs}\x{85}\p{Zl}\p{Zp}]", " ")
        text = _compute.replace_substring_regex(text, r"[\p{Cf}]", "")
    return _compute.utf8_trim_whitespace(text)


def _tidy_number(text: pa.Array) -> pa.Array:
    if not _compute.all(_compute.string_is_ascii(text)).as_py():
        text = _compute.replace_substring_regex(text, _MINUS_SIGNS, "-")
    if _compute.any(_compute.match_substring(text, ",")).as_py():
        text = _compute.replace_substring_regex(text, r"^([^,.]*),([^,.]*)$", r"\1.\2")
    return text


def _iterate_parquet(table: Table, names: Sequence[str]) -> Iterator[tuple[list[pa.Array], bool]]:
    try:
        for part in list_parts(table.path):
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(_ROWS_OF_BATCH, columns=list(names)):
                    found = batch.schema.names
                    yield [batch.column(found.index(name)) for name in names], False
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{table.path} cannot be read: {error}. If it is damaged, fetch it again."
        ) from error


def _iterate_fits(table: Table, names: Sequence[str]) -> Iterator[tuple[list[pa.Array], bool]]:
    from galaxy_tasks.acquisition.fits import iterate_fits

    with open_unpacked(table.path) as file:
        for arrays in iterate_fits(table.path, file, names):
            yield arrays, False


def _iterate_votable(table: Table, names: Sequence[str]) -> Iterator[tuple[list[pa.Array], bool]]:
    from galaxy_tasks.acquisition.votable import read_votable

    columns = read_votable(table.path)
    yield [columns[name] for name in names], False


def _iterate_csv(table: Table, names: Sequence[str]) -> Iterator[tuple[list[pa.Array], bool]]:
    positions = [table.columns.index(name) for name in names]
    broken: list[pa_csv.InvalidRow] = []
    for batch in _read_csv(table, positions, broken):
        yield batch.columns, False
        cells = [row.text.split(table.delimiter) for row in broken if row.text.strip()]
        broken.clear()
        if cells:
            padded = [
                [cell.strip('"') for cell in row] + [None] * len(table.columns) for row in cells
            ]
            yield [pa.array([row[p] for row in padded], pa.string()) for p in positions], True


def _read_csv(
    table: Table, positions: Sequence[int], broken: list[pa_csv.InvalidRow]
) -> Iterator[pa.RecordBatch]:
    """Yield columns of a CSV by their position; broken rows are added to `broken` instead.

    The last batch has no row, so that whoever empties `broken` after each batch gets all.
    """
    names = [str(position) for position in range(len(table.columns))]
    chosen = {names[position]: pa.string() for position in positions}

    def set_aside(row: pa_csv.InvalidRow) -> str:
        broken.append(row)
        is_run = row.number - broken[0].number < len(broken)
        return "error" if is_run and len(broken) > _MOST_BROKEN_ROWS else "skip"

    # On one thread Arrow knows the number of a row, and takes less of the processor.
    read = pa_csv.ReadOptions(use_threads=False, block_size=_MOST_ROW_BYTES, column_names=names)
    read.skip_rows = table.header_lines
    parse = pa_csv.ParseOptions(delimiter=table.delimiter, newlines_in_values=True)
    parse.invalid_row_handler = set_aside
    convert = pa_csv.ConvertOptions(include_columns=list(chosen), column_types=chosen)
    convert.strings_can_be_null, convert.null_values = True, [""]
    read.encoding = table.encoding
    if table.encoding == UTF_8:
        _require_utf8(table.path)
    try:
        packing = "gzip" if is_gzipped(table.path) else None
        with pa.input_stream(table.path, compression=packing) as file:
            yield from pa_csv.open_csv(file, read, parse, convert)
    except pa.ArrowInvalid as error:
        if "Could not skip" not in str(error):  # it ends with the header, without a line's end
            raise _name_fault(table, broken, error) from error
    yield pa.RecordBatch.from_pylist([], schema=pa.schema(chosen))


def _require_utf8(path: Path) -> None:
    """Raise InputError that names the first line of a file that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, is_end = 1, False
    with open_unpacked(path) as file:
        while not is_end:
            chunk = file.read(_CHUNK_BYTES)
            is_end = not chunk
            try:
                decoder.decode(chunk, final=is_end)
            except UnicodeDecodeError as error:
                line += chunk[: error.start].count(b"\n")
                raise InputError(
                    f"{path} must be UTF-8 text. Received: byte {error.object[error.start]:#x} in "
                    f"line {line}. Convert it, for example: iconv -f latin1 -t utf-8 IN > OUT"
                ) from error
            line += chunk.count(b"\n")


def _name_fault(
    table: Table, broken: Sequence[pa_csv.InvalidRow], error: pa.ArrowInvalid
) -> InputError:
    if len(broken) > _MOST_BROKEN_ROWS:
        row = broken[0]
        return InputError(
            f"{table.path} has more than {_MOST_BROKEN_ROWS:,} rows in succession with more or "
            f"fewer cells than its header, which has {row.expected_columns}. The first, row "
            f"{row.number}, has {row.actual_columns}: {row.text[:80]!r}. Mend the header."
        )
    return InputError(
        f"{table.path} must have a row for each galaxy, of at most {_MOST_ROW_BYTES:,} bytes, with "
        f"each quotation mark closed. It has another one ({error}). See how it was published or "
        "copied, and fetch it again."
    )


_READERS: dict[str, Callable[[Table, Sequence[str]], Iterator[tuple[list[pa.Array], bool]]]] = {
    "csv": _iterate_csv,
    "parquet": _iterate_parquet,
    "fits": _iterate_fits,
    "votable": _iterate_votable,
}


def require_rows(table: Table) -> None:
    """Raise InputError for a table that has a header and nothing below it."""
    batches = _READERS[table.format](table, table.columns[:1])
    if table.rows or (table.rows is None and any(len(arrays[0]) for arrays, _ in batches)):
        return
    raise InputError(
        f"{table.path} has the names of {len(table.columns)} columns and no row: expected one "
        "for each galaxy. See whether it was published or copied whole, and fetch it again."
    )


def count_rows(table: Table) -> int:
    """Return the rows of a table, after reading it to its end.

    Raises:
        InputError: it has no row, is damaged, or ends before its end.
    """
    require_rows(table)
    if table.format != "csv":
        names = table.columns if table.format == "parquet" else table.columns[:1]
        return sum(len(arrays[0]) for arrays, _ in _READERS[table.format](table, names))
    broken: list[pa_csv.InvalidRow] = []
    rows = sum(batch.num_rows for batch in _read_csv(table, [0], broken)) + len(broken)
    if broken and broken[-1].number == rows + table.header_lines:
        raise InputError(
            f"{table.path} ends within a row: its last one has {broken[-1].actual_columns} cells, "
            f"its header {broken[-1].expected_columns}. Fetch it again."
        )
    return rows
