"""An interrupted download goes on where it was, and of several processes one fetches."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from fixtures.download_inputs import (
    CONTENT,
    DOWNLOAD,
    FAST,
    MD5,
    fetch,
    size_of,
    start_download,
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
        with start_download(address, tmp_path) as process:
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


@pytest.mark.parametrize("count", [1, 2, 3], ids=["sidecar", "record", "file"])
def test_a_process_killed_at_any_rename_leaves_nothing_half(server, tmp_path, count):
    address = server.serve("/a", CONTENT)
    script = KILL_AT_RENAME + DOWNLOAD
    command = [sys.executable, "-c", script, address, str(tmp_path), "", str(count)]
    killed = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "galaxies.zip").exists()

    assert fetch(address, tmp_path).path.read_bytes() == CONTENT

    assert len(server.requests) == (2 if count == 1 else 1)
    assert visible_files(tmp_path) == ["galaxies.zip", "galaxies.zip.sha256"]


def test_after_a_failure_of_the_machine_only_flushed_bytes_are_believed(server, tmp_path):
    """As a power failure leaves it: the tail of the part has its length, but zeros in it."""
    settings = replace(FAST, flush_every_bytes=100_000, tries=1)
    address = server.serve("/a", CONTENT, Manner(cut_after=250_000), Manner(status=500))
    with pytest.raises(ResourceError):
        fetch(address, tmp_path, settings=settings)
    part, sidecar = tmp_path / "galaxies.zip.part", tmp_path / "galaxies.zip.part.json"
    assert part.stat().st_size == 250_000
    known = json.loads(sidecar.read_text())
    flushed_bytes = known["flushed_bytes"]
    assert 100_000 <= flushed_bytes < 250_000
    part.write_bytes(CONTENT[:flushed_bytes] + bytes(250_000 - flushed_bytes))
    sidecar.write_text(json.dumps({**known, "boot_id": "another"}))

    assert fetch(address, tmp_path).path.read_bytes() == CONTENT

    assert server.requests[-1].headers["Range"] == f"bytes={flushed_bytes}-"


def test_two_processes_at_once_fetch_once(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(piece_pause_s=0.15))
    processes = [start_download(address, tmp_path, MD5) for _ in range(2)]

    lines = [process.communicate(timeout=30)[0].split() for process in processes]

    assert sorted(words[-1] for words in lines) == ["already_there", "downloaded"]
    assert server.sent_bytes == len(CONTENT)
    assert "waiting" in {word for words in lines for word in words}


def test_a_lock_that_is_never_freed_ends_the_wait(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(hold_after=1000))
    with start_download(address, tmp_path) as process:
        wait_until(lambda: size_of(tmp_path / "galaxies.zip.part") == 1000)
        with pytest.raises(ResourceError, match="stayed locked"):
            fetch(address, tmp_path, settings=replace(FAST, lock_timeout_s=0.1))
        process.kill()


def test_an_interrupt_ends_several_downloads_at_once(server, tmp_path):
    script = (
        DOWNLOAD.replace("fetched = fetch_file(", "fetched = fetch_files([")
        .replace("md5=md5 or None),", "md5=md5 or None), RemoteFile('b', (address,))],")
        .replace("fetch_file\n", "fetch_files\n")
    )
    address = server.serve("/a", CONTENT, *[Manner(piece_pause_s=0.5)] * 2)
    with subprocess.Popen(
        [sys.executable, "-c", script, address, str(tmp_path), ""], stderr=subprocess.PIPE
    ) as process:
        wait_until(lambda: all(size_of(tmp_path / f"{n}.part") for n in ("galaxies.zip", "b")))
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=10)[1]
    assert b"KeyboardInterrupt" in errors
    assert time.monotonic() - began_s < 5  # of 9
    assert size_of(tmp_path / "b.part") > 0
