"""The registered models: one name for each set of classes and kind of data, versions with aliases.

A version stands for one training that a run put forward. Its weights stay where they are, in the
model's artifact; tags hold the keys of artifacts, and the description is its card.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.storage.artifacts import Artifact, get, home

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHALLENGER = "challenger"
"""Alias of what the latest run put forward."""
KINDS = ("observed", "simulated")


@dataclass(frozen=True)
class Facts:
    """What a version is made of, as its tags hold it."""

    model: str
    """Key of the model's artifact."""
    evaluation: str
    """Key of the evaluation that put it forward."""
    sha256: str
    """Of its weights."""
    architecture: str
    release: str
    """Title of the release that it was trained on."""


@dataclass(frozen=True)
class Version:
    """A registered version of a model."""

    name: str
    number: int
    facts: Facts
    home: str
    """The GALAXY_HOME that holds its artifacts."""

    @property
    def title(self) -> str:
        """Name and number, for people."""
        return f"{self.name} version {self.number}"

    @property
    def model(self) -> Artifact:
        """The model's artifact; InputError if it is not below GALAXY_HOME."""
        return get("models", self.facts.model)

    @property
    def evaluation(self) -> Artifact:
        """The artifact of the evaluation; InputError if it is not below GALAXY_HOME."""
        return get("evaluations", self.facts.evaluation)


def kind_of(config: RunConfig) -> str:
    """Return the kind of the galaxies that a run is about, one of KINDS."""
    return KINDS[config.release == "simulated"]


def name_model(config: RunConfig, classes: Sequence[str]) -> str:
    """Return the name of models of these classes, on galaxies of the settings' kind.

    Models of other classes, or on simulated galaxies, never compete for being champion.
    """
    digest = hashlib.sha256("\n".join(sorted(classes)).encode()).hexdigest()[:8]
    return f"{kind_of(config)}-{len(classes)}-classes-{digest}"


def register(
    client: "MlflowClient", name: str, facts: Facts, *, classes: Sequence[str], card: str
) -> Version:
    """Return the version of these facts, registered if it is not yet, as the challenger.

    `classes` describe a new name, and `card` (Markdown) a new version.
    """
    if find_model(client, name) is None:
        client.create_registered_model(name, description=f"Classes: {', '.join(sorted(classes))}.")
    known = (one for one in list_versions(client, name) if one.facts == facts)
    version = next(known, None) or _read(
        client.create_model_version(
            name,
            source=f"galaxy-morphology:/models/{facts.model}",
            tags={**asdict(facts), "home": str(home())},
        )
    )
    # A process may have been killed between the two.
    client.update_model_version(name, str(version.number), description=card)
    client.set_registered_model_alias(name, CHALLENGER, str(version.number))
    return version


def list_names(client: "MlflowClient") -> list[str]:
    """Return the names of this project's models, sorted."""
    found, token = [], None
    while True:
        page = client.search_registered_models(page_token=token)
        found += [model.name for model in page]
        token = page.token
        if not token:
            return sorted(name for name in found if name.split("-")[0] in KINDS)


def list_versions(client: "MlflowClient", name: str) -> list[Version]:
    """Return the versions of a name, the newest first."""
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name='{name}'", page_token=token)
        found += [_read(version) for version in page]
        token = page.token
        if not token:
            return sorted(found, key=lambda one: one.number, reverse=True)


def find_model(client: "MlflowClient", name: str) -> "RegisteredModel | None":
    """Return what MLflow has of a name, with its tags and aliases; None if that is unknown."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        # The second: MLflow takes no name of this form.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def get_version(client: "MlflowClient", name: str, number: int) -> Version:
    """Return a version of a name; raise InputError if there is none of that number."""
    from mlflow.exceptions import MlflowException

    if find_model(client, name) is None:
        raise InputError(f"There is no model {name!r}. {say_names(client)}")
    try:
        return _read(client.get_model_version(name, str(number)))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    known = ", ".join(str(one.number) for one in reversed(list_versions(client, name))) or "none"
    raise InputError(f"There is no version {number} of {name!r}. Versions: {known}.")


def say_names(client: "MlflowClient") -> str:
    """Return a sentence with the names that there are."""
    return f"Models: {', '.join(list_names(client)) or 'none yet'}."


def _read(version: "ModelVersion") -> Version:
    tags = version.tags
    return Version(
        name=version.name,
        number=int(version.version),
        facts=Facts(**{name: tags.get(name, "") for name in Facts.__dataclass_fields__}),
        home=tags.get("home", ""),
    )
