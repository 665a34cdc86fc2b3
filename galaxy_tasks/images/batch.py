"""Prepare many cutouts: all cores, resumable, every galaxy accounted for.

Every image has its slot in one file, which the workers fill chunk by chunk; a small file records
each chunk once its pixels are on disk. A call that finds such records goes on after them, and ends
with the same bytes as one that was never interrupted.
"""

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from galaxy_tasks.acquisition.image_folder import list_images
from galaxy_tasks.errors import InputError
from galaxy_tasks.images import prepare
from galaxy_tasks.images.resume import HEADER_BYTES, Journal, SlotFile
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.images.workers import (
    Chunk,
    ChunkOutcome,
    WorkOrder,
    count_workers,
    prepare_chunks,
)
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.atomic_io import write_durably

if TYPE_CHECKING:
    import pandas as pd
if TYPE_CHECKING:
    import pandas as pd


# The table of galaxies to prepare: checked, in a fixed order, and identified by its content.


COLUMNS = ("galaxy_id", "image_name", "label", "label_index", "split")
"""What `prepare_cutouts` reads of the table."""
FOLDER = "release_index"
"""Column with the position of the image's folder; without it there is one folder."""


def order_galaxies(galaxies: "pd.DataFrame | pa.Table") -> pa.Table:
    """Return the needed columns in the order of galaxy_id; raise InputError for a bad table."""
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
    table = table.select(list(COLUMNS)).replace_schema_metadata(None)
    table = table.append_column(FOLDER, folders.cast(pa.int32()))
    empty = {name: table[name].null_count for name in COLUMNS if table[name].null_count}
    if empty or not len(table):
        raise InputError(f"The table of galaxies has {len(table)} rows; empty values: {empty}.")
    table = table.sort_by("galaxy_id").combine_chunks()
    ids = table["galaxy_id"]
    if len(ids.unique()) < len(ids):
        counts = Counter(ids.to_pylist())
        repeated = [galaxy_id for galaxy_id, count in counts.items() if count > 1]
        raise InputError(f"Each galaxy_id may occur once. Repeated: {repeated[:20]}")
    return table


def fingerprint(table: pa.Table) -> str:
    """Return a hash of the table's types and content, in hexadecimal."""
    content = pa.BufferOutputStream()
    with pa.ipc.new_stream(content, table.schema) as writer:
        writer.write_table(table)
    return hashlib.sha256(content.getvalue()).hexdigest()


def label_splits(table: pa.Table) -> set[tuple[str, str]]:
    """Return every pair of label and split that has a galaxy."""
    pairs = table.select(["label", "split"]).group_by(["label", "split"]).aggregate([])
    return {(row["label"], row["split"]) for row in pairs.to_pylist()}


# What the task log shows of the preparation: progress, sizes, and what was refused.


_PROGRESS_EVERY_S = 5.0
_LISTED_REJECTIONS = 20
_LISTED_SIZES = 5


@dataclass(frozen=True)
class SourceSizes:
    """How large the readable cutouts were, in pixels; the medians are lower medians."""

    min_width_px: int
    median_width_px: int
    max_width_px: int
    min_height_px: int
    median_height_px: int
    max_height_px: int
    most_common: dict[str, int]
    """Galaxies by size ('424×424'), the most frequent first."""

    @staticmethod
    def measure(width_px: pa.ChunkedArray, height_px: pa.ChunkedArray) -> "SourceSizes":
        """Return the distribution of these sizes."""
        spread = {}
        for name, column in (("width_px", width_px), ("height_px", height_px)):
            quantiles = np.quantile(column.to_numpy(), [0, 0.5, 1], method="lower")
            for label, quantile in zip(("min", "median", "max"), quantiles, strict=True):
                spread[f"{label}_{name}"] = int(quantile)
        counts = Counter(zip(width_px.to_pylist(), height_px.to_pylist(), strict=True))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_LISTED_SIZES]
        return SourceSizes(
            **spread, most_common={f"{width}×{height}": count for (width, height), count in ranked}
        )

    def print_lines(self) -> None:
        """Print the distribution."""
        print(
            "Source sizes (smallest / median / largest): width "
            f"{self.min_width_px} / {self.median_width_px} / {self.max_width_px} px, height "
            f"{self.min_height_px} / {self.median_height_px} / {self.max_height_px} px",
            flush=True,
        )
        common = ", ".join(f"{size} px ({count:,})" for size, count in self.most_common.items())
        print(f"Most common: {common}", flush=True)


