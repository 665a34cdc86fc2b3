"""The models that a network started from, each from the one before, and what they learned from.

`start_from` of settings that a run works with is the key of a model below the same home, or the
folder of one below another: `pipeline.pin_start` puts that in the place of a name.
"""

from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.model_record import ModelRecord, read_record


@dataclass(frozen=True)
class Ancestor:
    """A model that another started from."""

    model: Artifact
    images: Artifact
    labels: Artifact
    """Its galaxies, with their splits."""
    record: ModelRecord

    @property
    def title(self) -> str:
        """Network, key and galaxies, in words."""
        record = self.record
        return (
            f"{record.architecture} {self.model.key}, trained on {record.num_training:,} galaxies "
            f"of {record.config.release_title}"
        )


def trace_ancestors(config: RunConfig) -> list[Ancestor]:
    """Return the models that a run of these settings starts from, the latest first.

    Raises:
        InputError: a model, or what it learned from, is not there any more.
    """
    found, start, place = [], config.start_from, artifacts.home()
    while start:
        folder = find_folder(start, place)
        ancestor = _open(folder)
        found.append(ancestor)
        start, place = ancestor.record.config.start_from, folder.parent.parent
    return found


def trace_related(config: RunConfig) -> list[Ancestor]:
    """Return those of the ancestors that may know a galaxy of the run: of its own kind.

    Observed galaxies are not among simulated ones, whatever their positions.
    """
    is_simulated = config.release == "simulated"
    return [
        ancestor
        for ancestor in trace_ancestors(config)
        if (ancestor.record.config.release == "simulated") == is_simulated
    ]


def find_folder(start: str, place: Path) -> Path:
    """Return the folder of a model that a run below the home `place` starts from."""
    return place / "models" / start  # an absolute path stays what it is


def _open(folder: Path) -> Ancestor:
    place = folder.parent.parent
    try:
        record = read_record(folder)
        model = artifacts.get("models", folder.name, place=place)
        images = artifacts.get("images", model.manifest["made_from"]["images"], place=place)
        labels = artifacts.get("labels", images.manifest["summary"]["labels"], place=place)
    except InputError as error:
        raise InputError(
            f"Which galaxies {folder} learned from is unknown, and they must not come into a test: "
            f"{error}"
        ) from None
    return Ancestor(model, images, labels, record)
