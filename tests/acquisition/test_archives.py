"""What is unpacked is whole, also after a kill; what is damaged never gives a wrong file."""

import random
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from fixtures.archive_inputs import FAST, FILES, TOTAL_BYTES, content_of, make_tar, make_zip, unpack

from galaxy_tasks.errors import InputError, ResourceError


def test_all_files_arrive_in_their_folders_and_nothing_else(make_archive, tmp_path):
    unpacked = unpack(make_archive(FILES), tmp_path / "new" / "out")
    assert content_of(tmp_path / "new" / "out") == FILES
    assert (len(unpacked.names), unpacked.total_bytes, unpacked.written_files) == (
        4,
        TOTAL_BYTES,
        4,
    )
    assert sorted(path.name for path in unpacked.folder.iterdir()) == ["images", "table.csv"]


def test_only_what_is_missing_or_differs_is_written_again(make_archive, tmp_path):
    archive, folder = make_archive(FILES), tmp_path / "out"
    unpack(archive, folder)
    before = {name: (folder / name).stat().st_ino for name in FILES}
    whole = FILES["images/2.jpg"]
    (folder / "images/2.jpg").write_bytes(whole[:500_000] + bytes(200_000))
    (folder / "images/1.jpg").write_bytes(FILES["images/1.jpg"][:100])
    (folder / "own.txt").write_text("stays")

    unpacked = unpack(archive, folder)

    assert unpacked.written_files == 2
    assert content_of(folder) == {**FILES, "own.txt": b"stays"}
    same = {name for name in FILES if (folder / name).stat().st_ino == before[name]}
    assert same >= {"table.csv", "images/deep/er/3.jpg"}
    assert unpack(archive, folder).written_files == 0


UNPACK = """
import sys
from pathlib import Path
from galaxy_tasks.acquisition.archives import unpack_archive
unpack_archive(Path(sys.argv[1]), Path(sys.argv[2]), max_total_bytes=10**9, max_ratio=100)
"""


KILL_AT = """
import os, signal, sys
left = int(sys.argv.pop())
def kill_at(event, arguments):
    global left
    if event == {event!r} and "{name}" in str(arguments[0]):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill_at)
"""


@pytest.mark.parametrize(
    "event",
    [
        {"event": "open", "name": ".unpacking/member"},
        {"event": "os.rename", "name": ".unpacking/member"},
    ],
    ids=str,
)
def test_a_killed_process_leaves_whole_members_only(make_archive, tmp_path, event):
    files = {f"images/{n}.jpg": random.Random(n).randbytes(5_000) for n in range(30)}
    archive, folder = make_archive(files), tmp_path / "out"
    script = KILL_AT.format(**event) + UNPACK
    for count in (1, 5, 9):
        command = [sys.executable, "-c", script, str(archive), str(folder), str(count)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    there = {name: content for name, content in content_of(folder).items() if "images" in name}
    assert there.items() <= files.items()
    assert len(there) == 4 + 8

    unpacked = unpack(archive, folder)

    assert unpacked.written_files == 30 - 12
    assert content_of(folder) == files


def test_two_processes_at_once_write_once(tmp_path):
    files = {f"{n}.jpg": random.Random(n).randbytes(50_000) for n in range(100)}
    archive, folder = make_zip(tmp_path / "a.zip", files), tmp_path / "out"
    command = [sys.executable, "-c", UNPACK, str(archive), str(folder)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = [process.communicate(timeout=30)[0].splitlines()[-1] for process in processes]
    assert sorted(line.split(", ")[-1] for line in lines) == ["0 of them new", "100 of them new"]
    assert content_of(folder) == files


def test_too_little_space_is_said_first(make_archive, tmp_path):
    archive = make_archive(FILES)
    with pytest.raises(ResourceError, match="too little space"):
        unpack(archive, tmp_path / "out", settings=replace(FAST, reserve_bytes=2**60))
    assert content_of(tmp_path / "out") == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>not found</html>", b"PK\3\4" + bytes(100), b"\x1f\x8b" + bytes(100), bytes(2000)],
)
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"expected a zip|damaged"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.99])
def test_a_cut_archive_is_refused_before_a_byte_is_written(make_archive, tmp_path, kept):
    archive = make_archive(FILES)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="damaged"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_flipped_bit_anywhere_never_gives_a_wrong_file(tmp_path, name):
    files = {"images/1.jpg": random.Random(1).randbytes(3000), "b": b"word " * 500, "c": b"c"}
    archive = tmp_path / name
    (make_zip if name.endswith("zip") else make_tar)(archive, files)
    content = archive.read_bytes()
    dice = random.Random(7)
    refused = 0
    for trial in range(250):
        position = dice.randrange(len(content))
        flipped = bytes([content[position] ^ (1 << dice.randrange(8))])
        archive.write_bytes(content[:position] + flipped + content[position + 1 :])
        folder = tmp_path / f"out{trial}"
        try:
            unpack(archive, folder)
        except InputError:
            refused += 1
        there = content_of(folder) if folder.exists() else {}
        assert there.items() <= files.items()
    assert refused > 150


def test_a_tar_whose_header_is_damaged_in_the_middle_is_not_taken_for_shorter(tmp_path):
    archive = make_tar(tmp_path / "a.tar", {"a": b"1" * 600, "b": b"2" * 600, "c": b"3"})
    content = bytearray(archive.read_bytes())
    content[1536] ^= 1  # the first letter of "b": after a header and two blocks
    archive.write_bytes(content)
    with pytest.raises(InputError, match="no end mark at byte 1536"):
        unpack(archive, tmp_path / "out")