class Progress:
    """Prints a line every few seconds, and one at the end."""

    def __init__(self, total: int, *, done_before: int) -> None:
        """Start the clock; `done_before` images were finished by an earlier attempt."""
        self.total = total
        self.done_before = done_before
        self.done = done_before
        self.started_s = self.printed_s = time.monotonic()

    def add(self, images: int) -> None:
        """Count finished images, and print if it is time or all are done."""
        self.done += images
        now_s = time.monotonic()
        is_last = images > 0 and self.done == self.total
        if is_last or now_s - self.printed_s >= _PROGRESS_EVERY_S:
            self.printed_s = now_s
            print(self.line(now_s - self.started_s), flush=True)

    def line(self, elapsed_s: float) -> str:
        """Return the line to print after so many seconds of this attempt."""
        rate = (self.done - self.done_before) / max(elapsed_s, 1e-9)
        left = _duration((self.total - self.done) / rate) + " left" if rate else "time unknown"
        share = self.done / self.total
        return (
            f"images {self.done:,} / {self.total:,} ({share:.1%})".replace("%", " %")
            + f", {rate:,.{0 if rate >= 10 else 1}f} images/s, {left}"
        )


def rejection_message(rejected: pa.Table, *, total: int, problem: str, list_file: Path) -> str:
    """Return the text of an error about refused images: counts by reason and the first of them.

    `list_file` is where all of them are listed.
    """
    rows = rejected.slice(0, _LISTED_REJECTIONS).to_pylist()
    lines = [
        f"  {row['galaxy_id']}  {row['source_file']}  {row['reason']}: {row['detail']}"
        for row in rows
    ]
    if rejected.num_rows > len(rows):
        lines.append(f"  … and {rejected.num_rows - len(rows):,} more")
    return "\n".join(
        [
            problem,
            f"Refused: {rejected.num_rows:,} of {total:,} images ({format_reasons(rejected)}):",
            *lines,
            f"All {rejected.num_rows:,} are listed in {list_file}",
            "Mend these files and clear the task, or remove them and clear prepare_release, or "
            "raise max_rejected_fraction. Images that were fine are not prepared again.",
        ]
    )


def count_reasons(rejected: pa.Table) -> dict[str, int]:
    """Return the number of refused images by reason, the most frequent first."""
    counts = Counter(rejected["reason"].to_pylist())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def format_reasons(rejected: pa.Table) -> str:
    """Return the counts by reason as one line."""
    counts = count_reasons(rejected)
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items()) or "none"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


IMAGES, MANIFEST, REJECTED = "images.npy", "manifest.parquet", "rejected.parquet"
REJECTED_LIST = "rejected.csv"
"""The refused images where they are too many, in the folder `work`, which goes once all is well."""

_MANIFEST_COLUMNS = (
    *("galaxy_id", "label", "label_index", "split"),
    *("source_file", "sha256", "width_px", "height_px"),
)
_REJECTED_COLUMNS = ("galaxy_id", "source_file", "reason", "detail")
_CHUNK_IMAGES = 64
_PLAN_KEY = b"preparation_plan"
_OUTCOME_SCHEMA = pa.schema(
    {
        "sha256": pa.string(),
        "width_px": pa.int32(),
        "height_px": pa.int32(),
        "reason": pa.string(),
        "detail": pa.string(),
    }
)


