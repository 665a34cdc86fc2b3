"""New versions of a concept record are seen on a server that answers as Zenodo, or badly."""

import json

import pytest
from fixtures.download_server import DownloadServer, Manner

from galaxy_tasks.acquisition.zenodo import (
    ZenodoFile,
    ZenodoUnavailableError,
    parse_record,
    request_latest,
)
from galaxy_tasks.config import parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.watch.inbox import Manifest
from galaxy_tasks.watch.zenodo_poller import ZenodoPoller

LATEST = "/api/records/700/versions/latest"
SEARCH = "/api/records?q=conceptrecid%3A700&size=1"
MANIFEST = Manifest("Euclid", {"release": "galaxy_zoo_euclid"}, "700")


def make_record(number=701, *, version="1.0", concept="700", files=()):
    """As Zenodo answers, cut down to what is read of it and a little more."""
    return {
        "id": number,
        "conceptrecid": concept,
        "doi": f"10.5281/zenodo.{number}",
        "metadata": {"title": "Euclid", "version": version, "publication_date": "2026-11-20"},
        "files": [
            {
                "key": name,
                "size": 97_300_000,
                "checksum": f"md5:{md5}",
                "links": {"self": f"https://zenodo.org/api/records/{number}/files/{name}/content"},
            }
            for name, md5 in files
        ],
    }


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    server = DownloadServer()
    yield server
    server.stop()


def publish(server, record, *manners, path=LATEST):
    content = record if isinstance(record, bytes) else json.dumps(record).encode()
    server.serve(path, content, *manners)


class Clock:
    """Time that passes when it is told to."""

    now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(server, clock):
    return ZenodoPoller(server.address(""), 3600.0, timeout_s=0.5, clock=clock)


def test_a_record_is_read_with_its_files():
    record = parse_record(make_record(files=[("a.csv", "A" * 32)]))
    assert (record.id, record.concept, record.version) == ("701", "700", "1.0")
    (file,) = record.files
    address = "https://zenodo.org/api/records/701/files/a.csv/content"
    assert file == ZenodoFile(name="a.csv", address=address, size_bytes=97_300_000, md5="a" * 32)


def test_a_record_without_a_version_has_its_day_and_one_without_files_has_none():
    answer = make_record(version=None) | {"files": None}
    record = parse_record(answer)
    assert (record.version, record.files) == ("2026-11-20", ())


@pytest.mark.parametrize(
    "answer",
    [
        *(None, [], "record", {}, {"id": 7}, {"id": "7/../8", "conceptrecid": "6"}),
        {"id": True, "conceptrecid": "6"},
        make_record() | {"files": [{"key": "a.csv"}]},
    ],
)
def test_what_is_no_record_is_refused(answer):
    with pytest.raises(InputError, match="Zenodo's answer is no record"):
        parse_record(answer)


def test_a_long_version_stays_on_one_short_line():
    record = parse_record(make_record(version="one\nERROR: two" + "!" * 999))
    assert record.version.startswith("one ERROR: two!")
    assert len(record.version) == 80


def test_the_latest_version_is_asked_for_and_else_searched_for(server):
    publish(server, make_record(703))
    assert request_latest("700", url=server.address("")).id == "703"
    del server.files[LATEST]
    publish(server, {"hits": {"hits": [make_record(704)], "total": 1}}, path=SEARCH)
    assert request_latest("700", url=server.address("")).id == "704"


def test_a_concept_that_is_not_there_is_told(server):
    publish(server, {"hits": {"hits": [], "total": 0}}, path=SEARCH)
    with pytest.raises(InputError, match=r"no concept record 700: .*answers 404"):
        request_latest("700", url=server.address(""))


def test_the_id_of_a_version_is_refused_with_that_of_its_concept(server):
    publish(server, make_record(702), path="/api/records/701/versions/latest")
    with pytest.raises(InputError, match="Expected the concept's own number: '700'"):
        request_latest("701", url=server.address(""))


def test_each_version_is_announced_with_its_record_and_the_manifests_settings(server, watch, clock):
    publish(server, make_record(701, files=[("a.csv", "1" * 32)]))
    ((first,), problems) = watch.poll([MANIFEST])
    assert problems == []
    assert first.settings == {"release": "galaxy_zoo_euclid", "zenodo_record": "701"}
    assert parse_config(first.settings).zenodo_record == "701"
    assert (first.title, first.files) == (
        "Euclid, version 1.0 (Zenodo record 701)",
        {"a.csv": "1" * 32},
    )
    publish(server, make_record(702, version="2.0"))
    clock.now_s += 3600
    ((second,), _) = watch.poll([MANIFEST])
    assert (second.version, second.key == first.key) == ("2.0", False)


