"""Classifies a whole catalogue with a model: in shards, resumable, on all cores of this machine.

Beside the result, in the hidden folder `.NAME.work`, lie the plan, the listing and the finished
shards while it is made. The same command goes on from there.
"""

import contextlib
import itertools
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from joblib import cpu_count

from galaxy_tasks.acquisition.disk import name_disk_trouble
from galaxy_tasks.errors import InputError, show
from galaxy_tasks.formatting import shorten
from galaxy_tasks.images.progress import ImageProgress
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.images.summary import log_converted
from galaxy_tasks.pipeline.engine_choice import KERAS, choose_way
from galaxy_tasks.pipeline.export_champion import FAMILIARITY, NETWORK, export_model
from galaxy_tasks.prediction import catalogue, shards
from galaxy_tasks.prediction.calibration import Calibration, calibrate_model
from galaxy_tasks.prediction.classify import BATCH, Serving, cut_into_batches, prepare_rows
from galaxy_tasks.prediction.engines import Engine, Precision, RunNetwork, Way, name_version
from galaxy_tasks.prediction.familiarity import Familiarity
from galaxy_tasks.prediction.inputs import Inputs, TableSettings
from galaxy_tasks.prediction.listing import (
    Row,
    Shard,
    find_repeated_ids,
    read_listing,
    write_listing,
)
from galaxy_tasks.prediction.shards import ShardRecord
from galaxy_tasks.prediction.workers import Job, Outcome, prepare_beside, work_off
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json, write_json
from galaxy_tasks.storage.locks import hold_lock
from galaxy_tasks.surroundings import count_gpus
from galaxy_tasks.training.model_record import ModelRecord
from galaxy_tasks.training.saved_model import require_model

CATALOGUE_FORMAT = 1
SHARD_IMAGES = 20_000
_EVALUATION_SETTINGS = ("test_time_augmentation", "coverage")
_PLAN = "plan.json"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CatalogueRequest:
    """What is to be classified, with what, and where the result goes."""

    paths: Sequence[Path]
    """Images, folders, zips and tars of images, and tables that name them."""
    output: Path
    model: Path
    """Folder of a trained model."""
    title: str = ""
    """Name and version of a registered one."""
    evaluation: str = ""
    """Key of the evaluation by which it became champion, whose orientations and coverage count;
    else those of the model's newest evaluation do."""
    table: TableSettings = field(default_factory=TableSettings)
    engine: Engine | Literal["auto"] = "auto"
    precision: Precision | Literal["auto"] = "auto"
    features: Path | None = None
    """Parquet file for the features."""
    shard_images: int = SHARD_IMAGES
    workers: int = 0
    """Processes; 0: one for each core."""


@dataclass(frozen=True)
class _Model:
    """A model, opened for prediction."""

    folder: Path
    record: ModelRecord
    calibration: Calibration
    orientations: int
    export: Artifact | None
    way: Way


