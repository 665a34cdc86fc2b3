import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.images import ImageSettings, prepare_image
from galaxy_tasks.preparation import prepare_cutouts
from galaxy_tasks.preparation.log import Progress
from galaxy_tasks.preparation.slots import SlotFile

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "galaxy_zoo_challenge"
SETTINGS = ImageSettings.from_config(RunConfig(image_size_px=32))
FILES = ["images.npy", "manifest.parquet", "rejected.parquet"]


def encode(grey: int, *, width_px: int = 48, height_px: int = 48) -> bytes:
    return cv2.imencode(".jpg", np.full((height_px, width_px, 3), grey, np.uint8))[1].tobytes()


def make_galaxies(folder: Path, count: int) -> pd.DataFrame:
    """Images of grey level `number % 250`, listed in an order that is not that of the ids."""
    folder.mkdir(exist_ok=True)
    numbers = np.random.default_rng(0).permutation(count)
    for number in numbers:
        (folder / f"{number}.jpg").write_bytes(encode(number % 250))
    return pd.DataFrame(
        {
            "galaxy_id": [f"58772{number:07d}" for number in numbers],
            "image_name": [f"{number}.jpg" for number in numbers],
            "label": ["spiral" if number % 2 else "edge_on" for number in numbers],
            "label_index": numbers % 2,
            "split": [("train", "validation", "test")[number % 3] for number in numbers],
        }
    )


def prepare(out: Path, galaxies, images_folder: Path, **changes):
    asked = {"settings": SETTINGS, "max_rejected_fraction": 0.0, "workers": 1, **changes}
    out.mkdir(exist_ok=True)
    return prepare_cutouts(out, galaxies=galaxies, images_folder=images_folder, **asked)


def contents(folder: Path) -> dict[str, str]:
    assert sorted(path.name for path in folder.iterdir()) == FILES
    return {name: sha256((folder / name).read_bytes()).hexdigest() for name in FILES}


def test_images_and_manifest_are_in_the_order_of_the_ids_and_belong_together(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 150)
    summary = prepare(tmp_path / "out", galaxies, tmp_path / "in")
    images = np.load(tmp_path / "out" / "images.npy", mmap_mode="r")
    manifest = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert images.shape == (150, 32, 32, 3)
    assert images.dtype == np.uint8
    assert list(manifest.columns) == [
        *("galaxy_id", "label", "label_index", "split"),
        *("source_file", "sha256", "width_px", "height_px"),
    ]
    assert list(manifest["galaxy_id"]) == sorted(galaxies["galaxy_id"])
    for row, image in zip(manifest.itertuples(), images, strict=True):
        number = int(row.galaxy_id[5:])
        data = (tmp_path / "in" / f"{number}.jpg").read_bytes()
        assert row.source_file == f"{number}.jpg"
        assert row.label_index == number % 2
        assert row.sha256 == sha256(data).hexdigest()
        assert (row.width_px, row.height_px) == (48, 48)
        assert (image == prepare_image(data, SETTINGS)).all()
    assert (summary.galaxies, summary.prepared, summary.rejected) == (150, 150, 0)


def test_the_number_of_workers_and_the_kind_of_table_change_no_byte(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 200)
    shuffled = pa.Table.from_pandas(galaxies.sample(frac=1, random_state=4))
    prepare(tmp_path / "one", galaxies, tmp_path / "in", workers=1)
    prepare(tmp_path / "three", shuffled, tmp_path / "in", workers=3)
    assert contents(tmp_path / "one") == contents(tmp_path / "three")


