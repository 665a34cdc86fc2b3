"""Prepare many cutouts: on all cores, resumable, with every galaxy accounted for.

Every image has its slot in one file, which the workers fill chunk by chunk; a small file records
each chunk once its pixels are on disk. A call that finds such records continues after them, and
ends with the same bytes as one that was never interrupted.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from galaxy_tasks.acquisition.image_folder import list_images
from galaxy_tasks.errors import InputError
from galaxy_tasks.images import prepare
from galaxy_tasks.images.galaxies import FOLDER, find_label_splits, hash_galaxies, order_galaxies
from galaxy_tasks.images.progress import ImageProgress
from galaxy_tasks.images.resume import HEADER_BYTES, Journal, SlotFile
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.images.summary import PreparationSummary, describe_rejections
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

IMAGES, MANIFEST, REJECTED = "images.npy", "manifest.parquet", "rejected.parquet"
REJECTED_LIST = "rejected.csv"
"""The refused images if they are too many, in the folder `work`, which is removed at the end."""

_MANIFEST_COLUMNS = (
    *("galaxy_id", "label", "label_index", "split", "group"),
    *("source_file", "sha256", "width_px", "height_px", "colours"),
)
_REJECTED_COLUMNS = ("galaxy_id", "source_file", "reason", "detail")
_CHUNK_IMAGES = 64
_PLAN_KEY = b"preparation_plan"
_OUTCOME_SCHEMA = pa.schema(
    {
        "sha256": pa.string(),
        "width_px": pa.int32(),
        "height_px": pa.int32(),
        "colours": pa.string(),
        "reason": pa.string(),
        "detail": pa.string(),
    }
)

_logger = logging.getLogger(__name__)


def prepare_cutouts(
    folder_out: Path,
    *,
    galaxies: "pd.DataFrame | pa.Table",
    image_folders: Sequence[Path],
    settings: ImageSettings,
    max_rejected_fraction: float,
    workers: int,
) -> PreparationSummary:
    """Write images.npy, manifest.parquet and rejected.parquet into a folder.

    images.npy is uint8 (count, size, size, 3), red first, and can be memory-mapped. The manifest
    has its galaxies in the same order, that of galaxy_id, and rejected.parquet has the others; see
    `_MANIFEST_COLUMNS` and `_REJECTED_COLUMNS`.

    Args:
        folder_out: where to write; what an interrupted call left there is continued.
        galaxies: `galaxies.COLUMNS`, and FOLDER and GROUP where these matter.
        image_folders: the folder or zip of each release's images, by release_index.
        settings: what to make of an image.
        max_rejected_fraction: largest share of images that may be refused.
        workers: number of processes; 0 means one for each core.

    Raises:
        InputError: too many images are refused, or all of a class in a split; the table is
            malformed; there is no OpenCL device, though it is asked for; a zip is unsafe.
        ResourceError: the disk is full or fails, or a worker was killed; a retry continues.
    """
    table = order_galaxies(galaxies)
    plan = _identify_plan(table, image_folders, settings)
    work = folder_out / "work"
    if not _is_complete(folder_out, plan):
        slots = SlotFile(work / "slots.npy", count=len(table), size_px=settings.image_size_px)
        journal = _open_journal(folder_out, plan, slots)
        order = WorkOrder(tuple(image_folders), slots.path, HEADER_BYTES, settings)
        prepared = _prepare(table, order=order, slots=slots, journal=journal, workers=workers)
        _check_rejected(prepared, max_rejected_fraction, journal=journal, work=work)
        _write(folder_out, prepared, slots, plan)
    shutil.rmtree(work, ignore_errors=True)
    return _summarize(folder_out)


def _open_journal(folder: Path, plan: str, slots: SlotFile) -> Journal:
    """Return the journal of an interrupted call, or an empty one where its images are gone."""
    work = folder / "work"
    if not slots.exists() and not (folder / IMAGES).exists():
        shutil.rmtree(work, ignore_errors=True)
    return Journal(work, plan)


def _summarize(folder: Path) -> PreparationSummary:
    summary = PreparationSummary.of(
        pq.read_table(folder / MANIFEST), pq.read_table(folder / REJECTED)
    )
    summary.log()
    return summary


def _identify_plan(table: pa.Table, folders: Sequence[Path], settings: ImageSettings) -> str:
    """Return a key of everything that determines the pixels and their order."""
    return artifacts.key_of(
        {
            "galaxies": hash_galaxies(table),
            "image_folders": [str(folder.resolve()) for folder in folders],
            "settings": asdict(settings),
            "opencv": prepare.OPENCV_VERSION,
        }
    )


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


def _prepare(
    table: pa.Table, *, order: WorkOrder, slots: SlotFile, journal: Journal, workers: int
) -> pa.Table:
    """Prepare the images that the journal lacks; return the galaxies with their outcomes."""
    finished = journal.finished()
    chunks = _cut_into_chunks(table, order.image_folders)
    if order.settings.opencv_device == "opencl":
        prepare.require_opencl()
    if missing := [chunk for chunk in chunks if chunk.number not in finished]:
        _prepare_missing(missing, order=order, slots=slots, journal=journal, workers=workers)
    return _join_outcomes(table, journal.finished())


def _prepare_missing(
    missing: list[Chunk], *, order: WorkOrder, slots: SlotFile, journal: Journal, workers: int
) -> None:
    slots.reserve()
    num_missing = sum(len(chunk.image_names) for chunk in missing)
    processes = min(count_workers(workers), len(missing))
    done_before = slots.count - num_missing
    if done_before:
        _logger.info("%s images were prepared before the interruption", f"{done_before:,}")
    _logger.info("Preparing %s images in %d process(es)", f"{num_missing:,}", processes)
    progress = ImageProgress(slots.count, done_before=done_before)
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


def _check_rejected(
    prepared: pa.Table, max_rejected_fraction: float, *, journal: Journal, work: Path
) -> None:
    """Raise InputError, and have the refused images read again next time, if they are too many."""
    rejected = prepared.filter(prepared["reason"].is_valid())
    problem = ""
    if len(rejected) > max_rejected_fraction * len(prepared):
        problem = (
            f"Too many images are refused: {len(rejected) / len(prepared):.2%}; "
            f"max_rejected_fraction allows {max_rejected_fraction:.2%}."
        )
    kept = prepared.filter(prepared["reason"].is_null())
    lost = find_label_splits(prepared) - find_label_splits(kept)
    if lost:
        names = ", ".join(f"{label} ({split})" for label, split in sorted(lost))
        problem += f" No image is left of these classes and splits: {names}."
    if problem:
        journal.forget_rejections()
        list_file = work / REJECTED_LIST
        rows = rejected.select(list(_REJECTED_COLUMNS))
        write_durably(list_file, lambda file: csv.write_csv(rows, file))
        raise InputError(
            describe_rejections(rejected, total=len(prepared), problem=problem, list_file=list_file)
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
