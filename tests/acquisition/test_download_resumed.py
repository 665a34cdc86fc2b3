"""An interrupted download continues where it was, with bytes of the same file only."""

import hashlib
import json
import random
import signal
import time
from dataclasses import replace

import pytest
from fixtures.download_inputs import (
    CONTENT,
    FAST,
    MD5,
    OTHER,
    fetch,
    size_of,
    start_fetching,
    visible_files,
    wait_until,
)
from fixtures.download_server import Manner

from galaxy_tasks.errors import ResourceError


@pytest.mark.parametrize("resets", [False, True], ids=["closed", "reset"])
def test_ten_cut_connections_cost_no_byte_twice(server, tmp_path, resets):
    content = random.Random(3).randbytes(4_000_000)
    cuts = [Manner(cut_after=350_000, resets=resets)] * 10
    address = server.serve("/a", content, *cuts)

    fetched = fetch(address, tmp_path, sha256=hashlib.sha256(content).hexdigest())

    assert fetched.path.read_bytes() == content
    assert len(server.requests) == 11
    assert server.sent_bytes <= 1.02 * len(content)


def test_ten_killed_processes_cost_at_most_two_percent(server, tmp_path):
    content = random.Random(4).randbytes(8_000_000)
    step = len(content) // 11
    address = server.serve("/a", content, *[Manner(hold_after=step)] * 10)
    part = tmp_path / "galaxies.zip.part"

    for killed in range(1, 11):
        with start_fetching(tmp_path, address) as process:
            wait_until(lambda count=killed: size_of(part) == count * step)
            assert visible_files(tmp_path) == ["galaxies.zip.part", "galaxies.zip.part.json"]
            process.kill()
    fetched = fetch(address, tmp_path, sha256=hashlib.sha256(content).hexdigest())

    assert fetched.received_bytes == len(content) - 10 * step
    assert server.sent_bytes <= 1.02 * len(content)


KILL_AT_RENAME = """
import os, signal, sys
left = int(sys.argv.pop())
def kill_at(event, arguments):
    global left
    left -= event == "os.rename"
    if event == "os.rename" and not left:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill_at)
"""


@pytest.mark.parametrize("count", [1, 2, 3], ids=["part's version", "SHA-256", "file"])
def test_a_process_killed_at_any_rename_leaves_nothing_half(server, tmp_path, count):
    address = server.serve("/a", CONTENT)
    with start_fetching(tmp_path, address, str(count), before=KILL_AT_RENAME) as killed:
        killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "galaxies.zip").exists()

    assert fetch(address, tmp_path).path.read_bytes() == CONTENT

    assert len(server.requests) == (2 if count == 1 else 1)
    assert visible_files(tmp_path) == ["galaxies.zip", "galaxies.zip.sha256"]


def test_after_a_power_failure_only_flushed_bytes_are_used(server, tmp_path):
    """The tail of the part has its length then, but may hold zeros."""
    settings = replace(FAST, flush_every_bytes=100_000, tries=1)
    address = server.serve("/a", CONTENT, Manner(cut_after=190_000), Manner(status=500))
    with pytest.raises(ResourceError):
        fetch(address, tmp_path, settings=settings)
    part, sidecar = tmp_path / "galaxies.zip.part", tmp_path / "galaxies.zip.part.json"
    assert part.stat().st_size == 190_000
    known = json.loads(sidecar.read_text())
    flushed_bytes = known["flushed_bytes"]
    assert 100_000 <= flushed_bytes < 190_000
    part.write_bytes(CONTENT[:flushed_bytes] + bytes(190_000 - flushed_bytes))
    sidecar.write_text(json.dumps({**known, "boot_id": "another"}))

    assert fetch(address, tmp_path).path.read_bytes() == CONTENT

    assert server.requests[-1].headers["Range"] == f"bytes={flushed_bytes}-"


