"""Whatever a server does wrong, a file is fetched whole and verified or not at all."""

import datetime
import email.utils
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fixtures.download_inputs import CONTENT, FAST, MD5, SHA256, fetch, visible_files, wait_until
from fixtures.download_server import DownloadServer, Manner

from galaxy_tasks.acquisition.downloads.fetching import fetch_file
from galaxy_tasks.acquisition.downloads.records import RemoteFile
from galaxy_tasks.errors import InputError, ResourceError


@pytest.mark.parametrize(
    ("manners", "requests"),
    [
        ([Manner(status=503, headers={"Retry-After": "1"})], 2),
        ([Manner(status=500), Manner(status=429), Manner(status=408)], 4),
        ([Manner(cut_after=100_000), Manner(ignores_range=True)], 2),
        ([Manner(cut_after=100_000), Manner(ignores_range=True, cut_after=50_000)], 3),
        ([Manner(cut_after=100_000), Manner(headers={"Content-Range": "bytes 7-8/9"})], 3),
        ([Manner(cut_after=100_000), Manner(headers={"Content-Range": None})], 3),
        ([Manner(cut_after=100_000), Manner(status=416)], 3),
        ([Manner(length_error=5)], 2),
        ([Manner(length_error=-5)], 2),
        ([Manner(headers={"Content-Encoding": "gzip"})], 2),
        ([Manner(is_chunked=True)], 1),
        ([Manner(is_chunked=True, cut_after=100_000)], 2),
        ([Manner(headers={"Content-Length": None})], 1),
        ([Manner(headers={"Content-Length": None}, cut_after=100_000)], 2),
        ([Manner(hold_after=100_000)], 2),
        ([Manner(hold_after=0)], 2),
        ([Manner(cut_after=0)], 2),
        ([Manner(status=204), Manner(status=200)], 3),
        ([Manner(status=302, headers={"Location": "http://[bad"})], 2),
        ([Manner(status=302, headers={"Location": "http://host:bad/"})], 2),
        ([Manner(status=503, headers={"Retry-After": "Mon, 99 Foo 99999999999 x"})], 2),
        ([Manner(status=503, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 -9999"})], 2),
    ],
    ids=str,
)
def test_what_a_server_does_wrong_once_is_overcome(server, tmp_path, manners, requests):
    address = server.serve("/a", CONTENT, *manners)

    fetched = fetch(address, tmp_path, size_bytes=len(CONTENT), sha256=SHA256)

    assert fetched.path.read_bytes() == CONTENT
    assert len(server.requests) == requests
    assert visible_files(tmp_path) == ["galaxies.zip", "galaxies.zip.sha256"]


@pytest.mark.parametrize(
    ("manner", "known", "error", "message"),
    [
        (Manner(status=404), {}, InputError, "answers 404"),
        (Manner(status=403), {}, InputError, "answers 403"),
        (Manner(status=500), {}, ResourceError, "answers 500 .* run again to go on"),
        (Manner(status=503, headers={"Retry-After": "600"}), {}, ResourceError, "wait 10 min"),
        (Manner(status=503, headers={"Retry-After": "9" * 400}), {}, ResourceError, "wait 720 h"),
        (Manner(status=302, headers={"Location": "http://[bad"}), {}, InputError, "understood"),
        (Manner(status=304, headers={"Location": "http://[bad"}), {}, InputError, "no address"),
        (Manner(length_error=5), {}, ResourceError, "after byte 300000 of 300005|416"),
        (Manner(length_error=5), {"size_bytes": 300_000}, InputError, "300000 .* 300005 bytes"),
        (Manner(length_error=-5), {"md5": MD5}, InputError, f"expected MD5 {MD5}"),
        (Manner(), {"size_bytes": 10}, InputError, "expected 10 bytes, received 300000 bytes"),
        (Manner(), {"sha256": "0" * 64}, InputError, f"received {SHA256}"),
        (Manner(headers={"Content-Encoding": "gzip"}), {}, InputError, "Content-Encoding 'gzip'"),
        (Manner(headers={"Content-Length": None}), {}, InputError, "could not be told from"),
        (Manner(hold_after=10), {}, ResourceError, "timed out"),
        (Manner(cut_after=0), {}, ResourceError, "ended after byte 0 of 300000"),
        (Manner(is_chunked=True), {"size_bytes": 1_000}, InputError, "more than the 1000 bytes"),
        (Manner(status=302, headers={"Location": "ftp://host/a?secret"}), {}, InputError, "ftp:"),
        (Manner(status=302, headers={"Location": "file:///etc/passwd"}), {}, InputError, "file:"),
        (Manner(status=302, headers={"Location": "/a"}), {}, InputError, "in circles"),
    ],
)
def test_what_a_server_does_wrong_for_ever_is_named(
    server, tmp_path, manner, known, error, message
):
    address = server.serve("/a", CONTENT, *[manner] * 40)
    settings = replace(FAST, timeout_s=0.5)

    with pytest.raises(error, match=message) as raised:
        fetch(address, tmp_path, settings=settings, **known)

    assert address in str(raised.value)
    assert "secret" not in str(raised.value)
    assert not (tmp_path / "galaxies.zip").exists()
    assert len(server.requests) <= 12


REST_OF_NOTHING = (
    b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n"
    b"Content-Range: bytes 300000-300004/300005\r\n\r\n"
)


@pytest.mark.parametrize(
    ("manners", "times_sent"),
    [
        ([Manner(length_error=5)] * 20, 1),
        ([Manner(length_error=5), Manner(raw=b"HTTP/1.1 416 No\r\n\r\n")], 1),
        ([Manner(length_error=5, ignores_range=True)] * 20, 2),
        ([Manner(length_error=5), Manner(raw=REST_OF_NOTHING)], 1),
    ],
    ids=["refuses the rest", "refuses without a size", "sends all again", "sends nothing more"],
)
def test_the_hash_counts_more_than_a_length_that_is_too_large(
    server, tmp_path, manners, times_sent
):
    address = server.serve("/a", CONTENT, *manners)

    fetched = fetch(address, tmp_path, md5=MD5)

    assert fetched.path.read_bytes() == CONTENT
    assert len(server.requests) == 2
    assert server.sent_bytes == times_sent * len(CONTENT)


def test_a_whole_part_of_which_nothing_is_known_is_not_fetched_again(server, tmp_path):
    (tmp_path / "galaxies.zip.part").write_bytes(CONTENT)
    assert fetch(server.serve("/a", CONTENT), tmp_path, md5=MD5).received_bytes == 0
    assert [request.headers["Range"] for request in server.requests] == ["bytes=300000-"]


def test_a_server_that_drips_is_left(server, tmp_path):
    slow = [Manner(piece_pause_s=0.15)] * 10
    address = server.serve("/a", CONTENT, *slow)
    quick = server.serve("/b", CONTENT)
    settings = replace(FAST, timeout_s=0.4, slowest_bytes_per_s=150_000, shortest_pause_s=2)

    fetched = fetch((address, quick), tmp_path, settings=settings, sha256=SHA256)

    assert [request.path for request in server.requests] == ["/a", "/b"]
    assert fetched.received_bytes == len(CONTENT)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "manner",
    [
        Manner(raw=b"", drips=b"H"),
        Manner(raw=b"HTTP/1.1 200 OK\r\nX: ", drips=b"a"),
        Manner(raw=b"", drips=b"HTTP/1.1 100 Continue\r\n\r\n"),
        Manner(raw=CHUNKED, drips=b"0"),
        Manner(raw=CHUNKED + b"1\r\n" + CONTENT[:1] + b"\r\n0\r\n", drips=b"X: 1\r\n"),
        Manner(raw=b"HTTP/1.1 404 No\r\nX: ", drips=b"a"),
    ],
    ids=["status", "header", "interim answers", "length of a chunk", "trailer", "refusal"],
)
def test_a_server_that_drips_what_is_no_content_is_left(server, tmp_path, manner):
    address = server.serve("/a", CONTENT, manner)
    quick = server.serve("/b", CONTENT)
    settings = replace(FAST, timeout_s=0.3, shortest_pause_s=2)

    fetched = fetch((address, quick), tmp_path, settings=settings, sha256=SHA256)

    assert [request.path for request in server.requests] == ["/a", "/b"]
    assert fetched.path.read_bytes() == CONTENT


def test_the_page_of_a_redirect_is_not_read(server, tmp_path):
    onward = f"HTTP/1.1 302 Found\r\nLocation: {server.serve('/b', CONTENT)}\r\n\r\n"
    address = server.serve("/a", b"", Manner(raw=onward.encode(), drips=b"x"))
    fetch(address, tmp_path, settings=replace(FAST, tries=1))
    assert [request.path for request in server.requests] == ["/a", "/b"]


@pytest.mark.parametrize(
    "manner",
    [Manner(raw=b"HTTP/1.1 200 OK\r\nX: ", drips=b"a"), Manner(hold_after=1000)],
    ids=["dripping", "silent"],
)
def test_a_stop_ends_the_wait_for_a_server(server, tmp_path, manner):
    remote = RemoteFile("a", (server.serve("/a", CONTENT, manner),))
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(
            fetch_file, remote, folder=tmp_path, settings=replace(FAST, timeout_s=600), stop=stop
        )
        wait_until(lambda: server.requests)
        stop.set()
        with pytest.raises(ResourceError, match=r"a: stopped; what has come is kept"):
            fetching.result(timeout=20)
    assert len(server.requests) == 1


def test_nobody_answering_is_no_fault_of_the_input(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    unused = DownloadServer()
    address = unused.address("/a")
    unused.stop()
    with pytest.raises(ResourceError, match="refused"):
        fetch(address, tmp_path)


def test_a_date_in_retry_after_is_waited_for(server, tmp_path):
    at = email.utils.format_datetime(
        datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2), usegmt=True
    )
    address = server.serve("/a", CONTENT, Manner(status=429, headers={"Retry-After": at}))
    began_s = time.monotonic()
    fetch(address, tmp_path)
    assert time.monotonic() - began_s > 0.9
