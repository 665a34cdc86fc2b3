"""What a catalogue is made by: which model, run how, asked what; and who is to know of it."""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from galaxy_tasks.errors import InputError
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.pipeline.engine_choice import KERAS, choose_way
from galaxy_tasks.pipeline.export_champion import FAMILIARITY, NETWORK, open_export
from galaxy_tasks.prediction.calibration import Calibration
from galaxy_tasks.prediction.calibration_fit import calibrate_model
from galaxy_tasks.prediction.classify import BATCH, Serving
from galaxy_tasks.prediction.engines import (
    Engine,
    Precision,
    RunNetwork,
    Way,
    list_ways,
)
from galaxy_tasks.prediction.familiarity import Familiarity
from galaxy_tasks.prediction.inputs import TableSettings
from galaxy_tasks.prediction.listing import Shard
from galaxy_tasks.prediction.workers import Job
from galaxy_tasks.registry.files import MODEL_CARD
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json, write_json
from galaxy_tasks.surroundings import count_gpus
from galaxy_tasks.training.model_record import ModelRecord
from galaxy_tasks.training.vote_head import read_vote_head

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
    images: Path | None = None
    """Folder, zip or tar with the images that a table names."""
    id_column: str = ""
    path_column: str = ""
    image_name_pattern: str = ""
    """Path among the images, with '{id}' for the id."""
    engine: Engine | Literal["auto"] = "auto"
    precision: Precision | Literal["auto"] = "auto"
    features: Path | None = None
    """Parquet file for the features."""
    shard_images: int = SHARD_IMAGES
    workers: int = 0
    """Processes; 0: one for each core."""
    report: Path | None = None
    """HTML file for counts, shares of the classes and example galaxies."""

    @property
    def table(self) -> TableSettings:
        """How tables lead to images."""
        return TableSettings(self.id_column, self.path_column, self.images, self.image_name_pattern)

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> "CatalogueRequest":
        """Return the request of a JSON form, in which paths are texts."""
        names = ("output", "model", "features", "report", "images")
        files = {name: Path(form[name]) for name in names if form.get(name)}
        return cls(**{**form, **files, "paths": tuple(Path(path) for path in form["paths"])})


@dataclass(frozen=True)
class ServedModel:
    """A model, opened for prediction."""

    folder: Path
    record: ModelRecord
    calibration: Calibration
    orientations: int
    export: Artifact | None
    way: Way


@dataclass(frozen=True)
class CataloguePlan:
    """All but the listing that determines a catalogue."""

    model: ServedModel
    made_from: dict[str, Any]
    created: str
    """When it was begun, in UTC as ISO 8601."""

    def key_of(self, shard: Shard) -> str:
        """Return the key of all that determines a shard, but for its images' content."""
        return artifacts.key_of({**self.made_from, "listing": shard.digest})


def make_plan(request: CatalogueRequest, record: ModelRecord, work: Path) -> CataloguePlan:
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
    model = ServedModel(request.model, record, calibration, orientations, export, way)
    return CataloguePlan(model, {**asked, **way_facts, "version": version(way.engine)}, created)


def _open_export(
    request: CatalogueRequest, record: ModelRecord, known: Way | None
) -> tuple[Artifact | None, Way]:
    """Return the model's export, if there can be one, and how the network is run."""
    try:
        export = open_export(request.model)
    except InputError as error:
        if request.engine not in ("auto", "keras"):
            raise
        _logger.warning("Keras runs the network. %s", error)
        return None, KERAS
    if known in [KERAS, *list_ways()]:  # as it was begun, if this machine still can
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


def make_job(model: ServedModel, sources: Sequence[Path], *, has_features: bool) -> Job:
    """Return what a process needs to classify any batch of these sources."""
    familiarity = None
    network, sha256 = Path(), ""
    if model.export:
        network = model.export.path / NETWORK
        sha256 = model.export.manifest["files"][NETWORK]["sha256"]
        if (path := model.export.path / FAMILIARITY).is_file():
            familiarity = Familiarity.read(path)
    serving = Serving(
        model.calibration,
        familiarity,
        model.orientations,
        has_features,
        read_vote_head(model.folder),
        model.record.config.target != "fractions",
    )
    settings = ImageSettings.from_config(model.record.config)
    return Job(tuple(sources), settings, model.way, network, sha256, serving, model.record.classes)


def open_keras_network(model: ServedModel) -> RunNetwork:
    """Load the model in this process, and return what runs it there."""
    from galaxy_tasks.prediction.export import build_served
    from galaxy_tasks.prediction.keras_network import open_keras
    from galaxy_tasks.training.device import set_up_device
    from galaxy_tasks.training.saved_model import load_classifier

    device = set_up_device(model.record.config)
    _logger.info("Keras runs on %s.", device.describe())
    return open_keras(build_served(load_classifier(model.folder)))


def describe_making(request: CatalogueRequest, plan: CataloguePlan) -> dict[str, Any]:
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
    path = artifacts.home() / "evaluations" / evaluation / MODEL_CARD
    return path.read_text(encoding="utf-8") if evaluation and path.is_file() else ""
