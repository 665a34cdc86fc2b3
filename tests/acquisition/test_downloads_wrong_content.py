"""What an address sends in place of the file costs that address, and not the file."""

from dataclasses import replace

import pytest
from fixtures.download_inputs import CONTENT, FAST, MD5, OTHER, fetch
from fixtures.download_server import Manner

from galaxy_tasks.errors import InputError

PAGE = b" \r\n<!DOCTYPE html><title>Maintenance</title>"
PAGE_200 = Manner(
    raw=b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE)
)


@pytest.mark.parametrize(
    "manner",
    [
        PAGE_200,
        Manner(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        Manner(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Manner(headers={"Content-Length": "9" * 17}, hold_after=0),
        Manner(headers={"Content-Length": "9" * 5000}),
        Manner(headers={"Content-Length": "-5"}),
    ],
    ids=["page", "empty", "empty chunks", "petabytes", "no number", "less than nothing"],
)
def test_what_is_no_file_is_passed_over_though_nothing_is_known_of_it(server, tmp_path, manner):
    wrong = server.serve("/a", CONTENT, *[manner] * 9)
    right = server.serve("/b", CONTENT)
    fetched = fetch((wrong, right), tmp_path, settings=replace(FAST, shortest_pause_s=2))
    assert fetched.path.read_bytes() == CONTENT
    assert [request.path for request in server.requests] == ["/a", "/b"]


def test_a_page_does_not_cost_what_has_come(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(cut_after=200_000), PAGE_200, PAGE_200)
    assert fetch(address, tmp_path, md5=MD5).received_bytes == len(CONTENT)


def test_a_page_is_a_file_where_it_is_asked_for_or_its_hash_is_right(server, tmp_path):
    stated = {"Content-Type": "text/html"}
    address = server.serve("/a", CONTENT, *[Manner(headers=stated)] * 2)
    assert fetch(address, tmp_path / "no markup").path.read_bytes() == CONTENT
    assert fetch(address, tmp_path / "known", md5=MD5).path.read_bytes() == CONTENT


def test_only_pages_are_named_as_such(server, tmp_path):
    with pytest.raises(InputError, match="sends a web page in place of the file"):
        fetch(server.serve("/a", CONTENT, *[PAGE_200] * 9), tmp_path)


def test_a_wrong_beginning_from_one_address_is_not_blamed_on_another(server, tmp_path):
    """The first has an older file and breaks off each time; the second has the right one."""
    wrong = server.serve("/a", OTHER, *[Manner(cut_after=100_000, ignores_range=True)] * 9)
    right = server.serve("/b", CONTENT)
    assert fetch((wrong, right), tmp_path, md5=MD5).path.read_bytes() == CONTENT


def test_the_words_of_a_server_are_shown_short_and_as_text(server, tmp_path, capsys):
    answer = b"HTTP/1.1 404 \x1b[31mERROR " + b"a" * 3000 + b"\r\n\r\n"
    with pytest.raises(InputError, match=r"answers 404  \[31mERROR aaa") as raised:
        fetch(server.serve("/a", CONTENT, Manner(raw=answer)), tmp_path)
    assert len(str(raised.value)) < 600
    assert "\x1b" not in capsys.readouterr().out