def test_of_two_processes_one_fetches_and_the_other_waits(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(piece_pause_s=0.15))
    processes = [start_fetching(tmp_path, address) for _ in range(2)]

    outputs = [process.communicate(timeout=60)[0] for process in processes]

    assert sorted(text.split()[-1] for text in outputs) == ["already_there", "downloaded"]
    assert server.sent_bytes == len(CONTENT)
    assert any("waiting for process" in text for text in outputs)


def test_a_lock_that_is_never_freed_ends_the_wait(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(hold_after=1000))
    with start_fetching(tmp_path, address) as process:
        wait_until(lambda: size_of(tmp_path / "galaxies.zip.part") == 1000)
        with pytest.raises(ResourceError, match=f"stayed locked .* by process {process.pid} on"):
            fetch(address, tmp_path, settings=replace(FAST, lock_timeout_s=0.1))
        process.kill()


def test_an_interrupt_ends_several_downloads_at_once(server, tmp_path):
    address = server.serve("/a", CONTENT, *[Manner(piece_pause_s=0.5)] * 2)
    with start_fetching(tmp_path, address, address) as process:
        parts = [tmp_path / f"{name}.zip.part" for name in ("galaxies", "tables")]
        wait_until(lambda: all(map(size_of, parts)))
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=10)[1]
    assert "KeyboardInterrupt" in errors
    assert time.monotonic() - began_s < 5  # of 9
    assert all(map(size_of, parts))


def test_an_interrupt_ends_the_wait_for_another_process(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(hold_after=1000))
    with start_fetching(tmp_path, address) as holder:
        wait_until(lambda: size_of(tmp_path / "galaxies.zip.part") == 1000)
        with start_fetching(tmp_path, address) as waiting:
            assert "waiting for process" in waiting.stdout.readline()
            waiting.send_signal(signal.SIGINT)
            assert "KeyboardInterrupt" in waiting.communicate(timeout=10)[1]
        holder.kill()


@pytest.mark.parametrize("known", [{}, {"sha256": hashlib.sha256(OTHER).hexdigest()}])
@pytest.mark.parametrize("ignores_if_range", [False, True])
def test_a_file_that_changes_in_between_is_fetched_from_its_beginning(
    server, tmp_path, known, ignores_if_range
):
    address = server.serve("/a", CONTENT, Manner(cut_after=100_000), Manner(status=500))
    with pytest.raises(ResourceError):
        fetch(address, tmp_path, settings=replace(FAST, tries=1), **known)
    server.serve("/a", OTHER, Manner(ignores_if_range=ignores_if_range), etag='"two"')

    assert fetch(address, tmp_path, **known).path.read_bytes() == OTHER


def test_a_change_that_the_server_hides_is_found_by_the_hash(server, tmp_path):
    address = server.serve("/a", OTHER, Manner(cut_after=100_000), Manner(status=500))
    with pytest.raises(ResourceError):
        fetch(address, tmp_path, settings=replace(FAST, tries=1), md5=MD5)
    server.serve("/a", CONTENT)  # same ETag, same date, other bytes

    assert fetch(address, tmp_path, md5=MD5).path.read_bytes() == CONTENT


def test_without_hash_and_version_the_rest_is_not_trusted(server, tmp_path):
    no_marks = {"ETag": 'W/"weak"', "Last-Modified": None}
    address = server.serve(
        "/a", CONTENT, Manner(headers=no_marks, cut_after=100_000), Manner(headers=no_marks)
    )
    assert fetch(address, tmp_path).path.read_bytes() == CONTENT
    assert "Range" not in server.requests[1].headers


def test_a_date_serves_where_the_etag_is_weak(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(cut_after=100_000), etag='W/"weak"')
    fetch(address, tmp_path)
    assert server.requests[1].headers["If-Range"] == server.last_modified
    assert server.sent_bytes == len(CONTENT)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"address": 1'])
def test_a_damaged_sidecar_costs_a_new_start_only(server, tmp_path, text):
    (tmp_path / "galaxies.zip.part").write_bytes(OTHER[:1000])
    (tmp_path / "galaxies.zip.part.json").write_text(text)
    assert fetch(server.serve("/a", CONTENT), tmp_path).path.read_bytes() == CONTENT
