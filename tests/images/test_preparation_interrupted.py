"""A preparation that was killed goes on, and ends with the bytes of one that was not."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from fixtures.preparation_inputs import (
    ROOT,
    contents,
    make_galaxies,
    spoil,
)

from galaxy_tasks.errors import ResourceError
from galaxy_tasks.images.resume import SlotFile

SCRIPT = """
    import sys
    from pathlib import Path
    import pandas as pd
    from galaxy_tasks.config import RunConfig
    from galaxy_tasks.images.settings import ImageSettings
    from galaxy_tasks.logs import set_up_logging
    from galaxy_tasks.images.batch import prepare_cutouts
    if __name__ == "__main__":
        set_up_logging()
        folder = Path(sys.argv[1])
        (folder / "out").mkdir(exist_ok=True)
        prepare_cutouts(
            folder / "out",
            galaxies=pd.read_parquet(folder / "galaxies.parquet"),
            image_folders=[folder / "in"],
            # Non-local means: slow enough to be interrupted.
            settings=ImageSettings.from_config(
                RunConfig(image_size_px=64, denoise_method="non_local_means")
            ),
            max_rejected_fraction=0.05,
            workers=2,
        )
        print("finished")
"""


def start(folder: Path) -> subprocess.Popen[str]:
    (folder / "prepare.py").write_text(textwrap.dedent(SCRIPT))
    return subprocess.Popen(
        [sys.executable, str(folder / "prepare.py"), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, *, what: str, timeout_s: float = 60) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain for {what}"
        time.sleep(0.02)


def process_group(leader: int) -> list[int]:
    """Processes of the group that live; the leader of a new session leads its group too."""
    lines = subprocess.run(
        ["ps", "-eo", "pid,pgid,stat"], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in lines.stdout.splitlines()[1:]]
    return [int(pid) for pid, group, state in rows if int(group) == leader and state[0] != "Z"]


@pytest.fixture
def interrupted(tmp_path):
    """A folder with galaxies, some of them refused, and the process that prepares them."""
    galaxies = make_galaxies(tmp_path / "in", 400)
    spoil(tmp_path / "in")
    galaxies.to_parquet(tmp_path / "galaxies.parquet")
    process = start(tmp_path)
    records = tmp_path / "out" / "work"
    try:
        wait_for(lambda: any(records.glob("chunks-*.json")), what="finished chunks")
        yield tmp_path, process
    finally:
        for pid in process_group(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def test_a_killed_preparation_goes_on_and_ends_with_the_same_bytes(interrupted, tmp_path_factory):
    folder, process = interrupted
    process.kill()
    wait_for(lambda: not process_group(process.pid), what="the workers to follow their parent")
    assert not (folder / "out" / "images.npy").exists()
    second = start(folder)
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 0, output
    done_before = re.search(r"([\d,]+) images were prepared before the interruption", output)
    assert done_before, output
    assert int(done_before[1].replace(",", "")) >= 64
    whole = tmp_path_factory.mktemp("whole")
    (whole / "in").symlink_to(folder / "in")
    (whole / "galaxies.parquet").symlink_to(folder / "galaxies.parquet")
    never_interrupted = start(whole)
    output, _ = never_interrupted.communicate(timeout=60)
    assert never_interrupted.returncode == 0, output
    assert contents(folder / "out") == contents(whole / "out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_processes(interrupted, number):
    _, process = interrupted
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    wait_for(lambda: not process_group(process.pid), what="all workers to end", timeout_s=20)


def test_a_killed_worker_is_an_error_that_says_so(interrupted):
    _, process = interrupted
    workers = [pid for pid in process_group(process.pid) if pid != process.pid]
    # The one that multiprocessing starts for itself is the oldest.
    os.kill(max(workers), signal.SIGKILL)
    output, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "ResourceError: A process that prepares images was killed" in output
    assert "image_workers" in output


@pytest.mark.parametrize("stop_after", [1, 2, 3, 7])
def test_moving_the_kept_images_can_be_interrupted_anywhere(tmp_path, monkeypatch, stop_after):
    monkeypatch.setattr("galaxy_tasks.images.resume._BLOCK_BYTES", 32 * 32 * 3 * 4)
    slots = SlotFile(tmp_path / "slots.npy", count=23, size_px=32)
    slots.reserve()
    with (tmp_path / "slots.npy").open("r+b") as file:
        file.seek(128)
        file.write(b"".join(bytes([number]) * slots.slot_bytes for number in range(23)))
    is_kept = np.ones(23, bool)
    is_kept[[0, 4, 5, 12, 22]] = False
    calls = 0
    real = os.fsync

    def fail_later(descriptor):
        nonlocal calls
        calls += 1
        if calls == stop_after:
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail_later)
    with pytest.raises(KeyboardInterrupt):
        slots.move_kept(is_kept, tmp_path / "images.npy")
    slots.move_kept(is_kept, tmp_path / "images.npy")
    moved = np.load(tmp_path / "images.npy")
    assert moved.shape == (18, 32, 32, 3)
    assert (moved == np.flatnonzero(is_kept)[:, None, None, None]).all()
    assert [path.name for path in tmp_path.iterdir()] == ["images.npy"]


def test_a_full_disk_is_an_error_before_the_work_begins(tmp_path):
    slots = SlotFile(tmp_path / "slots.npy", count=10**9, size_px=512)  # 786 TB
    with pytest.raises(ResourceError, match=r"No space for 786432\.0 GB"):
        slots.reserve()
