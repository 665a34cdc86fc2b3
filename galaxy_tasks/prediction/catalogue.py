"""The catalogue of predictions: what its columns mean, and files that say so in four formats.

It is put together from shards in bounded memory. All formats state unit and meaning of each column,
and by which model, from what and when it was made; beside a CSV that stands in a file of its own.

Formats: VOParquet (IVOA Note, Parquet with VOTable metadata, 1.0), FITS Standard 4.0 section 7.3,
VOTable (IVOA Recommendation 1.5).
"""

import io
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from galaxy_tasks.acquisition.prediction_table import (
    FIRST,
    LAST,
    name_fractions,
    name_probabilities,
)
from galaxy_tasks.errors import InputError
from galaxy_tasks.storage.atomic_io import write_durably, write_json

SUFFIXES = (".parquet", ".fits", ".vot", ".csv")
MOST_VOTABLE_ROWS = 1_000_000
"""More, as text in XML, is no use to anybody."""
CSV_METADATA_SUFFIX = ".json"
_NAMESPACE = "{http://www.ivoa.net/xml/VOTable/v1.3}"
_FITS_BLOCK_BYTES = 2880
_Kind = Literal["text", "float64", "float32", "bool"]


@dataclass(frozen=True)
class Column:
    """A column of the catalogue."""

    name: str
    kind: _Kind
    description: str
    unit: str = ""
    ucd: str = ""
    """IVOA's Unified Content Descriptor."""


def list_columns(
    classes: Sequence[str], coverage: float, answers: Sequence[str] = ()
) -> list[Column]:
    """Return the columns of a catalogue of these classes, and of the answers to these questions."""
    first = {
        "id": Column("id", "text", "The galaxy's id", ucd="meta.id;meta.main"),
        "path": Column("path", "text", "The image", ucd="meta.id;meta.file"),
        "ra": Column("ra", "float64", "Right ascension, as given", "deg", "pos.eq.ra;meta.main"),
        "dec": Column("dec", "float64", "Declination, as given", "deg", "pos.eq.dec;meta.main"),
        "class": Column("class", "text", "The network's choice", ucd="src.morph.type"),
    }
    probabilities = [
        Column(column, "float32", f"Calibrated probability of {name}", ucd="stat.probability")
        for column, name in zip(name_probabilities(classes), classes, strict=True)
    ]
    last = {
        "prediction_set": Column(
            "prediction_set",
            "text",
            f"Classes that are meant to include the true one {100 * coverage:g} % of the time",
        ),
        "entropy": Column("entropy", "float32", "Entropy of the probabilities in nats"),
        "distance": Column(
            "distance",
            "float32",
            "Unlikeness to the training galaxies; above 1 for 1 in 100",
        ),
        "is_unlike": Column("is_unlike", "bool", "Whether the distance exceeds 1"),
        "refused": Column("refused", "text", "Why the image has no class"),
    }
    fractions = [
        Column(name, "float32", meant) for name, meant in _mean_fractions(answers, coverage)
    ]
    return [
        *(first[name] for name in FIRST),
        *probabilities,
        *fractions,
        *(last[name] for name in LAST),
    ]


def _mean_fractions(answers: Sequence[str], coverage: float) -> Iterator[tuple[str, str]]:
    """Yield the name of each column of fractions, and what it means."""
    for answer in answers:
        expected, low, high = name_fractions([answer])
        yield expected, f"Expected share of the volunteers asked who answer {answer}"
        within = f"with a probability of {100 * coverage:g} % it is between this and"
        yield low, f"Lower bound of the share: {within} {high}"
        yield high, f"Upper bound of the share: {within} {low}"


@dataclass(frozen=True)
class Contents:
    """A catalogue that is to be written."""

    columns: Sequence[Column]
    metadata: Mapping[str, Any]
    """JSON: the model, its key and card, and so on."""
    num_rows: int
    widths: Mapping[str, int]
    """Characters of the longest text of each column of texts, as ASCII."""
    read_shards: Callable[[], Iterable[pa.Table]]
    """The rows, in their order, a shard at a time."""