@dataclass(frozen=True)
class PreparationSummary:
    """What became of the galaxies: galaxies = prepared + rejected."""

    galaxies: int
    prepared: int
    rejected: int
    rejected_by_reason: dict[str, int]
    source_sizes: SourceSizes


def prepare_cutouts(
    folder_out: Path,
    *,
    galaxies: "pd.DataFrame | pa.Table",
    image_folders: Sequence[Path],
    settings: ImageSettings,
    max_rejected_fraction: float,
    workers: int,
) -> PreparationSummary:
    """Write prepare.npy, manifest.parquet and rejected.parquet into `folder_out`.

    prepare.npy is uint8 (count, size, size, 3), red first, and can be memory-mapped; the manifest
    has its galaxies in the same order, that of galaxy_id: galaxy_id, label, label_index, split,
    source_file, sha256, width_px, height_px. rejected.parquet has those that are in neither:
    galaxy_id, source_file, reason, detail. `galaxies` has galaxies.COLUMNS, image_name relative
    to `images_folder`, or where column release_index is n > 0 to `other_folders[n - 1]`, each a
    folder or a zip. `workers` 0 means one for each core.

    Raises:
        InputError: more images than `max_rejected_fraction` are refused, or all of a class in a
            split (the message names a file that lists them all); the table is malformed; OpenCL
            is asked for and not there; the zip as a whole is damaged or unsafe.
        ResourceError: the disk is full or failing, or a worker was killed; a retry goes on.
    """
    table = order_galaxies(galaxies)
    if settings.opencv_device == "opencl":
        prepare.require_opencl()
    folders = tuple(image_folders)
    plan = artifacts.key_of(
        {
            "galaxies": fingerprint(table),
            "images_folders": [str(folder.resolve()) for folder in folders],
            "settings": asdict(settings),
            "opencv": prepare.OPENCV_VERSION,
        }
    )
    work = folder_out / "work"
    if not _is_complete(folder_out, plan):
        slots = SlotFile(work / "slots.npy", count=len(table), size_px=settings.image_size_px)
        journal = Journal(work, plan)
        if not slots.exists() and not (folder_out / IMAGES).exists():
            journal.clear()
        chunks = _cut_into_chunks(table, folders)
        order = WorkOrder(folders, slots.path, HEADER_BYTES, settings)
        _prepare_missing(chunks, order=order, slots=slots, journal=journal, workers=workers)
        prepared = _join_outcomes(table, journal.finished())
        try:
            _check_rejected(prepared, max_rejected_fraction, list_file=work / REJECTED_LIST)
        except InputError:
            journal.forget_rejections()
            raise
        _write(folder_out, prepared, slots, plan)
    shutil.rmtree(work, ignore_errors=True)
    return _summarise(folder_out)


def _is_complete(folder: Path, plan: str) -> bool:
    """Return whether the folder has all files of this plan; the manifest is written last."""
    if not (folder / MANIFEST).is_file():
        return False
    metadata = pq.read_schema(folder / MANIFEST).metadata or {}
    return metadata.get(_PLAN_KEY) == plan.encode() and (folder / IMAGES).is_file()


def _cut_into_chunks(table: pa.Table, folders: Sequence[Path]) -> list[Chunk]:
    """Return the table's images in chunks, each of one folder."""
    names, indices = table["image_name"].to_pylist(), table[FOLDER].to_numpy()
    listed = [list_images(folder).images for folder in folders]
    starts = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist(), len(names)]
    chunks: list[Chunk] = []
    for start, stop in pairwise(starts):
        folder = int(indices[start])
        for first in range(start, stop, _CHUNK_IMAGES):
            own = tuple(names[first : min(first + _CHUNK_IMAGES, stop)])
            places = {name: listed[folder][name] for name in own if name in listed[folder]}
            chunks.append(Chunk(len(chunks), first, own, folder, places))
    return chunks


