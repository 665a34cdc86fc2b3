"""Which release a run works on, whoever has started it and whoever has seen the release first."""

import pytest
from fixtures.download_server import Manner
from fixtures.release_events import Store, publish, write_manifest

from galaxy_tasks.errors import InputError
from galaxy_tasks.watch.announced import ANNOUNCED, list_announced
from galaxy_tasks.watch.backlog import (
    RUN_EVENTS,
    TAKEN,
    WATCHER_EVENTS,
    Backlog,
    WatchSettings,
    choose,
    describe_settings,
)
from galaxy_tasks.watch.release_event import ReleaseEvent

ONE, TWO, THREE = (ReleaseEvent(name, {}) for name in ("one", "two", "three"))
ALL = [event.as_payload() for event in (ONE, TWO, THREE)]


def list_open(run_id, **taken):
    """Return the names of what a run may work on; `taken` names the run by the event's name."""
    runs = {event.key: taken[event.name] for event in (ONE, TWO, THREE) if event.name in taken}
    return [event.name for event in Backlog.from_payloads(ALL, [], runs).list_open(run_id)]


def test_a_run_works_on_the_oldest_that_no_run_has_taken():
    assert list_open("a") == ["one", "two", "three"]
    assert list_open("b", one="a") == ["two", "three"]
    assert list_open("c", one="a", two="b") == ["three"]
    assert list_open("d", one="a", two="b", three="c") == []


def test_a_run_that_is_tried_again_finds_its_own_first():
    assert list_open("b", one="a", two="b") == ["two", "three"]


def test_an_event_that_watcher_and_run_have_both_seen_is_one_event():
    written_out = ReleaseEvent("one", {"seed": 2026}).as_payload()
    assert Backlog.from_payloads(ALL, [written_out], {}).events == (ONE, TWO, THREE)


FORM = {"release": "simulated", "epochs": 9, "seed": 1}


@pytest.fixture
def run(tmp_path, server):
    """Choose for a run as the first task does, with the store that earlier runs have left."""

    def make(run_id, *, start="schedule", form=FORM):
        watch = WatchSettings(str(make.folder), 0.0, server.address(""), 3600.0)
        return choose(make.store, form, start=start, run_id=run_id, watch=watch)

    make.folder, make.store = tmp_path / "inbox", Store()
    make.folder.mkdir()
    return make


def test_a_manual_run_has_the_form(run):
    write_manifest(run.folder, "one")
    choice = run("a", start="manual")
    assert (choice.settings, choice.reason, run.store.texts) == (FORM, "", {})


def test_settings_of_a_manual_run_that_contradict_each_other_are_refused_at_once(run):
    form = {"weights": "imagenet", "architectures": ["alexnet"]}
    with pytest.raises(InputError, match="'weights' is 'imagenet'"):
        run("a", start="manual", form=form)
    assert "'weights' is 'imagenet'" in describe_settings(form)


def test_the_log_shows_the_settings_that_differ():
    given = {"epochs": 60, "repeats": 3, "seed": 1, "simulated_galaxies": 99}
    lines = describe_settings(given).splitlines()
    assert lines[0] == "Settings of this run that differ from the preset full:"
    assert lines[1:] == ["  seed = 1", "  simulated_galaxies = 99"]
    assert describe_settings({"repeats": 3}).endswith("preset full: none")


def test_a_scheduled_run_finds_what_no_watcher_has_seen_and_takes_the_oldest(run, caplog):
    run.store.set(WATCHER_EVENTS, [TWO.as_payload()])
    run.store.set(TAKEN, {TWO.key: "earlier"})
    write_manifest(run.folder, "one")
    write_manifest(run.folder, "three")
    first = run("a")
    assert first.settings == {**FORM, "epochs": 3}
    assert caplog.messages == ["Release: one"]
    assert first.are_more_waiting
    assert run("a") == first, "a task that is tried again has the same"
    caplog.clear()
    second = run("b", start="release_event")
    assert (caplog.messages, second.are_more_waiting) == (["Release: three"], False)
    last = run("c", start="release_event")
    assert (last.settings, last.reason) == (None, "Other runs have taken all release events.")
    assert [one["name"] for one in run.store.get(RUN_EVENTS)] == ["one", "three"]
    assert [one["name"] for one in run.store.get(WATCHER_EVENTS)] == ["two"], "the watcher's alone"


def test_a_scheduled_run_takes_the_newest_again_where_all_are_taken(run, caplog):
    write_manifest(run.folder, "one")
    write_manifest(run.folder, "two")
    for run_id in ("a", "b", "c", "d"):
        run(run_id)
    assert caplog.messages == [f"Release: {name}" for name in ("one", "two", "two", "two")]
    assert sorted(run.store.get(TAKEN).values()) == ["a", "b"]


def test_a_scheduled_run_draws_no_simulated_release_where_there_was_no_event(run):
    choice = run("a")
    assert choice.settings is None
    assert "There is no new release" in choice.reason
    assert run("a", form={}).settings is None, "it is simulated by default"
    form = {**FORM, "release": "galaxy_zoo_2"}
    assert run("a", form=form).settings == form


def test_a_scheduled_run_asks_zenodo_where_a_manifest_follows_a_record(run, server, caplog):
    publish(server, 701)
    write_manifest(run.folder, "A", concept="700")
    write_manifest(run.folder, "B", concept="700", settings="epochs = 4")
    first = run("a")
    assert first.settings == {**FORM, "epochs": 3, "zenodo_record": "701"}
    assert caplog.messages == ["Release: A, version 1 (Zenodo record 701)"]
    assert len(server.requests) == 1, "once for both"
    publish(server, 702, version="2")
    assert run("b").settings["epochs"] == 4
    assert run("c").settings["zenodo_record"] == "702"


def test_a_scheduled_run_warns_of_what_it_cannot_read_and_takes_the_rest(run, server, caplog):
    publish(server, 701, Manner(status=500))
    write_manifest(run.folder, "Euclid", concept="700")
    write_manifest(run.folder, "one")
    write_manifest(run.folder, "wrong", settings="epochs = 0")
    run("a")
    assert [(record.levelname, record.message.split(".")[0]) for record in caplog.records] == [
        ("WARNING", "A manifest was refused"),
        ("WARNING", "New versions cannot be seen"),
        ("INFO", "Release: one"),
    ]


def test_the_list_says_what_waits_and_which_run_took_what(run):
    write_manifest(run.folder, "one")
    write_manifest(run.folder, "two")
    write_manifest(run.folder, "wrong", settings="epochs = 0")
    run("a")
    taken, waiting, refused = list_announced(run.folder)
    assert (taken.title, taken.run_id) == ("one", "a")
    assert (waiting.title, waiting.run_id) == ("two", "")
    assert refused.title == "wrong.toml"
    assert "epochs" in refused.refusal
    run("b")
    assert [release.run_id for release in list_announced(run.folder)] == ["a", "b", ""]


def test_a_list_that_is_damaged_is_named(run):
    (run.folder / ANNOUNCED).write_text("[{")
    with pytest.raises(InputError, match=f"{ANNOUNCED} is damaged"):
        list_announced(run.folder)


def test_a_list_that_cannot_be_written_stops_no_run_and_is_told(run, caplog):
    write_manifest(run.folder, "one")
    (run.folder / ANNOUNCED).mkdir()
    assert run("a").title == "one"
    assert f"{ANNOUNCED} could not be brought up to date" in caplog.text
