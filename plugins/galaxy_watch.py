"""Watches for new releases inside Airflow's triggerer: a folder, and records on Zenodo."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from galaxy_tasks.acquisition.zenodo import PUBLIC_URL
from galaxy_tasks.watch.backlog import ANNOUNCED, FOUND, TAKEN, list_known, list_taken
from galaxy_tasks.watch.inbox import Announcement, Folder
from galaxy_tasks.watch.zenodo_poller import ConceptWatch


class ReleaseManifestTrigger(BaseEventTrigger):
    """Fires once for each release that is announced, whatever restarts.

    A manifest in the folder announces itself or, where it names one of Zenodo's concept records,
    each version that is published of that. An announcement is remembered before it is handed on.
    Killed in between, the next start sees that no run has taken it and hands it on.
    """

    def __init__(
        self,
        *,
        folder: str,
        poll_interval_s: float = 10.0,
        zenodo_url: str = PUBLIC_URL,
        zenodo_poll_interval_s: float = 3600.0,
    ) -> None:
        """Keep what to watch, and how often to look."""
        super().__init__()
        self.folder = folder
        self.poll_interval_s = poll_interval_s
        self.zenodo_url = zenodo_url
        self.zenodo_poll_interval_s = zenodo_poll_interval_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return how the triggerer makes this trigger."""
        names = ("folder", "poll_interval_s", "zenodo_url", "zenodo_poll_interval_s")
        options = {name: getattr(self, name) for name in names}
        return "galaxy_watch.ReleaseManifestTrigger", options

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each announcement that no run has taken."""
        handed_on: set[str] = set()
        known, taken = await self._recall()
        for payload in known:
            key = Announcement.from_payload(payload).key
            handed_on.add(key)
            if key not in taken:
                yield TriggerEvent(payload)
        self.log.info("Watching %s for manifests of releases.", self.folder)
        async for announcement in self._watch():
            if announcement.key in handed_on:
                continue
            handed_on.add(announcement.key)
            known, taken = await self._recall()  # the clock's run may have seen and taken it
            if announcement.key in taken:
                continue
            self.log.info("Release announced: %s", announcement.describe(known))
            await self._remember(list_known(known, [announcement.as_payload()]))
            yield TriggerEvent(announcement.as_payload())

    async def _recall(self) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Return all announcements so far, and which run has taken which, by their keys."""
        store = self.asset_state_store
        assert store is not None  # the triggerer sets it for assets' watchers
        announced: Any = await store.aget(ANNOUNCED, [])
        found: Any = await store.aget(FOUND, [])
        taken: Any = await store.aget(TAKEN, {})
        known = list_known(announced, found)
        return known, list_taken(known, taken)

    async def _remember(self, known: Any) -> None:
        assert self.asset_state_store is not None
        await self.asset_state_store.aset(ANNOUNCED, known)

    async def _watch(self) -> AsyncIterator[Announcement]:
        """Yield what is announced, over and over.

        Zenodo is asked beside the look into the folder, which does not wait for the answer.
        """
        folder = Folder(Path(self.folder))
        concepts = ConceptWatch(self.zenodo_url, self.zenodo_poll_interval_s)
        asking: asyncio.Task[Any] | None = None
        try:
            while True:
                manifests, problems = await asyncio.to_thread(folder.read)
                for problem in problems:
                    self.log.error("A manifest was refused. %s", problem)
                for manifest in manifests:
                    if not manifest.zenodo_concept:
                        yield Announcement(manifest.name, manifest.settings)
                if asking is None:
                    asking = asyncio.create_task(asyncio.to_thread(concepts.read, manifests))
                elif asking.done():
                    versions, problems = asking.result()
                    asking = None
                    for problem in problems:
                        self.log.warning("No new versions can be seen. %s", problem)
                    for version in versions:
                        yield version
                await asyncio.sleep(self.poll_interval_s)
        finally:
            if asking:
                asking.cancel()
