"""The list of what was announced, in a file of the inbox: people read it without Airflow.

Airflow's database keeps the backlog. This is a copy, written whenever that changes.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from galaxy_tasks.errors import InputError
from galaxy_tasks.storage.atomic_io import read_json, write_json
from galaxy_tasks.watch.inbox import SUFFIX, read_manifest
from galaxy_tasks.watch.release_event import ReleaseEvent

ANNOUNCED = "announced.json"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnnouncedRelease:
    """A release event, or a manifest that is none yet."""

    title: str
    run_id: str = ""
    """The run that has taken it; empty: it waits."""
    refusal: str = ""
    """Why the manifest is refused; empty: it is not."""


def write_announced(inbox: Path, events: Sequence[ReleaseEvent], taken: Mapping[str, str]) -> None:
    """Write which release events there have been, and by the event's key which run took it.

    Where the inbox cannot be written to, a warning says so: no run waits for this list.
    """
    rows = [{"title": event.title, "run_id": taken.get(event.key, "")} for event in events]
    try:
        write_json(inbox / ANNOUNCED, rows)
    except OSError as error:
        _logger.warning("%s could not be brought up to date: %s", inbox / ANNOUNCED, error)


def list_announced(inbox: Path) -> list[AnnouncedRelease]:
    """Return the release events, the oldest first, then the manifests that are refused.

    Raises:
        InputError: the list is damaged.
    """
    path = inbox / ANNOUNCED
    try:
        events = read_json(path) if path.is_file() else []
        found = [AnnouncedRelease(**event) for event in events]
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({error}). Remove it: the next release that is announced or taken "
            "writes it again."
        ) from None
    for manifest in sorted(inbox.glob(f"*{SUFFIX}")):
        try:
            read_manifest(manifest)
        except InputError as error:
            found.append(AnnouncedRelease(manifest.name, refusal=str(error)))
    return found
