"""Exports a model for the programs that run it without Keras, and checks that they say the same.

The artifact has:

model.onnx             see `prediction.export`
check.json             how much the exported network's answers differ from Keras' own
rows.npy               (n,) rows of the prepared images that it was checked on
probabilities.npy      (n, classes) float32 that Keras gives these, for other machines' checks
familiarity.npz        see `prediction.familiarity`; absent from few galaxies
"""

import functools
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from galaxy_tasks.errors import InputError
from galaxy_tasks.formatting import format_signed
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.prediction.classify import BATCH
from galaxy_tasks.prediction.engines import RunNetwork, Way, list_ways, open_network
from galaxy_tasks.prediction.export import build_served, write_onnx
from galaxy_tasks.prediction.familiarity import describe_features
from galaxy_tasks.prediction.keras_network import open_keras
from galaxy_tasks.registry.champions import require_champion
from galaxy_tasks.registry.files import MODEL_CARD
from galaxy_tasks.registry.models import Version
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json, write_json
from galaxy_tasks.training.device import set_up_device
from galaxy_tasks.training.saved_model import load_classifier, require_model
from galaxy_tasks.training.vote_head import VoteHead, find_probabilities, read_vote_head

if TYPE_CHECKING:
    from mlflow import MlflowClient

NETWORK, CHECK, FAMILIARITY = "model.onnx", "check.json", "familiarity.npz"
CHECKED_IMAGES = 3000
LEAST_AGREEMENT = 0.999
_ROWS, _PROBABILITIES = "rows.npy", "probabilities.npy"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Check:
    """How a way to run a network compares with Keras in float32, on prepared images."""

    way: str
    num_images: int
    agreement: float
    """Share of images that are called the same class."""
    largest_difference: float
    """Of any probability."""
    calibration_error_shift: float
    """By how much the expected calibration error is larger."""

    @property
    def is_good(self) -> bool:
        """Whether the way may be used."""
        return self.agreement >= LEAST_AGREEMENT

    def describe(self) -> str:
        """Return it as a sentence."""
        return (
            f"{self.way} calls {self.agreement:.2%} of {self.num_images:,} images what Keras does; "
            f"probabilities differ by {self.largest_difference:.1g} at most, the calibration error "
            f"by {format_signed(self.calibration_error_shift, 4)}."
        )


def export_champion(model: str = "") -> dict[str, str]:
    """Export the champion of a model's name ('' for the only one), unless it is.

    The result has what `CatalogueRequest` needs to know of it: model (its folder), title and
    evaluation; and export, the folder of the export.

    Raises:
        InputError: there is no such champion, its artifact is gone or was changed, or Keras does
            not run on TensorFlow.
        ResourceError: the registry does not answer.
    """
    with open_store() as client:
        champion = require_champion(client, model)
    export = export_model(champion.model.path)
    with open_store() as client:
        _add_to_card(client, champion, export)
    return {
        "model": str(champion.model.path),
        "title": champion.title,
        "evaluation": champion.facts.evaluation,
        "export": str(export.path),
    }


def _add_to_card(client: "MlflowClient", champion: Version, export: Artifact) -> None:
    """Write into the registered version's card how the export compares with Keras."""
    card = (champion.evaluation.path / MODEL_CARD).read_text(encoding="utf-8")
    checks = " ".join(Check(**check).describe() for check in read_json(export.path / CHECK))
    client.update_model_version(
        champion.name, str(champion.number), description=f"{card}\n## Export\n\n{checks}\n"
    )


def open_export(model: Path) -> Artifact:
    """Return the export of the model in a folder, made in a process of its own if it is not there.

    That process takes Keras' memory, and its hold of a GPU, with it.

    Raises:
        InputError: the model is gone or was changed, or cannot be exported here.
    """
    known = artifacts.find("exports", cache_keys.export_made_from(model.name))
    return known or Artifact.from_reference(run_step("export_folder", model=str(model)))


def export_folder(model: str) -> dict[str, str]:
    """Export the model in a folder, unless it is; return the reference of the export."""
    return export_model(Path(model)).as_reference()


