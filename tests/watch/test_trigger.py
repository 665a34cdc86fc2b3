"""The trigger itself: what it yields from a folder and from Zenodo, once, whatever restarts."""

import asyncio
import json
import time
from contextlib import aclosing
from pathlib import Path

import pytest
from fixtures.download_server import Manner
from fixtures.release_events import Store, publish, write_manifest

from galaxy_tasks.watch.announced import AnnouncedRelease, list_announced
from galaxy_tasks.watch.backlog import (
    RUN_EVENTS,
    TAKEN,
    WATCHER_EVENTS,
    WatchSettings,
    choose,
)
from galaxy_tasks.watch.release_event import ReleaseEvent

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(tmp_path, server, monkeypatch):
    """Make a trigger as the triggerer does, with the state that earlier ones have left."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.syspath_prepend(str(ROOT / "plugins"))
    from galaxy_watch import ReleaseManifestTrigger

    store = Store()
    folder = tmp_path / "inbox"
    folder.mkdir()

    def make(*, zenodo_poll_interval_s=3600.0):
        first = ReleaseManifestTrigger(
            folder=str(folder),
            poll_interval_s=0.02,
            zenodo_url=server.address(""),
            zenodo_poll_interval_s=zenodo_poll_interval_s,
        )
        name, options = first.serialize()
        assert name == "galaxy_watch.ReleaseManifestTrigger"
        trigger = ReleaseManifestTrigger(**json.loads(json.dumps(options)))
        trigger.asset_state_store = store
        return trigger

    make.folder, make.store = folder, store
    return make


def collect(trigger, *, count, wait_s=5.0, extra_s=0.3, then=None):
    """Return the payloads of `count` events, and of those that come within `extra_s` more."""

    async def run():
        payloads = []
        async with aclosing(trigger.run()) as events:

            async def read():
                async for event in events:
                    payloads.append(event.payload)

            reading = asyncio.create_task(read())
            deadline = time.monotonic() + wait_s
            while len(payloads) < count and time.monotonic() < deadline and not reading.done():
                await asyncio.sleep(0.01)
            if then:
                then(list(payloads))
            await asyncio.sleep(extra_s)
            if reading.done():
                reading.result()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        return payloads

    return asyncio.run(run())


def test_a_manifest_fires_once_and_after_a_restart_only_if_no_run_has_taken_it(start):
    write_manifest(start.folder, "one")
    (payload,) = collect(start(), count=1)
    assert (payload["name"], payload["settings"]) == ("one", {"epochs": 3})
    assert list_announced(start.folder) == [AnnouncedRelease("one")]
    assert collect(start(), count=1) == [payload]
    start.store.set(TAKEN, {ReleaseEvent.from_payload(payload).key: "run"})
    assert collect(start(), count=1, wait_s=0.3) == []


def take_all(start):
    known = [*start.store.get(WATCHER_EVENTS, []), *start.store.get(RUN_EVENTS, [])]
    keys = [ReleaseEvent.from_payload(payload).key for payload in known]
    start.store.set(TAKEN, dict.fromkeys(keys, "run"))


def test_each_version_fires_once_also_after_restarts(start, server, capsys):
    publish(server, 701)
    write_manifest(start.folder, "Euclid", concept="700")
    (first,) = collect(start(zenodo_poll_interval_s=0.05), count=1, extra_s=2.0)
    assert first["settings"] == {"epochs": 3, "zenodo_record": "701"}
    assert len(server.requests) > 2, "it asks again, and again, and fires no more"
    take_all(start)
    assert collect(start(), count=1, wait_s=0.5) == []

    publish(server, 702, md5="2" * 32, version="2")
    (second,) = collect(start(), count=1)
    assert (second["version"], second["settings"]["zenodo_record"]) == ("2", "702")
    line = "New release: Euclid, version 2 (Zenodo record 702) (files changed: a.csv)"
    assert line in capsys.readouterr().out
    take_all(start)
    assert collect(start(), count=1, wait_s=0.5) == []


def test_a_version_that_is_published_while_it_watches_fires(start, server):
    publish(server, 701)
    write_manifest(start.folder, "Euclid", concept="700")
    found = collect(
        start(zenodo_poll_interval_s=0.05),
        count=1,
        then=lambda _: publish(server, 702),
        extra_s=1.0,
    )
    assert [payload["settings"]["zenodo_record"] for payload in found] == ["701", "702"]


def test_a_silent_zenodo_delays_no_folder_and_blocks_no_loop(start, server):
    publish(server, 701, Manner(hold_after=0))
    write_manifest(start.folder, "Euclid", concept="700")
    longest_s = 0.0

    async def run():
        nonlocal longest_s
        async with aclosing(start().run()) as events:
            reading = asyncio.create_task(anext(events))
            started, last = time.monotonic(), time.monotonic()
            while not server.requests:
                await asyncio.sleep(0.005)
            write_manifest(start.folder, "other")
            while not reading.done() and time.monotonic() < started + 10:
                await asyncio.sleep(0.005)
                longest_s = max(longest_s, time.monotonic() - last)
                last = time.monotonic()
            event = reading.result()
            server.is_stopping.set()  # the server lets go, and with it the thread that waits
            return event

    event = asyncio.run(run())
    assert event.payload["name"] == "other"
    assert longest_s < 5.0, "a loop that waited for Zenodo would stand still for its 20 s"


def test_an_unwell_zenodo_ends_no_trigger_and_is_reported_once(start, server, capsys):
    publish(server, 701, *[Manner(status=500)] * 3)
    write_manifest(start.folder, "Euclid", concept="700")
    (found,) = collect(start(zenodo_poll_interval_s=0.05), count=1)
    assert found["settings"]["zenodo_record"] == "701"
    assert len(server.requests) >= 4
    assert capsys.readouterr().out.count("New versions cannot be seen.") == 1


def run_on_schedule(start, server, run_id):
    watch = WatchSettings(str(start.folder), 0, server.address(""), 3600)
    return choose(start.store, {"epochs": 9}, start="schedule", run_id=run_id, watch=watch)


def test_what_a_scheduled_run_has_found_and_taken_fires_no_more(start, server):
    write_manifest(start.folder, "one")
    write_manifest(start.folder, "two")
    assert run_on_schedule(start, server, "clock").are_more_waiting
    (payload,) = collect(start(), count=1)
    assert payload["name"] == "two"
    take_all(start)
    assert collect(start(), count=1, wait_s=0.3) == []


def test_what_a_scheduled_run_takes_beside_a_watcher_fires_no_more_and_nothing_is_lost(
    start, server
):
    write_manifest(start.folder, "one")

    def run_two_on_schedule(_):
        write_manifest(start.folder, "a")
        run_on_schedule(start, server, "first")
        run_on_schedule(start, server, "second")
        write_manifest(start.folder, "three")

    found = collect(start(), count=1, then=run_two_on_schedule)
    assert [payload["name"] for payload in found] == ["one", "three"]
    assert [payload["name"] for payload in start.store.get(WATCHER_EVENTS)] == ["one", "a", "three"]
