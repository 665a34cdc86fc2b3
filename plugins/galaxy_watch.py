"""Watches for new releases inside Airflow's triggerer: the inbox, and records on Zenodo."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from galaxy_tasks.acquisition.zenodo import PUBLIC_URL
from galaxy_tasks.watch.announced import write_announced
from galaxy_tasks.watch.backlog import RUN_EVENTS, TAKEN, WATCHER_EVENTS, Backlog
from galaxy_tasks.watch.inbox import Inbox
from galaxy_tasks.watch.release_event import ReleaseEvent
from galaxy_tasks.watch.zenodo_poller import ZenodoPoller


class ReleaseManifestTrigger(BaseEventTrigger):
    """Fires once for each release event, whatever restarts.

    A manifest in the inbox is an event by itself or, where it names one of Zenodo's concept
    records, stands for each version that is published of that. An event is stored before it fires.
    Killed in between, the next start sees that no run has taken it, and fires.
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
        """Yield an event for each release event that no run has taken."""
        fired: set[str] = set()
        backlog = await self._read_backlog()
        for event in backlog.events:
            fired.add(event.key)
            if event.key not in backlog.taken:
                yield TriggerEvent(event.as_payload())
        self.log.info("Watching %s for release manifests.", self.folder)
        async for event in self._watch():
            if event.key in fired:
                continue
            fired.add(event.key)
            backlog = await self._read_backlog()  # a scheduled run may have seen and taken it
            if event.key in backlog.taken:
                continue
            self.log.info("New release: %s", event.describe(backlog.events))
            await self._store(event, backlog)
            yield TriggerEvent(event.as_payload())

    async def _read_backlog(self) -> Backlog:
        store: Any = self.asset_state_store  # the triggerer sets it for assets' watchers
        return Backlog.from_payloads(
            await store.aget(WATCHER_EVENTS, []),
            await store.aget(RUN_EVENTS, []),
            await store.aget(TAKEN, {}),
        )

    async def _store(self, event: ReleaseEvent, backlog: Backlog) -> None:
        store: Any = self.asset_state_store
        events = list({each.key: each for each in (*backlog.events, event)}.values())
        await store.aset(WATCHER_EVENTS, [each.as_payload() for each in events])
        taken = await store.aget(TAKEN, {})  # a run may have taken one meanwhile
        await asyncio.to_thread(write_announced, Path(self.folder), events, taken)

    async def _watch(self) -> AsyncIterator[ReleaseEvent]:
        """Yield what there is to see, over and over.

        Zenodo is polled beside the inbox, which does not wait for the answer.
        """
        inbox = Inbox(Path(self.folder))
        poller = ZenodoPoller(self.zenodo_url, self.zenodo_poll_interval_s)
        polling: asyncio.Task[Any] | None = None
        try:
            while True:
                manifests, problems = await asyncio.to_thread(inbox.read)
                for problem in problems:
                    self.log.error("%s", problem)
                for manifest in manifests:
                    if not manifest.zenodo_concept:
                        yield manifest.as_event()
                if polling is None:
                    polling = asyncio.create_task(asyncio.to_thread(poller.poll, manifests))
                elif polling.done():
                    versions, problems = polling.result()
                    polling = None
                    for problem in problems:
                        self.log.warning("%s", problem)
                    for version in versions:
                        yield version
                await asyncio.sleep(self.poll_interval_s)
        finally:
            if polling:
                polling.cancel()