def export_model(folder: Path) -> Artifact:
    """Export the model in a folder, unless it is; return the export."""
    record = require_model(folder)
    with artifacts.open_draft("exports", cache_keys.export_made_from(folder.name)) as draft:
        if draft.published:
            return draft.published
        draft.clear()
        set_up_device(record.config)
        served = build_served(load_classifier(folder))
        write_onnx(served, draft.path / NETWORK)
        summary = _check_export(draft.path, folder, open_keras(served))
        return draft.publish(summary)


def _check_export(folder: Path, model: Path, keras_network: RunNetwork) -> dict[str, Any]:
    """Write what Keras says of prepared images, and how ONNX differs from that."""
    galaxies = find_prepared(model)
    if galaxies is None:
        raise InputError(
            f"The prepared images of the model {model} are gone, so an export of it cannot be "
            "checked. Run the workflow again with its settings: that prepares them."
        )
    rows = np.linspace(0, len(galaxies.labels) - 1, CHECKED_IMAGES).astype(int)
    rows = np.unique(rows)
    logits, features = _run(keras_network, galaxies.pixels, rows)
    np.save(folder / _ROWS, rows)
    np.save(folder / _PROBABILITIES, find_probabilities(logits, galaxies.votes))
    is_learned = galaxies.is_training[rows]
    if familiarity := describe_features(features[is_learned], features[~is_learned]):
        familiarity.write(folder / FAMILIARITY)
    ways = [way for way in list_ways() if way.engine == "onnxruntime"]
    checks = [check_way(way, folder, galaxies) for way in ways]
    for check in checks:
        _logger.info("%s", check.describe())
    write_json(folder / CHECK, [asdict(check) for check in checks])
    return {"checks": [asdict(check) for check in checks], "has_familiarity": bool(familiarity)}


@dataclass(frozen=True)
class PreparedGalaxies:
    """The images that a model's run has prepared."""

    pixels: NDArray[np.uint8]
    """(galaxies, size, size, 3), in a file."""
    labels: NDArray[np.int64]
    is_training: NDArray[np.bool_]
    votes: VoteHead | None
    """What the outputs of the model mean where it learned votes."""


def find_prepared(model: Path) -> PreparedGalaxies | None:
    """Return the prepared images of the run that trained a model; None if they are gone.

    They are below the home that the model is in, or below this one where its folder is a copy.
    """
    key = Artifact("models", model.name, model).manifest["made_from"].get("images") or ""
    for place in (model.resolve().parent.parent, artifacts.home()):
        try:
            images = artifacts.get("images", key, place=place)
            break
        except InputError:
            continue
    else:
        return None
    manifest = pd.read_parquet(images.path / "manifest.parquet", columns=["label_index", "split"])
    return PreparedGalaxies(
        np.load(images.path / "images.npy", mmap_mode="r"),
        manifest["label_index"].to_numpy(),
        (manifest["split"] == "train").to_numpy(),
        read_vote_head(model),
    )


def check_way(way: Way, export: Path, galaxies: PreparedGalaxies) -> Check:
    """Return how a way to run the exported network compares with Keras on the same images."""
    return check_network(str(way), open_network(way, export / NETWORK), export, galaxies)


def check_network(
    name: str, network: RunNetwork, export: Path, galaxies: PreparedGalaxies
) -> Check:
    """Return how a network, of whatever program, compares with what the export says of Keras."""
    from galaxy_tasks.evaluation.reliability import measure_calibration_error  # a second to load

    rows, expected = np.load(export / _ROWS), np.load(export / _PROBABILITIES)
    logits, _ = _run(network, galaxies.pixels, rows)
    received = find_probabilities(logits, galaxies.votes)
    error = functools.partial(measure_calibration_error, labels=galaxies.labels[rows])
    return Check(
        way=name,
        num_images=len(rows),
        agreement=float((received.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        largest_difference=float(np.abs(received - expected).max()),
        calibration_error_shift=error(received) - error(expected),
    )


def _run(
    network: RunNetwork, pixels: NDArray[np.uint8], rows: Sequence[int] | NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    outputs = [
        network(np.ascontiguousarray(pixels[rows[first : first + BATCH]]))
        for first in range(0, len(rows), BATCH)
    ]
    logits, features = zip(*outputs, strict=True)
    return np.concatenate(logits), np.concatenate(features)
