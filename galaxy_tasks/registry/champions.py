"""The champion of each name, and every change of it.

MLflow's alias says which version is champion, and changes in one step. Before that the change is
written into a tag of the registered model, one tag a change. A process that is killed between the
two leaves a last change that the alias does not bear out: it counts as never made.
"""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.champion import open_champion
from galaxy_tasks.registry.models import (
    Version,
    find_model,
    get_version,
    list_names,
    say_names,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
"""Alias of what is recommended now."""
_CHANGE = "change-"
"""Begin of the tags that hold changes."""
_LONGEST_REASON = 2000
"""A database of MLflow's takes tags of 5,000 characters."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """One change of champion."""

    version: int
    """Number of the version that is champion since."""
    time: str
    """When, in UTC as ISO 8601; '' if the alias was set on MLflow's page."""
    reason: str
    by: str
    """Who did or let it; '' where nobody was asked."""
    run: str
    """Airflow's run that did it; '' by hand."""
    is_rollback: bool


@dataclass(frozen=True)
class Line:
    """The champions of a name, one after the other."""

    changes: tuple[Change, ...] = ()
    """All changes, the oldest first."""

    @property
    def last(self) -> Change | None:
        """The change that made the present champion; None without one."""
        return self.changes[-1] if self.changes else None

    @property
    def number(self) -> int | None:
        """The present champion's number; None without one."""
        return self.last.version if self.last else None

    @property
    def way_back(self) -> tuple[Change, ...]:
        """The promotions that a rollback leads over, the present champion's first."""
        promotions: list[Change] = []
        for change in self.changes:
            if change.is_rollback:
                promotions.pop()
            else:
                promotions.append(change)
        return tuple(reversed(promotions))


def read_line(client: "MlflowClient", name: str) -> Line:
    """Return the champions of a name; an unknown name has none."""
    model = find_model(client, name)
    if model is None or CHAMPION not in model.aliases:
        return Line()
    champion = int(model.aliases[CHAMPION])
    tags = sorted((key, value) for key, value in model.tags.items() if key.startswith(_CHANGE))
    changes = [Change(**json.loads(value)) for _, value in tags]
    for made in (changes, changes[:-1]):  # without one that was begun and not made
        if made and made[-1].version == champion:
            return Line(tuple(made))
    by_hand = Change(champion, "", "Set on MLflow's page.", "", "", is_rollback=False)
    return Line((*changes, by_hand))


def promote(
    client: "MlflowClient", version: Version, *, reason: str, by: str = "", run: str = ""
) -> None:
    """Make a version the champion of its name, unless it is.

    Whoever is killed meanwhile leaves the champion of before or this one, and calling again ends
    what was begun.

    Raises:
        InputError: the model's artifact is gone or was changed.
    """
    line = read_line(client, version.name)
    if line.number != version.number:
        _change(client, line, version, reason=reason, by=by, run=run, is_rollback=False)


def roll_back(client: "MlflowClient", name: str, *, reason: str = "", by: str = "") -> Version:
    """Make the champion's predecessor the champion again, and return it.

    Raises:
        InputError: there is no champion, none before it, or that one is gone.
    """
    line = read_line(client, name)
    if line.last is None:
        raise InputError(f"{name} has no champion. {say_names(client)}")
    if len(line.way_back) == 1:
        raise InputError(
            f"{name} version {line.number} is the first champion: there is none to go back to."
        )
    before = get_version(client, name, line.way_back[1].version)
    _change(client, line, before, reason=reason, by=by, run="", is_rollback=True)
    return before


def _change(
    client: "MlflowClient", line: Line, version: Version, *, reason: str, **facts: str | bool
) -> None:
    """Write the change, then make it, once it is sure that the model is whole."""
    from galaxy_tasks.training.saved_model import require_model

    require_model(version.model.path)
    _warn_if_incomparable(version)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    change = Change(version.number, now, reason[:_LONGEST_REASON], **facts)  # pyright: ignore[reportArgumentType]
    # What was set on MLflow's page is written, too, as the way back leads over it.
    by_hand = [replace(one, time=now) for one in line.changes if not one.time]
    begin = len(line.changes) - len(by_hand) + 1
    for number, one in enumerate((*by_hand, change), start=begin):
        key = f"{_CHANGE}{number:06d}"
        client.set_registered_model_tag(version.name, key, json.dumps(asdict(one)))
    client.set_registered_model_alias(version.name, CHAMPION, str(version.number))
    _logger.info("Champion: %s, %s.", version.title, version.facts.architecture)


def _warn_if_incomparable(version: Version) -> None:
    try:
        open_champion(version.facts.evaluation, version.facts.model)
    except InputError as error:
        _logger.warning(
            "%s classifies, but the next run cannot be compared with it, and so promotes nothing: "
            "%s",
            *(version.title, error),
        )


def find_champion(client: "MlflowClient", name: str) -> Version | None:
    """Return the champion of a name; None without one."""
    return next(walk_champions(client, name), None)


def walk_champions(client: "MlflowClient", name: str) -> Iterator[Version]:
    """Yield the champion of a name, the one before it and so on, as rollbacks would go.

    It ends where a version was deleted from MLflow.
    """
    for change in read_line(client, name).way_back:
        try:
            yield get_version(client, name, change.version)
        except InputError as error:
            _logger.warning("The way back ends there: %s", error)
            return


def require_champion(client: "MlflowClient", name: str) -> Version:
    """Return the champion of a name; name '' stands for the only one that there is.

    Raises:
        InputError: there is no such model, several, or no champion.
    """
    champions = {one: find_champion(client, one) for one in list_names(client)}
    known = {one: version for one, version in champions.items() if version}
    if not known:
        raise InputError(
            "There is no champion yet: a run makes one. Or name the folder of a trained model "
            f"with --model.{f' Received: {name!r}' if name else ''}"
        )
    if not name and len(known) > 1:
        raise InputError(f"Name a model. Models: {', '.join(known)}.")
    chosen = name or next(iter(known))
    if chosen not in known:
        raise InputError(
            f"--model must be a folder of a trained model, or a name with a champion. Names: "
            f"{', '.join(known)}. Received: {name!r}"
        )
    return known[chosen]


def find_newest_champion(client: "MlflowClient", kind: str) -> Version | None:
    """Return the champion that was promoted last of a kind, by `kind_of`; None without one."""
    lines = {
        name: line.way_back[0].time
        for name in list_names(client)
        if name.startswith(f"{kind}-") and (line := read_line(client, name)).last
    }
    newest = max(lines, key=lambda name: lines[name], default=None)
    return find_champion(client, newest) if newest else None
