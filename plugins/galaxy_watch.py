"""Watches a folder for manifests of new releases, inside Airflow's triggerer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from galaxy_tasks.announcements import Announcement, Folder

ANNOUNCED, TAKEN = "announced", "taken"
"""Keys of the asset's state, in Airflow's database: all announcements so far, and which run has
taken which. The trigger writes the first and the runs write the second."""


class ReleaseManifestTrigger(BaseEventTrigger):
    """Fires once for each release that a manifest in a folder announces, whatever restarts.

    An announcement is remembered before it is handed on. Killed in between, the next start sees
    that no run has taken it and hands it on.
    """

    def __init__(self, *, folder: str, poll_interval_s: float = 10.0) -> None:
        """Keep what to watch, and how often to look."""
        super().__init__()
        self.folder = folder
        self.poll_interval_s = poll_interval_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return how the triggerer makes this trigger."""
        options = {"folder": self.folder, "poll_interval_s": self.poll_interval_s}
        return "galaxy_watch.ReleaseManifestTrigger", options

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each announcement that no run has taken."""
        store = self.asset_state_store
        assert store is not None  # the triggerer sets it for assets' watchers
        announced: Any = await store.aget(ANNOUNCED, [])
        taken: Any = await store.aget(TAKEN, {})
        known = {Announcement.from_payload(payload).key: payload for payload in announced}
        for key, payload in known.items():
            if key not in taken:
                yield TriggerEvent(payload)
        folder = Folder(Path(self.folder))
        self.log.info("Watching %s for manifests of releases.", self.folder)
        while True:
            found, problems = await asyncio.to_thread(folder.read)
            for problem in problems:
                self.log.error("A manifest was refused. %s", problem)
            for announcement in found:
                if announcement.key not in known:
                    self.log.info("Release announced: %s", announcement.name)
                    known[announcement.key] = announcement.as_payload()
                    await store.aset(ANNOUNCED, list(known.values()))
                    yield TriggerEvent(announcement.as_payload())
            await asyncio.sleep(self.poll_interval_s)