def test_a_concept_is_asked_for_once_in_the_interval_whoever_follows_it(server, watch, clock):
    publish(server, make_record())
    others = [MANIFEST, Manifest("Euclid, long", {"epochs": 99}, "700"), Manifest("other", {})]
    for _ in range(5):
        found, _ = watch.poll(others)
        clock.now_s += 700
    assert [one.name for one in found] == ["Euclid", "Euclid, long"]
    assert len(server.requests) == 1
    clock.now_s += 100
    watch.poll(others)
    assert len(server.requests) == 2


def test_nothing_is_asked_where_no_manifest_follows_a_record(server, watch):
    assert watch.poll([Manifest("other", {})]) == ([], [])
    assert server.requests == []


@pytest.mark.parametrize(
    ("manner", "told"),
    [
        (Manner(status=500), "answers 500"),
        (Manner(status=404), "Zenodo has no concept record 700"),
        (Manner(cut_after=20), "the connection failed"),
        (Manner(hold_after=20), "timed out after 0.5 s"),
        (Manner(resets=True, cut_after=0), "the connection failed"),
    ],
)
def test_a_failure_is_told_once_and_tried_again_later_and_later(server, watch, clock, manner, told):
    publish(server, {"hits": {"hits": []}}, path=SEARCH)
    publish(server, make_record(), *[manner] * 3)
    (found, (problem,)) = watch.poll([MANIFEST])
    assert found == []
    assert told in problem
    for pause_s in (59, 61, 119):
        clock.now_s += pause_s
        assert watch.poll([MANIFEST]) == ([], [])
    asked = [each for each in server.requests if each.path == LATEST]
    assert len(asked) == 2
    clock.now_s += 1
    assert watch.poll([MANIFEST]) == ([], [])
    clock.now_s += 240
    ((one,), _) = watch.poll([MANIFEST])
    assert one.settings["zenodo_record"] == "701"


def test_a_page_in_place_of_json_is_told_and_what_was_known_stays(server, watch, clock):
    publish(server, make_record())
    ((first,), _) = watch.poll([MANIFEST])
    publish(server, b"<html>Zenodo is under maintenance</html>")
    clock.now_s += 3600
    found, (problem,) = watch.poll([MANIFEST])
    assert found == [first]
    assert "sent no JSON. Received: '<html>Zenodo is under" in problem


def test_zenodo_says_how_long_it_wants_to_be_left_alone(server, watch, clock):
    publish(server, make_record(), Manner(status=429, headers={"Retry-After": "7200"}))
    _, (problem,) = watch.poll([MANIFEST])
    assert "answers 429" in problem
    clock.now_s += 7199
    watch.poll([MANIFEST])
    assert len(server.requests) == 1
    clock.now_s += 1
    assert len(watch.poll([MANIFEST])[0]) == 1


def test_an_answer_that_takes_for_ever_is_given_up(server):
    publish(server, b"[" * 1_000_000, Manner(piece_pause_s=0.1))
    with pytest.raises(ZenodoUnavailableError, match=r"timed out after 0\.3 s"):
        request_latest("700", url=server.address(""), timeout_s=0.3)


def test_an_answer_too_large_for_a_record_is_given_up(server):
    publish(server, b"[" * (9 * 2**20))
    with pytest.raises(ZenodoUnavailableError, match="sends more than 8388608 bytes"):
        request_latest("700", url=server.address(""))


@pytest.mark.parametrize("head", [b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nX: "])
def test_an_answer_that_drips_is_given_up_before_its_content(server, head):
    publish(server, make_record(), Manner(raw=head, drips=b"0"))
    with pytest.raises(ZenodoUnavailableError, match=r"timed out after 0\.3 s"):
        request_latest("700", url=server.address(""), timeout_s=0.3)


def test_all_steps_of_an_answer_share_one_deadline(server):
    onward = f"HTTP/1.1 302 Found\r\nLocation: {server.address(LATEST)}\r\n"
    slow = Manner(raw=onward.encode(), drips=b"X: 123456789\r\n\r\n")
    publish(server, make_record(), *[slow] * 4)  # a third of a second each
    with pytest.raises(ZenodoUnavailableError, match="timed out"):
        request_latest("700", url=server.address(""), timeout_s=0.5)