def predict_catalogue(request: CatalogueRequest) -> dict[str, Any]:
    """Write the catalogue; return its counts: rows, classified, classes, reasons and so on.

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
        listed = list(write_listing(inputs.iterate_rows(), work, shard_images=request.shard_images))
        total = _check_listing(listed, inputs, request, ImageSettings.from_config(record.config))
        plan = _make_plan(request, record, work)
        records = _predict_shards(listed, inputs, plan, request, work, total)
        summary = shards.sum_records(records)
        _write(request, plan, listed, records, summary, work)
    shutil.rmtree(work, ignore_errors=True)
    return summary


def _check_listing(
    listed: Sequence[Shard], inputs: Inputs, request: CatalogueRequest, settings: ImageSettings
) -> int:
    """Return the number of rows; raise InputError if none can be classified."""
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
    # A network takes seconds to load, or to export: there should be work for it.
    refused: list[str] = []
    for shard in listed:
        for rows in cut_into_batches(read_listing(shard)):
            for row in rows:
                reason = prepare_rows([row], inputs.sources, settings).refused[0]
                if not reason:
                    return total
                refused += [f"{show(row.path)}: {reason}"] if len(refused) < 3 else []
    more = f" and {total - len(refused):,} more" * (total > len(refused))
    raise InputError(
        f"No image can be classified. {'; '.join(refused)}{more}. Nothing is written. "
        "docs/images.md says what is read."
    )


@dataclass(frozen=True)
class _Plan:
    """All but the listing that determines a catalogue."""

    model: _Model
    made_from: dict[str, Any]
    created: str
    """When it was begun, in UTC as ISO 8601."""


def _make_plan(request: CatalogueRequest, record: ModelRecord, work: Path) -> _Plan:
    """Return the plan; that of an earlier attempt, if it was asked for the same."""
    settings = find_settings(request.model.name, record, request.evaluation)
    orientations = min(settings["test_time_augmentation"], record.orientations)
    calibration = calibrate_model(
        request.model, record, orientations=orientations, coverage=settings["coverage"]
    )
    asked = {
        "format": CATALOGUE_FORMAT,
        "model": request.model.name,
        "orientations": orientations,
        "coverage": settings["coverage"],
        "engine": request.engine,
        "precision": request.precision,
        "features": request.features is not None,
        "batch": BATCH,
    }
    known = read_json(work / _PLAN) if (work / _PLAN).is_file() else {}
    is_same = known.get("asked") == asked
    export, way = _open_export(request, record, Way(**known["way"]) if is_same else None)
    created = known["created"] if is_same else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    way_facts = {"engine": way.engine, "precision": way.precision}
    write_json(work / _PLAN, {"asked": asked, "way": way_facts, "created": created})
    model = _Model(request.model, record, calibration, orientations, export, way)
    return _Plan(model, {**asked, **way_facts, "version": name_version(way.engine)}, created)


def _open_export(
    request: CatalogueRequest, record: ModelRecord, known: Way | None
) -> tuple[Artifact | None, Way]:
    """Return the model's export, if there can be one, and how the network is run."""
    try:
        export = export_model(request.model)
    except InputError as error:
        if request.engine not in ("auto", "keras"):
            raise
        _logger.warning("Keras runs the network. %s", error)
        return None, KERAS
    if known:
        return export, known
    if request.engine == "keras" or (request.engine == "auto" and count_gpus()):
        return export, KERAS
    return export, choose_way(
        export,
        request.model,
        engine=request.engine,
        precision=request.precision,
        image_size_px=record.config.image_size_px,
    )


def find_settings(model_key: str, record: ModelRecord, evaluation: str) -> dict[str, Any]:
    """Return the settings of an evaluation, of the model's newest one, or of its own run."""
    found: list[dict[str, Any]] = []
    for artifact in artifacts.list_published("evaluations"):
        with contextlib.suppress(ValueError, KeyError, TypeError):  # damaged, or of another version
            if evaluation and artifact.key != evaluation:
                continue
            manifest = artifact.manifest
            if model_key in manifest["made_from"]["models"]:
                of_run = {name: manifest["made_from"][name] for name in _EVALUATION_SETTINGS}
                found.append({"published": manifest["published"], **of_run})
    if not found:
        return {name: getattr(record.config, name) for name in _EVALUATION_SETTINGS}
    return max(found, key=lambda one: one["published"])


def _predict_shards(
    listed: Sequence[Shard],
    inputs: Inputs,
    plan: _Plan,
    request: CatalogueRequest,
    work: Path,
    total: int,
) -> list[ShardRecord]:
    """Predict the shards that are not finished; return the records of all."""
    records: dict[int, ShardRecord] = {}
    missing, num_stale = [], 0
    for shard in listed:
        rows = read_listing(shard)
        key = _name_shard_key(plan, shard)
        if found := shards.find_finished(work, shard, rows, inputs.sources, made_from=key):
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
        progress = ImageProgress(total, done_before=done)
        for record, number in _run(missing, inputs, plan, request, work, progress):
            records[number] = record
    return [records[shard.number] for shard in listed]


def _name_shard_key(plan: _Plan, shard: Shard) -> str:
    return artifacts.key_of({**plan.made_from, "listing": shard.digest})


def _run(
    missing: Sequence[Shard],
    inputs: Inputs,
    plan: _Plan,
    request: CatalogueRequest,
    work: Path,
    progress: ImageProgress,
) -> Iterator[tuple[ShardRecord, int]]:
    """Predict shards; yield the record of each as it is written, and its number."""
    job = make_job(plan.model, inputs.sources, has_features=request.features is not None)
    workers = request.workers or cpu_count()
    _log_start(plan.model, workers)
    opened: list[tuple[Shard, list[Row], str, int]] = []

    def iterate_batches() -> Iterator[Sequence[Row]]:
        for shard in missing:
            rows = read_listing(shard)
            stamp = shards.stamp_images(rows, inputs.sources)
            batches = list(cut_into_batches(rows))
            opened.append((shard, rows, stamp, len(batches)))
            yield from batches

    outcomes = _start(plan.model, job, iterate_batches(), workers=workers)
    for _ in missing:
        first = next(outcomes)  # whose reading has opened the shard
        shard, rows, stamp, num_batches = opened.pop(0)
        own = [first]
        progress.add(len(first.refused))
        for outcome in itertools.islice(outcomes, num_batches - 1):
            own.append(outcome)
            progress.add(len(outcome.refused))
        record = shards.write_shard(
            work,
            shard,
            rows,
            own,
            made_from=_name_shard_key(plan, shard),
            images=stamp,
            classes=plan.model.record.classes,
        )
        yield record, shard.number


