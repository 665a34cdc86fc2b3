"""Watches a folder for manifests of new releases, inside Airflow's triggerer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from galaxy_tasks.announcements import Folder

_SEEN = "announced"
"""Key of the asset's state: the announcements that have been handed on, by their keys."""


class ReleaseManifestTrigger(BaseEventTrigger):
    """Fires once for each release that a manifest in a folder announces, whatever restarts.

    What has fired is remembered in the asset's state, in Airflow's database. An announcement is
    remembered after it has been handed on: killed in between, it fires once more, and the run finds
    all its work done.
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
        """Yield an event for each announcement that has not been handed on."""
        assert self.asset_state_store is not None  # the triggerer sets it for assets' watchers
        folder = Folder(Path(self.folder))
        seen = list(await self.asset_state_store.aget(_SEEN, []))  # pyright: ignore[reportArgumentType]
        self.log.info("Watching %s for manifests of releases.", self.folder)
        while True:
            announced, problems = await asyncio.to_thread(folder.read)
            for problem in problems:
                self.log.error("A manifest was refused. %s", problem)
            for announcement in announced:
                if announcement.key not in seen:
                    self.log.info("Release announced: %s", announcement.name)
                    yield TriggerEvent({"announcements": [announcement.as_payload()]})
                    seen.append(announcement.key)
                    await self.asset_state_store.aset(_SEEN, seen)
            await asyncio.sleep(self.poll_interval_s)
