"""Classifies a whole catalogue with a model: in shards, resumable, on all cores or a Spark cluster.

Beside the result, in the hidden folder `.NAME.work`, lie the plan, the listing and the finished
shards while it is made. The same request goes on from there.
"""

import contextlib
import itertools
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from joblib import cpu_count

from galaxy_tasks.acquisition.disk import name_disk_trouble
from galaxy_tasks.errors import InputError, show
from galaxy_tasks.formatting import shorten
from galaxy_tasks.images.progress import ImageProgress
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.images.summary import log_converted
from galaxy_tasks.pipeline.catalogue_plan import (
    CataloguePlan,
    CatalogueRequest,
    describe_making,
    make_job,
    make_plan,
    open_keras_network,
)
from galaxy_tasks.prediction import catalogue, shards
from galaxy_tasks.prediction.classify import cut_into_batches, prepare_rows
from galaxy_tasks.prediction.inputs import Inputs
from galaxy_tasks.prediction.listing import (
    Row,
    Shard,
    find_repeated_ids,
    read_listing,
    write_listing,
)
from galaxy_tasks.prediction.shards import ShardRecord
from galaxy_tasks.prediction.workers import Job, Outcome, prepare_beside, work_off
from galaxy_tasks.storage.locks import hold_lock
from galaxy_tasks.training.saved_model import require_model

_EXAMPLES = 3
_logger = logging.getLogger(__name__)

RunShards = Callable[
    [Sequence[Shard], CataloguePlan, Job, Path, ImageProgress], Iterator[ShardRecord]
]
"""Predicts shards, writes them into the folder, and yields their records in the same order."""


def run_prediction(**request: Any) -> dict[str, Any]:
    """Write a catalogue, as `predict_catalogue` does; the request is JSON."""
    return predict_catalogue(CatalogueRequest.from_json(request))


def predict_catalogue(request: CatalogueRequest, run: RunShards | None = None) -> dict[str, Any]:
    """Write the catalogue; return its counts: rows, classified, classes, reasons and so on.

    Args:
        request: what is asked for.
        run: where shards are predicted; None: in processes of this machine.

    Raises:
        InputError: an input does not exist or is damaged, there is no image that can be classified,
            the model's folder holds no whole model, or it cannot run as asked.
        ResourceError: the disk is full, memory is too small, or another process writes the same.
    """
    catalogue.require_suffix(request.output)
    record = require_model(request.model)
    work = request.output.absolute().with_name(f".{request.output.name}.work")
    with name_disk_trouble(work), hold_lock(work / "lock", timeout_s=0):
        inputs = Inputs(request.paths, request.table, work)
        with _leave_nothing_begun(work):
            rows = inputs.iterate_rows()
            listed = list(write_listing(rows, work, shard_images=request.shard_images))
            _check_listing(listed, inputs, request, ImageSettings.from_config(record.config))
            plan = make_plan(request, record, work)
        job = make_job(plan.model, inputs.sources, has_features=request.features is not None)
        run = run or _make_local_run(request)
        records = _predict_shards(listed, plan, job, work, run)
        summary = _write(request, plan, job, listed, records, work)
    shutil.rmtree(work, ignore_errors=True)
    return summary


@contextlib.contextmanager
def _leave_nothing_begun(work: Path) -> Iterator[None]:
    """Remove the folder where wrong input ends the request and no shard was finished."""
    try:
        yield
    except InputError:
        if not any(work.glob("shard-*")):
            shutil.rmtree(work, ignore_errors=True)
        raise


def _check_listing(
    listed: Sequence[Shard], inputs: Inputs, request: CatalogueRequest, settings: ImageSettings
) -> None:
    """Raise InputError if no image can be classified, or they are too many for the format."""
    total = sum(shard.num_rows for shard in listed)
    if not total:
        raise InputError(f"There is no image to classify in {shorten(map(str, request.paths))}.")
    catalogue.require_few_enough(request.output, total)
    count, examples = find_repeated_ids(listed)
    if count:
        _logger.warning(
            "%s ids occur more than once (%s): the column 'path' tells their rows apart.",
            *(f"{count:,}", shorten(map(show, examples))),
        )
    # A network takes seconds to load, or minutes to export: there should be work for it.
    refused: list[str] = []
    for row in itertools.chain.from_iterable(map(read_listing, listed)):
        reason = prepare_rows([row], inputs.sources, settings).refused[0]
        if not reason:
            return
        refused += [f"{show(row.path)}: {reason}"] if len(refused) < _EXAMPLES else []
    more = f" and {total - len(refused):,} more" * (total > len(refused))
    raise InputError(
        f"No image can be classified. {'; '.join(refused)}{more}. Nothing is written. "
        "docs/images.md says what is read."
    )


