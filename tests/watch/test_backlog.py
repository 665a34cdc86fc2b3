"""Which release a run works on, whoever has started it and whoever has seen the release first."""

import pytest
from fixtures.download_server import Manner
from fixtures.release_events import Store, publish, write_manifest

from galaxy_tasks.errors import InputError
from galaxy_tasks.watch.backlog import (
    ANNOUNCED,
    FOUND,
    TAKEN,
    Watched,
    choose,
    describe_settings,
    list_known,
    take_turn,
)
from galaxy_tasks.watch.inbox import Announcement

ONE, TWO, THREE = (Announcement(name, {}) for name in ("one", "two", "three"))
ALL = [each.as_payload() for each in (ONE, TWO, THREE)]


def test_a_run_takes_the_oldest_that_nobody_has_taken():
    first = take_turn(ALL, taken={}, run_id="a")
    assert (first.announcement, first.taken, first.are_more_waiting) == (ONE, {ONE.key: "a"}, True)
    second = take_turn(ALL, taken=first.taken, run_id="b")
    assert (second.announcement, second.are_more_waiting) == (TWO, True)
    third = take_turn(ALL, taken=second.taken, run_id="c")
    assert (third.announcement, third.are_more_waiting) == (THREE, False)
    assert third.taken == {ONE.key: "a", TWO.key: "b", THREE.key: "c"}


def test_a_run_that_is_tried_again_finds_its_own():
    taken = {ONE.key: "a", TWO.key: "b"}
    turn = take_turn(ALL, taken=taken, run_id="a")
    assert (turn.announcement, turn.taken, turn.are_more_waiting) == (ONE, taken, True)


def test_a_run_that_finds_all_taken_has_nothing_to_do():
    taken = {each.key: "a" for each in (ONE, TWO, THREE)}
    assert take_turn(ALL, taken=taken, run_id="b").announcement is None
    assert take_turn([], taken={}, run_id="b").announcement is None


def test_what_an_earlier_version_has_noted_as_taken_is_taken():
    one = Announcement("one", {"seed": 2026, "epochs": 3})
    assert one.key != one.old_key == "03e8fde5fc7b8f70"
    known = [one.as_payload(), TWO.as_payload()]
    turn = take_turn(known, taken={one.old_key: "a"}, run_id="b")
    assert turn.announcement == TWO
    assert take_turn(known, taken={one.old_key: "a"}, run_id="a").announcement == one
    written_anew = Announcement("one", {"epochs": 3}).as_payload()
    assert list_known(known, [written_anew]) == known


def test_what_is_taken_is_noted_by_a_key_that_no_changed_default_touches():
    one = Announcement("one", {"seed": 2026})
    turn = take_turn([one.as_payload()], taken={}, run_id="a")
    assert turn.taken == {one.key: "a", one.old_key: "a"}


FORM = {"release": "simulated", "epochs": 9, "seed": 1}


@pytest.fixture
def run(tmp_path, server):
    """Choose for a run as the first task does, with the store that earlier runs have left."""

    def make(run_id, *, start="clock", form=FORM):
        watched = Watched(str(make.folder), 0.0, server.address(""), 3600.0)
        return choose(make.store, form, start=start, run_id=run_id, watched=watched)

    make.folder, make.store = tmp_path / "announced", Store()
    make.folder.mkdir()
    return make


def test_a_person_gets_the_form(run):
    write_manifest(run.folder, "one")
    choice = run("a", start="person")
    assert (choice.settings, choice.told, run.store.texts) == (FORM, (), {})


def test_a_persons_settings_that_do_not_go_together_are_refused_at_once(run):
    form = {"weights": "imagenet", "architectures": ["alexnet"]}
    with pytest.raises(InputError, match="'weights' is 'imagenet'"):
        run("a", start="person", form=form)
    assert "'weights' is 'imagenet'" in describe_settings(form)


def test_the_log_shows_the_settings_that_differ():
    told = describe_settings({"epochs": 60, "seed": 1, "simulated_galaxies": 99})
    assert told.splitlines()[0] == "Settings of this run that differ from the defaults:"
    assert told.splitlines()[1:] == ["  seed = 1", "  simulated_galaxies = 99"]
    assert describe_settings({}).endswith("defaults: none")


def test_the_clock_finds_what_no_watcher_has_announced_and_takes_the_oldest(run):
    run.store.set(ANNOUNCED, [TWO.as_payload()])
    run.store.set(TAKEN, {TWO.key: "earlier"})
    write_manifest(run.folder, "one")
    write_manifest(run.folder, "three")
    first = run("a")
    assert first.settings == {**FORM, "epochs": 3}
    assert first.told == ("Release announced: one",)
    assert first.are_more_waiting
    assert run("a") == first, "a task that is tried again has the same"
    second = run("b", start="announcement")
    assert (second.told, second.are_more_waiting) == (("Release announced: three",), False)
    assert run("c", start="announcement").settings is None
    assert [one["name"] for one in run.store.get(FOUND)] == ["one", "three"]
    assert [one["name"] for one in run.store.get(ANNOUNCED)] == ["two"], "the watcher's alone"


def test_the_clock_takes_the_newest_again_where_all_are_taken(run):
    write_manifest(run.folder, "one")
    write_manifest(run.folder, "two")
    told = [run(run_id).told for run_id in ("a", "b", "c", "d")]
    assert told == [(f"Release announced: {name}",) for name in ("one", "two", "two", "two")]
    assert sorted(run.store.get(TAKEN).values()) == ["a", "b"]


def test_the_clock_draws_no_simulated_release_where_nothing_was_announced(run):
    choice = run("a")
    assert choice.settings is None
    assert "Nothing has been announced" in choice.told[-1]
    assert run("a", form={}).settings is None, "it is simulated by default"
    form = {**FORM, "release": "galaxy_zoo_2"}
    assert run("a", form=form).settings == form


def test_the_clock_asks_zenodo_where_a_manifest_follows_a_record(run, server):
    publish(server, 701)
    write_manifest(run.folder, "A", concept="700")
    write_manifest(run.folder, "B", concept="700", settings="epochs = 4")
    first = run("a")
    assert first.settings == {**FORM, "epochs": 3, "zenodo_record": "701"}
    assert first.told == ("Release announced: A, version 1 (Zenodo record 701)",)
    assert len(server.requests) == 1, "once for both"
    publish(server, 702, version="2")
    assert run("b").settings["epochs"] == 4
    assert run("c").settings["zenodo_record"] == "702"


def test_the_clock_tells_what_it_cannot_read_and_goes_on_with_the_rest(run, server):
    publish(server, 701, Manner(status=500))
    write_manifest(run.folder, "Euclid", concept="700")
    write_manifest(run.folder, "one")
    write_manifest(run.folder, "wrong", settings="epochs = 0")
    *problems, told = run("a").told
    assert told == "Release announced: one"
    assert [problem.split(".")[0] for problem in problems] == [
        "A manifest was refused",
        "No new versions can be seen",
    ]


def test_a_run_by_an_announcement_that_others_have_taken_has_nothing_to_do(run):
    choice = run("a", start="announcement")
    assert (choice.settings, choice.told) == (
        None,
        ("Other runs have taken all that was announced.",),
    )