def require_suffix(path: Path) -> None:
    """Raise InputError unless a catalogue can be written under this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"--output must end in one of {', '.join(SUFFIXES)}, which says the format. "
            f"Received: {path.name}"
        )


def require_few_enough(path: Path, num_rows: int) -> None:
    """Raise InputError for more rows than a VOTable is made for."""
    if path.suffix.lower() == ".vot" and num_rows > MOST_VOTABLE_ROWS:
        raise InputError(
            f"A VOTable is for at most {MOST_VOTABLE_ROWS:,} rows, and these are {num_rows:,}. "
            "Write .parquet or .fits."
        )


def write_catalogue(path: Path, contents: Contents) -> None:
    """Write the catalogue in the format of its suffix; the file appears when it is whole."""
    writers = {
        ".parquet": _write_parquet,
        ".fits": _write_fits,
        ".vot": _write_votable,
        ".csv": _write_csv,
    }
    write = writers[path.suffix.lower()]
    if write is _write_csv:
        write_json(path.with_name(path.name + CSV_METADATA_SUFFIX), contents.metadata)
    write_durably(path, lambda file: write(file, contents))


def write_features(path: Path, tables: Iterable[pa.Table], metadata: Mapping[str, Any]) -> None:
    """Write id, path and features of each classified image as Parquet, a row group a shard."""

    def write(file: IO[bytes]) -> None:
        writer = None
        for table in tables:
            if writer is None:
                own = {"galaxy_morphology": json.dumps(metadata, default=str)}
                schema = table.schema.with_metadata(own)
                writer = pq.ParquetWriter(file, schema, compression="zstd")
            writer.write_table(table.cast(writer.schema))
        if writer:
            writer.close()

    write_durably(path, write)


def _write_parquet(file: IO[bytes], contents: Contents) -> None:
    schema = _describe_parquet(contents)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for table in contents.read_shards():
            writer.write_table(table.cast(schema))


def _describe_parquet(contents: Contents) -> pa.Schema:
    types = {
        "text": pa.string(),
        "float64": pa.float64(),
        "float32": pa.float32(),
        "bool": pa.bool_(),
    }
    fields = [
        pa.field(
            column.name,
            types[column.kind],
            metadata={"description": column.description, "unit": column.unit, "ucd": column.ucd},
        )
        for column in contents.columns
    ]
    return pa.schema(
        fields,
        metadata={
            "IVOA.VOTable-Parquet.version": "1.0",
            "IVOA.VOTable-Parquet.content": _describe_votable(contents),
            "galaxy_morphology": json.dumps(contents.metadata, default=str),
            # With these astropy need not look for the longest text.
            **{f"table::len::{name}": str(max(n, 1)) for name, n in contents.widths.items()},
        },
    )


def _describe_votable(contents: Contents) -> str:
    """Return the catalogue as a VOTable without rows, as VOParquet has it."""
    written = io.BytesIO()
    _make_votable(contents, ()).to_xml(written)
    ElementTree.register_namespace("", _NAMESPACE.strip("{}"))
    root = ElementTree.fromstring(written.getvalue())
    table = root.find(f"{_NAMESPACE}RESOURCE/{_NAMESPACE}TABLE")
    assert table is not None
    for data in table.findall(f"{_NAMESPACE}DATA"):
        table.remove(data)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _write_votable(file: IO[bytes], contents: Contents) -> None:
    _make_votable(contents, contents.read_shards()).to_xml(file)


def _make_votable(contents: Contents, tables: Iterable[pa.Table]) -> Any:
    from astropy.io.votable import tree

    rows = list(tables)
    count = sum(table.num_rows for table in rows)
    datatypes: dict[_Kind, dict[str, str]] = {
        "float64": {"datatype": "double"},
        "float32": {"datatype": "float"},
        "bool": {"datatype": "boolean"},
    }
    document: Any = tree.VOTableFile(version="1.5")
    resource = tree.Resource(name="predictions")
    document.resources.append(resource)
    table: Any = tree.TableElement(document, name="galaxies")
    resource.tables.append(table)
    table.format = "binary2"
    for name, value in contents.metadata.items():
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        resource.infos.append(tree.Info(name=name, value=text))
    for column in contents.columns:
        width = str(max(contents.widths.get(column.name, 0), 1))
        made: Any = tree.Field(
            document,
            ID=column.name,
            name=column.name,
            unit=column.unit or None,
            ucd=column.ucd or None,
            **datatypes.get(column.kind, {"datatype": "unicodeChar", "arraysize": width}),
        )
        made.description = column.description
        table.fields.append(made)
    with warnings.catch_warnings(action="ignore"):
        table.create_arrays(count)
    if rows:
        whole = pa.concat_tables(rows)
        for column, field in zip(contents.columns, table.fields, strict=True):
            values, is_null = _to_numpy(whole[column.name].combine_chunks(), column)
            table.array[field.ID] = values
            table.array.mask[field.ID] = is_null
    return document


def _to_numpy(values: Any, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Return a column's values and which of them are null."""
    is_null = values.is_null().to_numpy(zero_copy_only=False)
    fill: dict[_Kind, Any] = {"text": "", "bool": False}
    filled = values.fill_null(fill.get(column.kind, np.nan))
    return filled.to_numpy(zero_copy_only=False), is_null