def _start(
    model: _Model, job: Job, batches: Iterator[Sequence[Row]], *, workers: int
) -> Iterator[Outcome]:
    if model.way.engine != "keras":
        return work_off(batches, job, workers=workers)
    return prepare_beside(batches, job, _open_keras(model), workers=workers)


def _open_keras(model: _Model) -> RunNetwork:
    from galaxy_tasks.prediction.export import build_served
    from galaxy_tasks.prediction.keras_network import open_keras
    from galaxy_tasks.training.device import set_up_device
    from galaxy_tasks.training.saved_model import load_classifier

    device = set_up_device(model.record.config)
    _logger.info("Keras runs on %s.", device.describe())
    return open_keras(build_served(load_classifier(model.folder)))


def make_job(model: _Model, sources: Sequence[Path], *, has_features: bool) -> Job:
    """Return what a process needs to classify any batch of these sources."""
    familiarity = None
    network, sha256 = Path(), ""
    if model.export:
        network = model.export.path / NETWORK
        sha256 = model.export.manifest["files"][NETWORK]["sha256"]
        if (path := model.export.path / FAMILIARITY).is_file():
            familiarity = Familiarity.read(path)
    serving = Serving(model.calibration, familiarity, model.orientations, has_features)
    settings = ImageSettings.from_config(model.record.config)
    return Job(tuple(sources), settings, model.way, network, sha256, serving, model.record.classes)


def _log_start(model: _Model, workers: int) -> None:
    calibration = model.calibration
    _logger.info(
        "Classifying with %s in %d process(es), averaged over %d orientations; calibrated on %s "
        "galaxies; sets of classes are meant to hold the true one %g %% of the time",
        *(model.way, workers, model.orientations, f"{calibration.num_galaxies:,}"),
        100 * calibration.coverage,
    )
    if "simulated" in [part.release for part in model.record.config.parts()]:
        _logger.warning(
            "This model was trained on SIMULATED galaxies. It shows how predictions are made; what "
            "it says of real galaxies means nothing."
        )


def _write(
    request: CatalogueRequest,
    plan: _Plan,
    listed: Sequence[Shard],
    records: Sequence[ShardRecord],
    summary: dict[str, Any],
    work: Path,
) -> None:
    """Put the finished shards together."""
    if not summary["classified"]:
        raise InputError(
            f"No image can be classified. {shards.describe_refused(records)}. Nothing is written. "
            "docs/images.md says what is read."
        )
    log_converted(summary["converted"])
    metadata = {**_describe(request, plan), "counts": summary}
    record = plan.model.record
    widths = {name: max(one.widths[name] for one in records) for name in records[0].widths}
    contents = catalogue.Contents(
        catalogue.list_columns(record.classes, plan.model.calibration.coverage),
        metadata,
        summary["rows"],
        widths,
        lambda: catalogue.read_in_order(shards.name_table(work, shard) for shard in listed),
    )
    catalogue.write_catalogue(request.output, contents)
    if request.features:
        paths = (shards.name_features(work, shard) for shard in listed)
        tables = catalogue.read_in_order(path for path in paths if path.exists())
        catalogue.write_features(request.features, tables, metadata)


def _describe(request: CatalogueRequest, plan: _Plan) -> dict[str, Any]:
    """Return what a reader of the catalogue needs to know of its making."""
    model = plan.model
    return {
        "model": request.title or request.model.name,
        "model_key": request.model.name,
        "architecture": model.record.architecture,
        "trained_on": " + ".join(part.release for part in model.record.config.parts()),
        "classes": list(model.record.classes),
        "coverage": model.calibration.coverage,
        "orientations": model.orientations,
        "engine": str(model.way),
        "evaluation": request.evaluation,
        "code_version": artifacts.code_version(),
        "created": plan.created,
        "card": _read_card(request.evaluation),
    }


def _read_card(evaluation: str) -> str:
    from galaxy_tasks.registry.files import MODEL_CARD

    path = artifacts.home() / "evaluations" / evaluation / MODEL_CARD
    return path.read_text(encoding="utf-8") if evaluation and path.is_file() else ""