def _prepare_missing(
    chunks: list[Chunk], *, order: WorkOrder, slots: SlotFile, journal: Journal, workers: int
) -> None:
    finished = journal.finished()
    missing = [chunk for chunk in chunks if chunk.number not in finished]
    if not missing:
        return
    slots.reserve()
    num_missing = sum(len(chunk.image_names) for chunk in missing)
    processes = min(count_workers(workers), len(missing))
    print(f"Preparing {num_missing:,} images in {processes} process(es)", flush=True)
    if finished:
        print(f"Going on after {slots.count - num_missing:,} images done before", flush=True)
    progress = Progress(slots.count, done_before=slots.count - num_missing)
    for outcomes in prepare_chunks(missing, order=order, workers=processes):
        if outcomes:
            slots.flush()
            journal.record(outcomes)
        progress.add(sum(len(outcome.reason) for outcome in outcomes))


def _join_outcomes(table: pa.Table, outcomes: Mapping[int, ChunkOutcome]) -> pa.Table:
    """Return the galaxies with what became of each."""
    parts = [
        pa.table(
            {name: getattr(outcome, name) for name in _OUTCOME_SCHEMA.names},
            schema=_OUTCOME_SCHEMA,
        )
        for _, outcome in sorted(outcomes.items())
    ]
    joined = table.rename_columns({"image_name": "source_file"})
    for name, column in zip(_OUTCOME_SCHEMA.names, pa.concat_tables(parts).columns, strict=True):
        joined = joined.append_column(name, column)
    return joined


def _check_rejected(prepared: pa.Table, max_rejected_fraction: float, *, list_file: Path) -> None:
    rejected = prepared.filter(prepared["reason"].is_valid())
    problem = ""
    if len(rejected) > max_rejected_fraction * len(prepared):
        problem = (
            f"Too many images are refused: {len(rejected) / len(prepared):.2%}, where "
            f"max_rejected_fraction allows {max_rejected_fraction:.2%}."
        )
    kept = prepared.filter(prepared["reason"].is_null())
    lost = label_splits(prepared) - label_splits(kept)
    if lost:
        names = ", ".join(f"{label} ({split})" for label, split in sorted(lost))
        problem += f" No image is left of these classes and splits: {names}."
    if problem:
        rows = rejected.select(list(_REJECTED_COLUMNS))
        write_durably(list_file, lambda file: csv.write_csv(rows, file))
        raise InputError(
            rejection_message(rejected, total=len(prepared), problem=problem, list_file=list_file)
        )


def _write(folder: Path, prepared: pa.Table, slots: SlotFile, plan: str) -> None:
    is_kept = prepared["reason"].is_null()
    if slots.exists():
        slots.move_kept(is_kept.to_numpy(), folder / IMAGES)
    rejected = prepared.filter(prepared["reason"].is_valid()).select(list(_REJECTED_COLUMNS))
    pq.write_table(rejected, folder / REJECTED)
    manifest = prepared.filter(is_kept).select(list(_MANIFEST_COLUMNS))
    manifest = manifest.replace_schema_metadata({_PLAN_KEY: plan})
    temporary = folder / "work" / MANIFEST
    pq.write_table(manifest, temporary)
    temporary.replace(folder / MANIFEST)


def _summarise(folder: Path) -> PreparationSummary:
    """Return the summary of a complete folder, and print it."""
    manifest, rejected = pq.read_table(folder / MANIFEST), pq.read_table(folder / REJECTED)
    summary = PreparationSummary(
        galaxies=len(manifest) + len(rejected),
        prepared=len(manifest),
        rejected=len(rejected),
        rejected_by_reason=count_reasons(rejected),
        source_sizes=SourceSizes.measure(manifest["width_px"], manifest["height_px"]),
    )
    print(
        f"Images: {summary.galaxies:,} = {summary.prepared:,} prepared + "
        f"{summary.rejected:,} refused ({format_reasons(rejected)})",
        flush=True,
    )
    summary.source_sizes.print_lines()
    return summary