def _write_csv(file: IO[bytes], contents: Contents) -> None:
    names = [column.name for column in contents.columns]
    for number, table in enumerate(contents.read_shards()):
        options = pa_csv.WriteOptions(include_header=number == 0, quoting_style="needed")
        # Numbers as text first: Arrow quotes no number, and 'needed' quotes each text with a comma.
        pa_csv.write_csv(table.select(names), file, options)


def _write_fits(file: IO[bytes], contents: Contents) -> None:
    from astropy.io import fits

    types: dict[_Kind, tuple[str, str]] = {
        "float64": ("D", ">f8"),
        "float32": ("E", ">f4"),
        "bool": ("L", "i1"),
    }
    columns, row_type = [], []
    for column in contents.columns:
        width = max(contents.widths.get(column.name, 0), 1)
        form, dtype = types.get(column.kind, (f"{width}A", f"S{width}"))
        columns.append(fits.Column(name=column.name, format=form, unit=column.unit or None))
        row_type.append((column.name, dtype))
    head: Any = fits.BinTableHDU.from_columns(columns, nrows=0, name="GALAXIES")
    _describe_fits(head.header, contents)
    head.header["NAXIS2"] = contents.num_rows
    primary: Any = fits.PrimaryHDU()
    file.write(primary.header.tostring().encode())
    file.write(head.header.tostring().encode())
    num_bytes = 0
    for table in contents.read_shards():
        content = _pack_rows(table, contents.columns, np.dtype(row_type)).tobytes()
        num_bytes += len(content)
        file.write(content)
    file.write(bytes(-num_bytes % _FITS_BLOCK_BYTES))


def _describe_fits(header: Any, contents: Contents) -> None:
    """Add what the columns mean, and the metadata, one line of text a value."""
    for number, column in enumerate(contents.columns, start=1):
        header[f"TCOMM{number}"] = _to_ascii(column.description)
        if column.ucd:
            header[f"TUCD{number}"] = column.ucd
    for name, value in contents.metadata.items():
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        for line in text.splitlines():
            header.add_history(_to_ascii(f"{name}: {line}"))


def _to_ascii(text: str) -> str:
    """Return a text as FITS may have it."""
    return text.encode("ascii", "backslashreplace").decode()


def _pack_rows(table: pa.Table, columns: Sequence[Column], row_type: np.dtype) -> np.ndarray:
    packed = np.zeros(table.num_rows, row_type)
    for column in columns:
        values, is_null = _to_numpy(table[column.name].combine_chunks(), column)
        if column.kind == "text":
            packed[column.name] = [text.encode("ascii", "backslashreplace") for text in values]
        elif column.kind == "bool":
            packed[column.name] = np.where(is_null, 0, np.where(values, ord("T"), ord("F")))
        else:
            packed[column.name] = values
    return packed


def read_in_order(paths: Iterable[Path]) -> Iterator[pa.Table]:
    """Yield the tables of Parquet files."""
    for path in paths:
        yield pq.read_table(path)
