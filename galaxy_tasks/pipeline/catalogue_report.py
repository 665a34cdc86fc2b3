"""The page about a catalogue: how common the classes are, and galaxies that are worth a look."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from galaxy_tasks.evaluation.shares import correct_shares
from galaxy_tasks.pipeline.catalogue_plan import CatalogueRequest, ServedModel
from galaxy_tasks.prediction.classify import prepare_rows
from galaxy_tasks.prediction.extremes import KINDS, Extreme, choose_extremes
from galaxy_tasks.prediction.listing import Row, Shard, read_listing
from galaxy_tasks.prediction.workers import Job
from galaxy_tasks.report.catalogue_page import Sheet, SheetGalaxy, render_catalogue
from galaxy_tasks.storage.atomic_io import write_durably
from galaxy_tasks.training.model_record import read_test

_NUM_EACH = 8


def write_report(
    request: CatalogueRequest,
    model: ServedModel,
    job: Job,
    metadata: Mapping[str, Any],
    listed: Sequence[Shard],
    read_shards: Callable[[], Iterable[pa.Table]],
) -> None:
    """Write the page of a catalogue, whose images are read again for it."""
    assert request.report
    confusion = _count_test(model)
    counts = [metadata["counts"]["classes"].get(name, 0) for name in job.classes]
    chosen = choose_extremes(read_shards(), job.classes, num_each=_NUM_EACH)
    page = render_catalogue(
        output=request.output.name,
        metadata=metadata,
        shares=correct_shares(counts, confusion, job.classes),
        num_test=int(confusion.sum()),
        sheets=_make_sheets(chosen, listed, job),
    ).encode()
    write_durably(request.report, lambda file: file.write(page))


def _count_test(model: ServedModel) -> NDArray[np.int64]:
    """Return how often the model called its test galaxies what, (true, predicted)."""
    tested = read_test(model.folder, orientations=model.orientations)
    predicted = model.calibration.answer(tested.probabilities).decisive.argmax(axis=1)
    size = len(model.record.classes)
    return np.bincount(tested.labels * size + predicted, minlength=size**2).reshape(size, size)


def _make_sheets(
    chosen: Sequence[Extreme], listed: Sequence[Shard], job: Job
) -> dict[str, list[Sheet]]:
    galaxies: dict[Extreme, SheetGalaxy | None] = {}
    for number, group in groupby(sorted(chosen, key=lambda one: one.shard), lambda one: one.shard):
        rows = read_listing(listed[number])
        galaxies |= {one: _open(one, rows[one.row], job) for one in group}
    sheets: dict[str, list[Sheet]] = {}
    for name in dict.fromkeys(one.predicted for one in chosen):
        for kind in KINDS:
            own = [galaxies[one] for one in chosen if (one.predicted, one.kind) == (name, kind)]
            shown = [galaxy for galaxy in own if galaxy]
            if shown:
                sheets.setdefault(name, []).append(Sheet(f"The {kind}", shown))
    return sheets


def _open(one: Extreme, row: Row, job: Job) -> SheetGalaxy | None:
    """Return a galaxy as the network sees it; None if its image is gone since."""
    prepared = prepare_rows([row], job.sources, job.settings)
    note = f"{100 * one.probability:.0f} %, distance {one.distance:.1f}"
    return SheetGalaxy(row.id, prepared.pixels[0], note) if prepared.pixels else None
