"""Prepare many cutouts: all cores, resumable, every galaxy accounted for.

Every image has its slot in one file, which the workers fill chunk by chunk; a small file records
each chunk once its pixels are on disk. A call that finds such records goes on after them, and ends
with the same bytes as one that was never interrupted.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from galaxy_tasks import artifacts, images
from galaxy_tasks.durable import write_durably
from galaxy_tasks.errors import InputError
from galaxy_tasks.preparation import log
from galaxy_tasks.preparation.galaxies import FOLDER, fingerprint, label_splits, order_galaxies
from galaxy_tasks.preparation.journal import Journal
from galaxy_tasks.preparation.slots import HEADER_BYTES, SlotFile
from galaxy_tasks.preparation.workers import (
    Chunk,
    ChunkOutcome,
    WorkOrder,
    count_workers,
    prepare_chunks,
)
from galaxy_tasks.zipped_images import find_places, is_zip

if TYPE_CHECKING:
    import pandas as pd

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
    source_sizes: log.SourceSizes


def prepare_cutouts(
    folder_out: Path,
    *,
    galaxies: "pd.DataFrame | pa.Table",
    images_folder: Path,
    settings: images.ImageSettings,
    max_rejected_fraction: float,
    workers: int,
    other_folders: Sequence[Path] = (),
) -> PreparationSummary:
    """Write images.npy, manifest.parquet and rejected.parquet into `folder_out`.

    images.npy is uint8 (count, size, size, 3), red first, and can be memory-mapped; the manifest
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
        images.require_opencl()
    folders = (images_folder, *other_folders)
    plan = artifacts.key_of(
        {
            "galaxies": fingerprint(table),
            "images_folders": [str(folder.resolve()) for folder in folders],
            "settings": asdict(settings),
            "opencv": images.OPENCV_VERSION,
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
    places = [find_places(folder) if is_zip(folder) else None for folder in folders]
    turns = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist(), len(names)]
    chunks: list[Chunk] = []
    for start, stop in pairwise(turns):
        folder = int(indices[start])
        inside = places[folder]
        for first in range(start, stop, _CHUNK_IMAGES):
            own = tuple(names[first : min(first + _CHUNK_IMAGES, stop)])
            own_places = None if inside is None else {n: inside[n] for n in own if n in inside}
            chunks.append(Chunk(len(chunks), first, own, folder, own_places))
    return chunks


def _prepare_missing(
    chunks: list[Chunk], *, order: WorkOrder, slots: SlotFile, journal: Journal, workers: int
) -> None:
    finished = journal.finished()
    missing = [chunk for chunk in chunks if chunk.number not in finished]
    if not missing:
        return
    slots.reserve()
    num_missing = sum(len(chunk.file_names) for chunk in missing)
    processes = min(count_workers(workers), len(missing))
    print(f"Preparing {num_missing:,} images in {processes} process(es)", flush=True)
    if finished:
        print(f"Going on after {slots.count - num_missing:,} images done before", flush=True)
    progress = log.Progress(slots.count, done_before=slots.count - num_missing)
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
            log.rejection_message(
                rejected, total=len(prepared), problem=problem, list_file=list_file
            )
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
        rejected_by_reason=log.count_reasons(rejected),
        source_sizes=log.SourceSizes.measure(manifest["width_px"], manifest["height_px"]),
    )
    print(
        f"Images: {summary.galaxies:,} = {summary.prepared:,} prepared + "
        f"{summary.rejected:,} refused ({log.format_reasons(rejected)})",
        flush=True,
    )
    summary.source_sizes.print_lines()
    return summary
