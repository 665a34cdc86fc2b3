"""The finished part of a catalogue, shard by shard: written whole, checked, never done twice.

Beside each shard's table lies its record: what it was made from, its checksum, and a stamp of the
images as they were read (their sizes and times of change). Where one of these is another than it
would be now, the shard is made again.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from galaxy_tasks.acquisition.prediction_table import (
    SET_SEPARATOR,
    name_fractions,
    name_probabilities,
)
from galaxy_tasks.acquisition.zip_reader import ZipEntry
from galaxy_tasks.images.summary import count_converted
from galaxy_tasks.prediction.classify import Found, join_found
from galaxy_tasks.prediction.listing import Row, Shard, read_listing
from galaxy_tasks.prediction.workers import Outcome
from galaxy_tasks.storage.artifacts import sha256_of
from galaxy_tasks.storage.atomic_io import flush, read_json, write_durably, write_json

_compute: Any = pyarrow.compute  # its stubs lack most functions
_EXAMPLES = 3
_STATUS_THREADS = 8
_TEXTS = ("id", "path", "class", "prediction_set", "refused")


@dataclass(frozen=True)
class ShardRecord:
    """What there is to know of a finished shard without reading it."""

    made_from: str
    """Key of what determined it: the plan and its listing."""
    images: str
    """Stamp of its images, see `stamp_images`."""
    sha256: str
    features_sha256: str
    """'' without features."""
    rows: int
    classified: int
    classes: dict[str, int]
    """Images called each class."""
    unlike: int
    """Images unlike what the model has learned from."""
    reasons: dict[str, int]
    """Refused images by the first word of the reason."""
    examples: list[str]
    """Path and reason of the first that were refused."""
    converted: dict[str, int]
    """Images of other than 8-bit colour, by what they are."""
    widths: dict[str, int]
    """Characters of the longest text of each column of texts, as ASCII."""


def name_table(folder: Path, shard: Shard) -> Path:
    """Return the file of a shard's table."""
    return folder / f"shard-{shard.number:06d}.parquet"


def name_features(folder: Path, shard: Shard) -> Path:
    """Return the file of a shard's features."""
    return folder / f"features-{shard.number:06d}.parquet"


def write_shard(
    folder: Path,
    shard: Shard,
    rows: Sequence[Row],
    outcomes: Iterable[Outcome],
    *,
    made_from: str,
    images: str,
    classes: Sequence[str],
    answers: Sequence[str] = (),
) -> ShardRecord:
    """Write what became of a shard's images, and last its record."""
    outcomes = list(outcomes)
    refused = [reason for outcome in outcomes for reason in outcome.refused]
    found = join_found([one.found for one in outcomes if one.found], len(classes))
    table = _make_table(rows, refused, found, classes, answers)
    features = _make_features(table, found)
    write_durably(name_table(folder, shard), lambda file: pq.write_table(table, file))
    if features:
        path = name_features(folder, shard)
        write_durably(path, lambda file: pq.write_table(features, file, compression="zstd"))
    record = ShardRecord(
        made_from=made_from,
        images=images,
        sha256=sha256_of(name_table(folder, shard)),
        features_sha256=sha256_of(name_features(folder, shard)) if features else "",
        rows=len(rows),
        classified=len(found.chosen),
        classes=dict(sorted(Counter(classes[int(index)] for index in found.chosen).items())),
        unlike=int(np.count_nonzero(found.distance > 1)),
        reasons=dict(Counter(reason.split(":")[0] for reason in refused if reason)),
        examples=_list_examples(rows, refused),
        converted=count_converted(c for one in outcomes for c in one.colours),
        widths={name: _measure_width(table[name]) for name in _TEXTS},
    )
    write_json(_name_record(folder, shard), asdict(record))
    flush(folder)
    return record


def find_finished(
    folder: Path, shard: Shard, sources: Sequence[Path], *, made_from: str
) -> ShardRecord | None:
    """Return the record of a shard that is whole and would come out the same now; else None."""
    # There may be no record, one of another version, or one that a failing disk has spoilt.
    with contextlib.suppress(OSError, ValueError, TypeError):
        record = ShardRecord(**read_json(_name_record(folder, shard)))
        files = {name_table(folder, shard): record.sha256}
        if record.features_sha256:
            files[name_features(folder, shard)] = record.features_sha256
        is_same = record.made_from == made_from and all(
            sha256_of(path) == expected for path, expected in files.items()
        )
        if is_same and stamp_images(read_listing(shard), sources) == record.images:
            return record
    return None


def was_begun(folder: Path, shard: Shard) -> bool:
    """Return whether a shard was finished once, from whatever."""
    return _name_record(folder, shard).exists()


