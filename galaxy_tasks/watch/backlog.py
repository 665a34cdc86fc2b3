"""The backlog: which release events there have been, and which of them a run works on.

Events, and which run has taken which, are kept in a store that outlives runs and watchers. The
watcher starts runs by what it sees. A run that the schedule starts looks for itself, so that a
release is also trained on where the watcher is not running.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from galaxy_tasks.config import find_changes, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.watch.announced import write_announced
from galaxy_tasks.watch.inbox import SUFFIX, Inbox
from galaxy_tasks.watch.release_event import ReleaseEvent
from galaxy_tasks.watch.zenodo_poller import ZenodoPoller

_logger = logging.getLogger(__name__)

WATCHER_EVENTS, RUN_EVENTS, TAKEN = "watcher_events", "run_events", "taken"
"""Keys of the store: the events that the watcher has seen and those that scheduled runs have seen
themselves, the oldest first, and which run has taken which. The watcher writes the first only and
runs, of which there is one at a time, the others only, so that neither overwrites the other."""

Start = Literal["release_event", "schedule", "manual"]
"""What has started a run."""


class Store(Protocol):
    """Keeps JSON values by key."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, or the default where there is none."""

    def set(self, key: str, value: Any) -> None:
        """Keep the value in place of that before it."""


@dataclass(frozen=True)
class WatchSettings:
    """Where new releases are looked for, and how often the watcher looks there."""

    folder: str
    """The inbox."""
    poll_interval_s: float
    zenodo_url: str
    zenodo_poll_interval_s: float


@dataclass(frozen=True)
class Backlog:
    """All release events, the oldest first, and the run that has taken each, by the event's key."""

    events: tuple[ReleaseEvent, ...]
    taken: Mapping[str, str]

    @staticmethod
    def from_payloads(
        watcher_events: Sequence[Mapping[str, Any]],
        run_events: Sequence[Mapping[str, Any]],
        taken: Mapping[str, str],
    ) -> "Backlog":
        """Return the backlog that the store holds, each event once."""
        events: dict[str, ReleaseEvent] = {}
        for event in map(ReleaseEvent.from_payload, (*watcher_events, *run_events)):
            events.setdefault(event.key, event)
        return Backlog(tuple(events.values()), taken)

    def list_open(self, run_id: str) -> list[ReleaseEvent]:
        """Return what a run may work on: what it has taken before, then what no run has taken.

        Airflow may start one run for several events, or none for the last of several that come at
        once. So a run does not work on the event that has started it but on the first of these.
        """
        own = [event for event in self.events if self.taken.get(event.key) == run_id]
        return own + [event for event in self.events if event.key not in self.taken]


@dataclass(frozen=True)
class Choice:
    """What a run works on, as `choose` decides."""

    settings: dict[str, Any] | None
    """None: there is nothing to do."""
    reason: str = ""
    """Why there is nothing to do."""
    title: str = ""
    """Of the release event; empty where the settings are the form's."""
    are_more_waiting: bool = False


def choose(
    store: Store, form: Mapping[str, Any], *, start: Start, run_id: str, watch: WatchSettings
) -> Choice:
    """Return the settings of a run, and remember which event it has taken.

    A manual run has the form's. Any other takes the oldest event that no run has taken. A scheduled
    run looks for new events itself, takes the newest where all are taken, and has the form's
    settings where there never was an event, unless these only draw a simulated release.

    Raises:
        InputError: the settings of a manual run contradict each other. Those of an event are left
            to the next task to check, so that what waits behind it has its turn all the same.
    """
    if start == "manual":
        parse_config(dict(form))
        return Choice(dict(form))
    if start == "schedule":
        _add_events(store, watch)
    backlog = _read_backlog(store)
    waiting = backlog.list_open(run_id)
    if waiting:
        event = waiting[0]
        taken = {**backlog.taken, event.key: run_id}
        store.set(TAKEN, taken)
        write_announced(Path(watch.folder), backlog.events, taken)
    elif start == "release_event":
        return Choice(None, "Other runs have taken all release events.")
    elif backlog.events:
        event = backlog.events[-1]
    elif parse_config(dict(form)).release == "simulated":
        return Choice(None, "There is no new release, and only manual runs draw a simulated one.")
    else:
        return Choice(dict(form))
    _logger.info("Release: %s", event.describe(backlog.events))
    return Choice({**form, **event.settings}, title=event.title, are_more_waiting=len(waiting) > 1)


def describe_settings(settings: Mapping[str, Any]) -> str:
    """Return for the log the settings that differ from the preset, or why they are refused."""
    try:
        preset, changed = find_changes(parse_config(dict(settings)))
    except InputError as error:
        return str(error)
    values = "".join(f"\n  {name} = {value!r}" for name, value in changed.items())
    return f"Settings of this run that differ from the preset {preset}:{values or ' none'}"


def look(watch: WatchSettings) -> tuple[list[ReleaseEvent], list[str]]:
    """Return the events of the inbox, then those of Zenodo, and what is wrong.

    Reads the inbox twice, `poll_interval_s` apart, since a file counts only once it has stopped
    changing, and asks Zenodo once for each record that a manifest follows.
    """
    inbox = Inbox(Path(watch.folder))
    inbox.read()
    if any(inbox.path.glob(f"*{SUFFIX}")):
        time.sleep(watch.poll_interval_s)
    manifests, refused = inbox.read()
    poller = ZenodoPoller(watch.zenodo_url, watch.zenodo_poll_interval_s)
    versions, unreachable = poller.poll(manifests)
    events = [manifest.as_event() for manifest in manifests if not manifest.zenodo_concept]
    return [*events, *versions], [*refused, *unreachable]


def _read_backlog(store: Store) -> Backlog:
    return Backlog.from_payloads(
        store.get(WATCHER_EVENTS, []), store.get(RUN_EVENTS, []), store.get(TAKEN, {})
    )


def _add_events(store: Store, watch: WatchSettings) -> None:
    """Add to the store the events that are new to it, and log what is wrong."""
    events, problems = look(watch)
    for problem in problems:
        _logger.warning("%s", problem)
    known = {event.key for event in _read_backlog(store).events}
    new = [event.as_payload() for event in events if event.key not in known]
    if new:
        store.set(RUN_EVENTS, [*store.get(RUN_EVENTS, []), *new])