def spoil(folder: Path) -> dict[int, str]:
    whole = encode(9)
    (folder / "3.jpg").write_bytes(b"")
    (folder / "70.jpg").write_bytes(b"<html>Service Unavailable</html>")
    (folder / "71.jpg").write_bytes(whole[:200])
    (folder / "72.jpg").unlink()
    (folder / "73.jpg").unlink()
    os.mkfifo(folder / "73.jpg")
    (folder / "149.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((48, 48), np.uint8))[1])
    return {
        3: "empty",
        70: "not_an_image",
        71: "truncated",
        72: "missing",
        73: "unreadable",
        149: "wrong_channels",
    }


def test_refused_images_leave_no_gap_and_are_listed_with_their_reason(tmp_path, capsys):
    galaxies = make_galaxies(tmp_path / "in", 150)
    prepare(tmp_path / "whole", galaxies, tmp_path / "in")
    expected = spoil(tmp_path / "in")
    summary = prepare(tmp_path / "out", galaxies, tmp_path / "in", max_rejected_fraction=0.05)
    rejected = pd.read_parquet(tmp_path / "out" / "rejected.parquet")
    assert list(rejected.columns) == ["galaxy_id", "source_file", "reason", "detail"]
    found = {int(row.galaxy_id[5:]): row.reason for row in rejected.itertuples()}
    assert found == expected
    assert summary.rejected_by_reason == dict.fromkeys(sorted(expected.values()), 1)
    assert summary.prepared == 144
    kept = [number for number in range(150) if number not in expected]
    manifest = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert [int(galaxy_id[5:]) for galaxy_id in manifest["galaxy_id"]] == kept
    images = np.load(tmp_path / "out" / "images.npy", mmap_mode="r")
    assert (images == np.load(tmp_path / "whole" / "images.npy")[kept]).all()
    contents(tmp_path / "out")
    assert "150 = 144 prepared + 6 refused (empty 1, missing 1, " in capsys.readouterr().out


def test_too_many_refused_images_fail_with_the_list_and_go_on_once_they_are_mended(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 150)
    spoil(tmp_path / "in")
    with pytest.raises(InputError) as caught:
        prepare(tmp_path / "out", galaxies, tmp_path / "in", max_rejected_fraction=0.01)
    message = str(caught.value)
    assert "4.00%" in message
    assert "allows 1.00%" in message
    assert "6 of 150" in message
    assert "587720000003  3.jpg  empty" in message
    for number in (3, 70, 71, 72, 149):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(encode(number))
    # Images that were fine are not looked at again: this one would be missed.
    (tmp_path / "in" / "5.jpg").rename(tmp_path / "5.jpg")
    (tmp_path / "in" / "130.jpg").rename(tmp_path / "130.jpg")
    with pytest.raises(InputError) as caught:
        prepare(tmp_path / "out", galaxies, tmp_path / "in", max_rejected_fraction=0.01)
    # 5 and 130 are in the chunks of 3 and 149, which are done again.
    assert "3 of 150" in str(caught.value)


def test_only_the_first_twenty_refused_images_are_listed(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 60)
    for number in range(45):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="and 25 more") as caught:
        prepare(tmp_path / "out", galaxies, tmp_path / "in", max_rejected_fraction=0.5)
    assert len(re.findall(r"empty: ", str(caught.value))) == 20


def test_a_class_that_loses_all_images_of_a_split_fails(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 90)
    lost = galaxies["label"].eq("spiral") & galaxies["split"].eq("test")
    for name in galaxies.loc[lost, "image_name"]:
        (tmp_path / "in" / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"No image is left .*: spiral \(test\)"):
        prepare(tmp_path / "out", galaxies, tmp_path / "in", max_rejected_fraction=1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="split"), "Missing: split"),
        (lambda table: pd.concat([table, table.head(1)]), "Each galaxy_id may occur once"),
        (lambda table: table.assign(label=None), "empty values: {'label': 6}"),
        (lambda table: table.head(0), "has 0 rows"),
    ],
)
def test_a_malformed_table_is_refused_and_the_message_says_why(tmp_path, change, message):
    galaxies = make_galaxies(tmp_path / "in", 6)
    with pytest.raises(InputError, match=re.escape(message)):
        prepare(tmp_path / "out", change(galaxies), tmp_path / "in")


