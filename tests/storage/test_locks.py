"""Of several that want a lock one has it, and the others say for whom they wait."""

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from galaxy_tasks.errors import ResourceError
from galaxy_tasks.storage.locks import hold_lock

HOLD = """
import sys, threading
from pathlib import Path
from galaxy_tasks.storage.locks import hold_lock
with hold_lock(Path(sys.argv[1]), timeout_s=10):
    print("locked", flush=True)
    threading.Event().wait(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock `tmp_path / "lock"`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def test_who_waits_logs_for_whom_at_once_and_when_it_gives_up(holder, tmp_path, caplog):
    named = f"process {holder.pid} on {socket.gethostname()}"
    with (
        pytest.raises(ResourceError, match=f"stayed locked for 0 s by {named}"),
        hold_lock(tmp_path / "lock", timeout_s=0.3),
    ):
        pass
    assert caplog.messages == [f"{tmp_path / 'lock'}: waiting for {named}, which holds the lock"]


def test_a_process_that_dies_frees_its_lock_and_the_next_is_named(holder, tmp_path):
    holder.kill()
    holder.wait()
    with hold_lock(tmp_path / "lock", timeout_s=5):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")


def test_a_wait_ends_when_it_is_told_to(holder, tmp_path):
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with (
        pytest.raises(ResourceError, match=r"Stopped while waiting for .*lock"),
        hold_lock(tmp_path / "lock", timeout_s=60, stop=stop),
    ):
        pass


def test_threads_of_one_process_take_turns(tmp_path):
    inside: list[int] = []

    def count_inside(_: int) -> int:
        with hold_lock(tmp_path / "new" / "lock", timeout_s=60):
            inside.append(1)
            most = len(inside)
            threading.Event().wait(0.01)
            inside.pop()
        return most

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count_inside, range(8))) == [1] * 8
