"""The registered models: one name for each set of classes and kind of data, versions with aliases.

A version stands for one training that a run put forward. Its weights stay where they are, in the
model's artifact; tags hold the keys of artifacts, and the description is its card. Of each name one
version at most is the champion. It knows which version it took over from, so that the line of
champions can be walked back.
"""

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.storage.artifacts import Artifact, get

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"
"""Aliases: what is recommended now, and what the latest run put forward."""
_logger = logging.getLogger(__name__)


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
    promoted: str
    """When it last became champion, in UTC as ISO 8601; '' if it never was."""
    replaced: int | None
    """Number of the version that was the champion before it; None for the first."""
    reason: str
    """Why it became champion."""
    approver: str
    """Who let it; '' where nobody was asked."""

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
    """Return the kind of the galaxies that a run is about: 'simulated' or 'observed'."""
    return "simulated" if config.release == "simulated" else "observed"


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
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name, description=f"Classes: {', '.join(sorted(classes))}.")
    known = (one for one in list_versions(client, name) if one.facts == facts)
    version = next(known, None) or _read(
        client.create_model_version(
            name, source=f"galaxy-morphology:/models/{facts.model}", tags=asdict(facts)
        )
    )
    # A process may have been killed between the two.
    client.update_model_version(name, str(version.number), description=card)
    client.set_registered_model_alias(name, CHALLENGER, str(version.number))
    return version


def promote(
    client: "MlflowClient", version: Version, *, reason: str, approver: str = ""
) -> Version:
    """Make a version the champion of its name and return it as it is now.

    The alias changes in one step: whoever is killed meanwhile leaves the champion of before or this
    one, and calling again ends what was begun.

    Raises:
        InputError: the model's artifact is gone or was changed.
    """
    before = find_champion(client, version.name)
    if before is None or before.number != version.number:
        _tag(
            client,
            version,
            replaced=str(before.number) if before else "",
            reason=reason,
            approver=approver,
        )
        _crown(client, version)
    elif version.promoted:
        return version
    _tag(client, version, promoted=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    return get_version(client, version.name, version.number)


def _tag(client: "MlflowClient", version: Version, **tags: str) -> None:
    for tag, value in tags.items():
        client.set_model_version_tag(version.name, str(version.number), tag, value)


def roll_back(client: "MlflowClient", name: str) -> Version:
    """Make the champion's predecessor the champion again, and return it.

    Raises:
        InputError: there is no champion, or none before it.
    """
    champion = find_champion(client, name)
    if champion is None:
        raise InputError(f"{name} has no champion. {_list_names(client)}")
    if champion.replaced is None:
        raise InputError(f"{champion.title} is the first champion: there is none to go back to.")
    before = get_version(client, name, champion.replaced)
    _crown(client, before)
    return before


def _crown(client: "MlflowClient", version: Version) -> None:
    """Set the alias, once it is sure that what it is for is whole."""
    from galaxy_tasks.training.saved_model import require_model

    require_model(version.model.path)
    client.set_registered_model_alias(version.name, CHAMPION, str(version.number))
    _logger.info("Champion: %s, %s.", version.title, version.facts.architecture)


def find_champion(
    client: "MlflowClient", name: str, *, before: str | None = None
) -> Version | None:
    """Return the champion of a name; with `before` (ISO 8601) the one that was it then.

    What was rolled back does not count as having been champion.
    """
    line = walk_champions(client, name)
    return next((one for one in line if before is None or one.promoted < before), None)


def walk_champions(client: "MlflowClient", name: str) -> Iterator[Version]:
    """Yield the champion of a name, the one before it and so on."""
    number = _find_alias(client, name, CHAMPION)
    seen: set[int] = set()
    while number is not None and number not in seen:
        seen.add(number)
        version = get_version(client, name, number)
        yield version
        number = version.replaced


def find_newest_champion(
    client: "MlflowClient", kind: str, *, before: str | None = None
) -> Version | None:
    """Return the champion that was promoted last of all classes, by `kind_of`; else as before."""
    found = (
        find_champion(client, name, before=before)
        for name in list_names(client)
        if name.startswith(f"{kind}-")
    )
    return max((one for one in found if one), key=lambda one: one.promoted, default=None)


def list_names(client: "MlflowClient") -> list[str]:
    """Return the names of all models, sorted."""
    found, token = [], None
    while True:
        page = client.search_registered_models(page_token=token)
        found += [model.name for model in page]
        token = page.token
        if not token:
            return sorted(found)


def list_versions(client: "MlflowClient", name: str) -> list[Version]:
    """Return the versions of a name, the newest first."""
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name='{name}'", page_token=token)
        found += [_read(version) for version in page]
        token = page.token
        if not token:
            return sorted(found, key=lambda one: one.number, reverse=True)


def get_version(client: "MlflowClient", name: str, number: int) -> Version:
    """Return a version of a name; raise InputError if there is none of that number."""
    found = {one.number: one for one in list_versions(client, name)}
    if number not in found:
        known = ", ".join(map(str, sorted(found))) or "none"
        raise InputError(
            f"There is no version {number} of {name!r}. Versions: {known}. {_list_names(client)}"
        )
    return found[number]


def _list_names(client: "MlflowClient") -> str:
    return f"Models: {', '.join(list_names(client)) or 'none yet'}."


def _find_alias(client: "MlflowClient", name: str, alias: str) -> int | None:
    from mlflow.exceptions import MlflowException

    try:
        number = client.get_registered_model(name).aliases.get(alias)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return None if number is None else int(number)


def _read(version: "ModelVersion") -> Version:
    tags = version.tags
    return Version(
        name=version.name,
        number=int(version.version),
        facts=Facts(**{name: tags.get(name, "") for name in Facts.__dataclass_fields__}),
        promoted=tags.get("promoted", ""),
        replaced=int(tags["replaced"]) if tags.get("replaced") else None,
        reason=tags.get("reason", ""),
        approver=tags.get("approver", ""),
    )