SCRIPT = """
    import sys
    from pathlib import Path
    import pandas as pd
    from galaxy_tasks.config import RunConfig
    from galaxy_tasks.images import ImageSettings
    from galaxy_tasks.preparation import prepare_cutouts
    if __name__ == "__main__":
        folder = Path(sys.argv[1])
        (folder / "out").mkdir(exist_ok=True)
        prepare_cutouts(
            folder / "out",
            galaxies=pd.read_parquet(folder / "galaxies.parquet"),
            images_folder=folder / "in",
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
    galaxies = make_galaxies(tmp_path / "in", 600)
    spoil(tmp_path / "in")
    galaxies.to_parquet(tmp_path / "galaxies.parquet")
    process = start(tmp_path)
    records = tmp_path / "out" / "work"
    wait_for(lambda: any(records.glob("chunks-*.json")), what="finished chunks")
    yield tmp_path, process
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
    done_before = re.search(r"Going on after ([\d,]+) images done before", output)
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


def test_a_finished_folder_is_not_prepared_again(tmp_path, capsys):
    galaxies = make_galaxies(tmp_path / "in", 70)
    first = prepare(tmp_path / "out", galaxies, tmp_path / "in")
    before = contents(tmp_path / "out")
    capsys.readouterr()
    assert prepare(tmp_path / "out", galaxies, tmp_path / "in") == first
    assert "Preparing" not in capsys.readouterr().out
    assert contents(tmp_path / "out") == before


def test_another_setting_prepares_anew(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 70)
    prepare(tmp_path / "out", galaxies, tmp_path / "in")
    other = replace(SETTINGS, image_size_px=40)
    prepare(tmp_path / "out", galaxies, tmp_path / "in", settings=other)
    images = np.load(tmp_path / "out" / "images.npy", mmap_mode="r")
    assert images.shape == (70, 40, 40, 3)


@pytest.mark.parametrize("stop_after", [1, 2, 3, 7])
def test_moving_the_kept_images_can_be_interrupted_anywhere(tmp_path, monkeypatch, stop_after):
    monkeypatch.setattr("galaxy_tasks.preparation.slots._BLOCK_BYTES", 32 * 32 * 3 * 4)
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
    with pytest.raises(ResourceError, match="No room for 786432"):
        slots.reserve()


def test_the_log_shows_progress_and_the_sizes_of_the_sources(tmp_path, capsys):
    galaxies = make_galaxies(tmp_path / "in", 12)
    (tmp_path / "in" / "0.jpg").write_bytes(encode(1, width_px=30, height_px=20))
    (tmp_path / "in" / "1.jpg").write_bytes(encode(1, width_px=300, height_px=200))
    summary = prepare(tmp_path / "out", galaxies, tmp_path / "in")
    sizes = summary.source_sizes
    assert (sizes.min_width_px, sizes.median_width_px, sizes.max_width_px) == (30, 48, 300)
    assert (sizes.min_height_px, sizes.median_height_px, sizes.max_height_px) == (20, 48, 200)
    assert sizes.most_common == {"48×48": 10, "30×20": 1, "300×200": 1}
    assert asdict(summary)["source_sizes"]["most_common"]["48×48"] == 10
    output = capsys.readouterr().out
    assert re.search(r"images 12 / 12 \(100\.0 %\), [\d,.]+ images/s, 0 s left", output)
    assert "width 30 / 48 / 300 px, height 20 / 48 / 200 px" in output


def test_a_progress_line_counts_only_this_attempt_in_its_speed():
    progress = Progress(60_000, done_before=345)
    progress.done = 12_345
    line = progress.line(6.0)
    assert line == "images 12,345 / 60,000 (20.6 %), 2,000 images/s, 24 s left"


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 12)
    many = pd.concat(
        [
            galaxies.assign(galaxy_id=f"{number:04d}-" + galaxies["galaxy_id"])
            for number in range(50)
        ]
    )
    many.to_parquet(tmp_path / "galaxies.parquet")
    code = f"""
    import resource, sys
    from pathlib import Path
    import pandas as pd
    from galaxy_tasks.config import RunConfig
    from galaxy_tasks.images import ImageSettings
    from galaxy_tasks.preparation import prepare_cutouts
    table = pd.read_parquet({str(tmp_path / "galaxies.parquet")!r})
    settings = ImageSettings.from_config(RunConfig(image_size_px=384, denoise_method="none"))
    for count in (120, 600):
        out = Path({str(tmp_path)!r}, str(count))
        out.mkdir()
        prepare_cutouts(out, galaxies=table.head(count), settings=settings, workers=1,
                        images_folder=Path({str(tmp_path / "in")!r}), max_rejected_fraction=0)
        print("peak", *(resource.getrusage(who).ru_maxrss
                        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    peaks = re.findall(r"peak (\d+) (\d+)", result.stdout)
    (parent_few, child_few), (parent_many, child_many) = [map(int, peak) for peak in peaks]
    # 480 more images are 212 MB more of output.
    assert parent_many - parent_few < 40_000
    assert child_many - child_few < 40_000


def test_real_galaxies_are_prepared(tmp_path):
    paths = sorted((REAL / "images_training_rev1").glob("*.jpg"))[:70]
    if not paths:
        pytest.skip("no real galaxies in shared/data/galaxy_zoo_challenge")
    table = pd.DataFrame(
        {
            "galaxy_id": [path.stem for path in paths],
            "image_name": [path.name for path in paths],
            "label": "spiral",
            "label_index": 0,
            "split": "train",
        }
    )
    summary = prepare(tmp_path / "out", table, paths[0].parent, workers=0)
    assert summary.prepared == 70
    assert summary.source_sizes.most_common == {"424×424": 70}
    images = np.load(tmp_path / "out" / "images.npy", mmap_mode="r")
    # A galaxy is in the middle: brighter there than at the rim.
    assert (images[:, 12:20, 12:20].mean(axis=(1, 2, 3)) > images[:, 0].mean(axis=(1, 2)) + 5).all()