def _predict_shards(
    listed: Sequence[Shard], plan: CataloguePlan, job: Job, work: Path, run: RunShards
) -> list[ShardRecord]:
    """Predict the shards that are not finished; return the records of all."""
    records: dict[int, ShardRecord] = {}
    missing, num_stale = [], 0
    for shard in listed:
        key = plan.key_of(shard)
        if found := shards.find_finished(work, shard, job.sources, made_from=key):
            records[shard.number] = found
        else:
            missing.append(shard)
            num_stale += shards.was_begun(work, shard)
    done = sum(record.rows for record in records.values())
    if done:
        _logger.info("%s images were classified before.", f"{done:,}")
    if num_stale:
        _logger.warning(
            "%s shards are made again: the model, the images or the table have changed since.",
            f"{num_stale:,}",
        )
    if missing:
        _log_start(plan)
        progress = ImageProgress(sum(shard.num_rows for shard in listed), done_before=done)
        for shard, record in zip(missing, run(missing, plan, job, work, progress), strict=True):
            records[shard.number] = record
    return [records[shard.number] for shard in listed]


def _log_start(plan: CataloguePlan) -> None:
    model, calibration = plan.model, plan.model.calibration
    _logger.info(
        "Classifying with %s, averaged over %d orientations; calibrated on %s galaxies; sets of "
        "classes are meant to hold the true one %g %% of the time",
        *(model.way, model.orientations, f"{calibration.num_galaxies:,}"),
        100 * calibration.coverage,
    )
    if "simulated" in [part.release for part in model.record.config.parts()]:
        _logger.warning(
            "This model was trained on SIMULATED galaxies. It shows how predictions are made; what "
            "it says of real galaxies means nothing."
        )


def _make_local_run(request: CatalogueRequest) -> RunShards:
    """Return what predicts shards in processes of this machine."""
    workers = request.workers or cpu_count()

    def run(
        missing: Sequence[Shard],
        plan: CataloguePlan,
        job: Job,
        work: Path,
        progress: ImageProgress,
    ) -> Iterator[ShardRecord]:
        _logger.info("%d process(es)", workers)
        opened: list[tuple[list[Row], str, int]] = []
        outcomes = _start(plan, job, _iterate_batches(missing, job, opened), workers=workers)
        for shard in missing:
            own = [next(outcomes)]  # by which the shard is opened
            rows, stamp, num_batches = opened.pop(0)
            progress.add(len(own[0].refused))
            for outcome in itertools.islice(outcomes, num_batches - 1):
                own.append(outcome)
                progress.add(len(outcome.refused))
            named = {"classes": job.classes, "answers": job.answers}
            made_from = plan.key_of(shard)
            yield shards.write_shard(
                work, shard, rows, own, made_from=made_from, images=stamp, **named
            )

    return run


def _iterate_batches(
    missing: Sequence[Shard], job: Job, opened: list[tuple[list[Row], str, int]]
) -> Iterator[Sequence[Row]]:
    """Yield the batches of all shards; add rows, stamp and number of batches of each begun."""
    for shard in missing:
        rows = read_listing(shard)
        batches = list(cut_into_batches(rows))
        opened.append((rows, shards.stamp_images(rows, job.sources), len(batches)))
        yield from batches


def _start(
    plan: CataloguePlan, job: Job, batches: Iterator[Sequence[Row]], *, workers: int
) -> Iterator[Outcome]:
    if job.way.engine != "keras":
        return work_off(batches, job, workers=workers)
    return prepare_beside(batches, job, open_keras_network(plan.model), workers=workers)


def _write(
    request: CatalogueRequest,
    plan: CataloguePlan,
    job: Job,
    listed: Sequence[Shard],
    records: Sequence[ShardRecord],
    work: Path,
) -> dict[str, Any]:
    """Put the finished shards together; return the counts."""
    summary = shards.sum_records(records)
    if not summary["classified"]:
        raise InputError(
            f"No image can be classified. {shards.describe_refused(records)}. Nothing is written. "
            "docs/images.md says what is read."
        )
    log_converted(summary["converted"])
    metadata = {**describe_making(request, plan), "counts": summary}

    def read_shards() -> Iterator[Any]:
        return catalogue.read_in_order(shards.name_table(work, shard) for shard in listed)

    contents = catalogue.Contents(
        catalogue.list_columns(job.classes, plan.model.calibration.coverage, job.answers),
        metadata,
        summary["rows"],
        {name: max(one.widths[name] for one in records) for name in records[0].widths},
        read_shards,
    )
    catalogue.write_catalogue(request.output, contents)
    if request.features:
        both = zip(listed, records, strict=True)
        paths = (shards.name_features(work, s) for s, record in both if record.features_sha256)
        tables = catalogue.read_in_order(paths)
        catalogue.write_features(request.features, tables, metadata)
    if request.report:
        from galaxy_tasks.pipeline.catalogue_report import write_report  # a second to load

        write_report(request, plan.model, job, metadata, listed, read_shards)
    return summary