def stamp_images(rows: Sequence[Row], sources: Sequence[Path]) -> str:
    """Return a SHA-256 of sizes and times of change of the files that rows name, in their order.

    What is in a zip counts by its listing, which has checksums; a tar, which has none, as a whole.
    """

    def stamp(row: Row) -> tuple[int, int]:
        if row.refused or isinstance(row.entry, ZipEntry):
            return 0, 0
        source = sources[row.source]
        try:
            status = (source if row.entry else source / row.name).stat()
        except (OSError, ValueError):
            return -1, -1
        return status.st_size, status.st_mtime_ns

    # Over a network, each question takes a millisecond that is mostly waiting.
    with ThreadPoolExecutor(_STATUS_THREADS) as executor:
        stamps = list(executor.map(stamp, rows, chunksize=256))
    return hashlib.sha256(np.array(stamps, np.int64).tobytes()).hexdigest()


def sum_records(records: Iterable[ShardRecord]) -> dict[str, Any]:
    """Return the counts of several shards as one."""
    records = list(records)
    return {
        "rows": sum(one.rows for one in records),
        "classified": sum(one.classified for one in records),
        "unlike": sum(one.unlike for one in records),
        "shards": len(records),
        **{
            name: dict(sum((Counter(getattr(one, name)) for one in records), Counter()))
            for name in ("classes", "reasons", "converted")
        },
    }


def describe_refused(records: Iterable[ShardRecord]) -> str:
    """Return the first refused images with their reasons, and how many more there are."""
    records = list(records)
    examples = [example for one in records for example in one.examples][:_EXAMPLES]
    more = sum(one.rows - one.classified for one in records) - len(examples)
    return "; ".join(examples) + f" and {more:,} more" * (more > 0)


def _name_record(folder: Path, shard: Shard) -> Path:
    return folder / f"shard-{shard.number:06d}.json"


def _make_table(
    rows: Sequence[Row],
    refused: Sequence[str],
    found: Found,
    classes: Sequence[str],
    answers: Sequence[str],
) -> pa.Table:
    """Return a row for each image; of numbers that a refused one lacks null, of texts ''.

    astropy reads no Parquet with absent texts.
    """
    is_good = np.array([not reason for reason in refused], dtype=bool)
    places = pa.array(np.where(is_good, np.cumsum(is_good) - 1, 0), mask=~is_good)
    good = _list_answers(found, classes, answers)
    return pa.table(
        {
            "id": pa.array([row.id for row in rows], pa.string()),
            "path": pa.array([row.path for row in rows], pa.string()),
            "ra": pa.array([row.ra for row in rows], pa.float64()),
            "dec": pa.array([row.dec for row in rows], pa.float64()),
            **{name: _spread(values, places) for name, values in good.items()},
            "refused": pa.array(refused, pa.string()),
        }
    )


def _list_answers(
    found: Found, classes: Sequence[str], answers: Sequence[str]
) -> dict[str, pa.Array]:
    """Return the columns of what the model says, for the images that it was asked about."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = found.probabilities * np.log(found.probabilities)
    entropy = -np.where(found.probabilities > 0, terms, 0).sum(axis=1, dtype=np.float32)
    sets = [
        SET_SEPARATOR.join(name for name, is_in in zip(classes, own, strict=True) if is_in)
        for own in found.is_in_set
    ]
    fractions = np.zeros((0, 3 * len(answers)), np.float32)
    if found.fractions is not None:
        fractions = found.fractions.reshape(len(found.chosen), -1)
    numbers = {
        **dict(zip(name_probabilities(classes), found.probabilities.T, strict=True)),
        **dict(zip(name_fractions(answers), fractions.T, strict=True)),
    }
    return {
        "class": pa.array([classes[index] for index in found.chosen], pa.string()),
        **{name: pa.array(values, mask=np.isnan(values)) for name, values in numbers.items()},
        "prediction_set": pa.array(sets, pa.string()),
        "entropy": pa.array(entropy),
        "distance": pa.array(found.distance, mask=np.isnan(found.distance)),
        "is_unlike": pa.array(found.distance > 1),
    }


def _spread(values: pa.Array, places: pa.Array) -> pa.Array:
    """Return the values at these places; where there is no place, what stands for none."""
    spread = values.take(places)
    if pa.types.is_floating(spread.type):
        return spread
    return spread.fill_null(False if pa.types.is_boolean(spread.type) else "")


def _make_features(table: pa.Table, found: Found) -> pa.Table | None:
    """Return id, path and features of the classified images; None without features."""
    if found.features is None:
        return None
    is_good = _compute.equal(table["refused"], "")
    known = table.select(["id", "path"]).filter(is_good)
    flat = pa.array(found.features.ravel())
    vectors = pa.FixedSizeListArray.from_arrays(flat, found.features.shape[1])
    return known.append_column("features", pa.chunked_array([vectors]))


def _list_examples(rows: Sequence[Row], refused: Sequence[str]) -> list[str]:
    both = zip(rows, refused, strict=True)
    return [f"{row.path}: {reason}" for row, reason in both if reason][:_EXAMPLES]


def _measure_width(column: pa.ChunkedArray) -> int:
    texts = column.to_pylist()
    return max((len(text.encode("ascii", "backslashreplace")) for text in texts), default=0)
