"""Which release a run works on: whose turn it is among what has been announced.

What is announced and what is taken stands in a store that outlives runs and watchers. The watcher
starts runs by what it sees; one that the clock has started looks for itself, so that a release is
also trained on where the watcher is not running.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from galaxy_tasks.acquisition import zenodo
from galaxy_tasks.config import parse_config
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.watch.inbox import SUFFIX, Announcement, Folder
from galaxy_tasks.watch.zenodo_poller import announce_version

ANNOUNCED, FOUND, TAKEN = "announced", "found", "taken"
"""Keys of the store: what the watcher has announced and what runs have found themselves, the oldest
first, and which run has taken which. The watcher writes the first only and runs, of which there is
one at a time, the others only, so that nobody overwrites what another has just written."""

Start = Literal["announcement", "clock", "person"]
"""What has started a run."""


class Store(Protocol):
    """Keeps JSON values by key."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, or the default where there is none."""

    def set(self, key: str, value: Any) -> None:
        """Keep the value in place of that before it."""


@dataclass(frozen=True)
class Watched:
    """Where releases are announced, and how often the watcher looks there."""

    folder: str
    poll_interval_s: float
    zenodo_url: str
    zenodo_poll_interval_s: float


@dataclass(frozen=True)
class Turn:
    """Which announcement a run works on, as `take_turn` decides."""

    announcement: Announcement | None
    """None: others have taken all there are."""
    taken: dict[str, str]
    """The run that has taken an announcement, by the announcement's key, this one included."""
    are_more_waiting: bool


@dataclass(frozen=True)
class Choice:
    """What a run works on, as `choose` decides."""

    settings: dict[str, Any] | None
    """None: there is nothing to do."""
    told: tuple[str, ...] = ()
    """Lines for the log; the last says why where there is nothing to do."""
    are_more_waiting: bool = False


def choose(
    store: Store, form: Mapping[str, Any], *, start: Start, run_id: str, watched: Watched
) -> Choice:
    """Return the settings of a run, and remember which announcement it has taken.

    A run that a person has started has the form's. Any other takes the oldest announcement that no
    run has taken; the clock's looks for new ones itself, takes the newest where all are taken, and
    has the form's where there never was one, unless these only draw a simulated release.

    Raises:
        InputError: a person's settings do not go together. Of an announced release's settings the
            next task says that, since what waits behind it must have its turn all the same.
    """
    if start == "person":
        parse_config(dict(form))
        return Choice(dict(form))
    problems = _remember_found(store, watched) if start == "clock" else []
    known = list_known(store.get(ANNOUNCED, []), store.get(FOUND, []))
    turn = take_turn(known, taken=store.get(TAKEN, {}), run_id=run_id)
    announcement = turn.announcement
    if announcement:
        store.set(TAKEN, turn.taken)
    elif start == "announcement":
        return Choice(None, ("Other runs have taken all that was announced.",))
    elif known:
        announcement = Announcement.from_payload(known[-1])
    elif parse_config(dict(form)).release == "simulated":
        reason = "Nothing has been announced, and a simulated release is drawn by hand only."
        return Choice(None, (*problems, reason))
    else:
        return Choice(dict(form), tuple(problems))
    told = f"Release announced: {announcement.describe(known)}"
    settings = {**form, **announcement.settings}
    return Choice(settings, (*problems, told), turn.are_more_waiting)


def describe_settings(settings: Mapping[str, Any]) -> str:
    """Return for the log the settings that differ from the defaults, or why they do not agree."""
    try:
        changed = parse_config(dict(settings)).model_dump(exclude_defaults=True)
    except InputError as error:
        return str(error)
    values = "".join(f"\n  {name} = {value!r}" for name, value in changed.items())
    return f"Settings of this run that differ from the defaults:{values or ' none'}"


def list_known(
    announced: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the JSON forms of all announcements, each once, the oldest first."""
    known: dict[str, dict[str, Any]] = {}
    for payload in (*announced, *found):
        known.setdefault(Announcement.from_payload(payload).key, dict(payload))
    return list(known.values())


def list_taken(announced: Sequence[Mapping[str, Any]], taken: Mapping[str, str]) -> dict[str, str]:
    """Return which run has taken which, by today's keys where an earlier version noted others."""
    known = [*map(Announcement.from_payload, announced)]
    return {one.key: taken[one.old_key] for one in known if one.old_key in taken} | dict(taken)


def take_turn(
    announced: Sequence[Mapping[str, Any]], *, taken: Mapping[str, str], run_id: str
) -> Turn:
    """Return what this run works on: what it had taken before, else the oldest that nobody has.

    Airflow may start one run for several announcements, or none for the last of several that come
    at once. So a run does not work on what has started it but on the first that waits.

    Args:
        announced: the JSON forms of all announcements so far, the oldest first.
        taken: which run has taken which, by the announcements' keys, also those of old.
        run_id: the run whose turn it is; a task of it that is tried again finds its own.
    """
    taken = list_taken(announced, taken)
    announcements = {one.key: one for one in map(Announcement.from_payload, announced)}
    own = [key for key in announcements if taken.get(key) == run_id]
    waiting = [key for key in announcements if key not in taken]
    chosen, *more = [*own, *waiting] or [None]
    if chosen is None:
        return Turn(None, dict(taken), are_more_waiting=False)
    announcement = announcements[chosen]
    # By the old key, too, which follows from nothing but what is written: where a default changes,
    # the other does, and what was trained on would seem to be new.
    keys = (announcement.key, announcement.old_key)
    taken |= dict.fromkeys(keys, run_id)
    return Turn(announcement, taken, are_more_waiting=bool(more))


def look(watched: Watched) -> tuple[list[Announcement], list[str]]:
    """Return what is announced now, in the order of the manifests' names, and what is wrong.

    Looks into the folder twice, `poll_interval_s` apart, since a file counts only once it has
    stopped changing, and asks Zenodo once for each record that a manifest follows.
    """
    folder = Folder(Path(watched.folder))
    folder.read()
    if any(Path(watched.folder).glob(f"*{SUFFIX}")):
        time.sleep(watched.poll_interval_s)
    manifests, refused = folder.read()
    problems = [f"A manifest was refused. {problem}" for problem in refused]
    found, records = [], {}
    for manifest in manifests:
        concept = manifest.zenodo_concept
        if not concept:
            found.append(Announcement(manifest.name, manifest.settings))
            continue
        if concept not in records:
            try:
                records[concept] = zenodo.request_latest(concept, url=watched.zenodo_url)
            except GalaxyMorphologyError as error:
                records[concept] = None
                problems.append(f"No new versions can be seen. {error}")
        if record := records[concept]:
            found.append(announce_version(manifest, record))
    return found, problems


def _remember_found(store: Store, watched: Watched) -> list[str]:
    """Add to the store what is announced and not known there, and return what is wrong."""
    announcements, problems = look(watched)
    announced, found = store.get(ANNOUNCED, []), store.get(FOUND, [])
    known = {Announcement.from_payload(one).key for one in (*announced, *found)}
    new = [one.as_payload() for one in announcements if one.key not in known]
    if new:
        store.set(FOUND, [*found, *new])
    return problems
