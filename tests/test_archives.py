"""Archives: what is unpacked is whole, what is unsafe is refused before anything is written."""

import gzip
import io
import random
import signal
import stat
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from galaxy_tasks.downloads import DownloadSettings, open_members, unpack_archive
from galaxy_tasks.errors import InputError, ResourceError

FILES = {
    "images/1.jpg": random.Random(1).randbytes(20_000),
    "images/2.jpg": random.Random(2).randbytes(700_000),
    "images/deep/er/3.jpg": b"",
    "table.csv": b"id,class\n" * 1000,
}
TOTAL_BYTES = sum(map(len, FILES.values()))
LIMITS = {"max_total_bytes": 10_000_000, "max_ratio": 100}
FAST = DownloadSettings(reserve_bytes=0)


def make_zip(path, files, method=zipfile.ZIP_DEFLATED):
    """`files`: name → content, or pairs of a ZipInfo and content."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.mkdir("images")
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return path


def make_tar(path, files):
    """`files`: name → content, or pairs of a TarInfo and content."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(params=["a.zip", "stored.zip", "a.tar", "a.tar.gz"])
def make(request, tmp_path):
    """Makes an archive of each kind."""

    def make(files):
        path = tmp_path / request.param
        if path.suffix != ".zip":
            return make_tar(path, files)
        is_stored = request.param.startswith("stored")
        return make_zip(path, files, zipfile.ZIP_STORED if is_stored else zipfile.ZIP_DEFLATED)

    return make


def unpack(archive, folder, **changed):
    return unpack_archive(archive, folder, **{**LIMITS, "settings": FAST, **changed})


def content_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_all_files_arrive_in_their_folders_and_nothing_else(make, tmp_path):
    unpacked = unpack(make(FILES), tmp_path / "new" / "out")
    assert content_of(tmp_path / "new" / "out") == FILES
    assert (unpacked.files, unpacked.total_bytes, unpacked.written_files) == (4, TOTAL_BYTES, 4)
    assert sorted(path.name for path in unpacked.folder.iterdir()) == ["images", "table.csv"]


def test_only_what_is_missing_or_differs_is_written_again(make, tmp_path):
    archive, folder = make(FILES), tmp_path / "out"
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
from galaxy_tasks.downloads import unpack_archive
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
def test_a_killed_process_leaves_whole_members_only(make, tmp_path, event):
    files = {f"images/{n}.jpg": random.Random(n).randbytes(5_000) for n in range(30)}
    archive, folder = make(files), tmp_path / "out"
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


# Unsafe


def zip_entry(name, mode=0o100644):
    info = zipfile.ZipInfo(name)
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    return info


def tar_entry(name, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    return info


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "images/../../out.txt",
        "/etc/out.txt",
        "C:/out.txt",
        "..\\out.txt",
        "a\nb",
        ".unpacking/member",
        "x" * 256,
    ],
)
def test_names_that_lead_elsewhere_are_refused_before_a_byte_is_written(make, tmp_path, name):
    archive = make({**FILES, name: b"evil"})
    with pytest.raises(InputError, match=r"member .* (absolute|leads out|unfinished|longer)"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("out.txt"))


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_zip_with_links_or_devices_is_refused(tmp_path, mode):
    entries = [("good", b"1"), (zip_entry("bad", mode | 0o777), b"/etc/passwd")]
    archive = make_zip(tmp_path / "a.zip", entries)
    with pytest.raises(InputError, match="'bad' is a link or a device"):
        unpack(archive, tmp_path / "out")
    with pytest.raises(InputError, match="'bad' is a link or a device"):
        open_members(archive, **LIMITS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_a_tar_with_links_or_devices_is_refused(tmp_path, kind):
    entries = [("good", b"1"), (tar_entry("bad", kind), b"")]
    with pytest.raises(InputError, match="'bad' is a link, a device"):
        unpack(make_tar(tmp_path / "a.tar.gz", entries), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # said by zipfile as we write one
@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["a", "a"], "'a' comes twice"),
        (["a", "./a"], "'a' comes twice"),
        (["images/b", "images//b"], "comes twice"),
        (["c", "c/d"], "'c' is a file and a folder"),
        (["c/d/e", "c"], "'c' is a file and a folder"),
    ],
)
def test_a_name_that_comes_twice_is_refused(make, tmp_path, names, what):
    archive = make([(name, b"1") for name in names])
    with pytest.raises(InputError, match=what):
        unpack(archive, tmp_path / "out")


def test_more_than_expected_is_refused(make, tmp_path):
    archive = make(FILES)
    with pytest.raises(InputError, match=r"more than the 500\.0 kB expected"):
        unpack(archive, tmp_path / "out", max_total_bytes=500_000)
    assert not (tmp_path / "out").exists()


def test_a_bomb_is_told_by_its_ratio(tmp_path):
    zeros = {"zeros": bytes(20_000_000)}
    for archive in (make_zip(tmp_path / "a.zip", zeros), make_tar(tmp_path / "a.tar.gz", zeros)):
        with pytest.raises(InputError, match="higher ratio than expected"):
            unpack(archive, tmp_path / "out", max_total_bytes=10**9)
    assert not (tmp_path / "out").exists()


def test_a_bomb_of_empty_members_or_of_one_header_is_told_too(tmp_path):
    many = make_tar(tmp_path / "many.tar.gz", {f"{n:06}": b"" for n in range(20_000)})
    with pytest.raises(InputError, match="higher ratio"):
        unpack(many, tmp_path / "out", max_ratio=20)
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**32
    giant = tmp_path / "giant.tar.gz"
    giant.write_bytes(gzip.compress(header.tobuf() + bytes(2**20)))
    with pytest.raises(InputError, match="a header of 4294967296 bytes"):
        unpack(giant, tmp_path / "out")


def test_a_zip_that_understates_a_member_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": b"0" * 5000})
    told, untold = (5000).to_bytes(4, "little"), (50).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(told, untold))
    with pytest.raises(InputError, match="damaged"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out" / "a").exists()
    with open_members(archive, **LIMITS) as members, pytest.raises(InputError, match="wrong size"):
        members.read("a")


def test_links_and_files_already_in_the_way_are_not_followed(make, tmp_path):
    archive, elsewhere = make(FILES), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "table.csv").write_text("mine")
    for name, there in [("link", elsewhere), ("file", None)]:
        folder = tmp_path / name
        folder.mkdir()
        if there:
            (folder / "images").symlink_to(there)
        else:
            (folder / "images").write_text("mine")
        with pytest.raises(InputError, match="something else is there"):
            unpack(archive, folder)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "table.csv").symlink_to(elsewhere / "table.csv")
    unpack(archive, folder)
    assert content_of(elsewhere) == {"table.csv": b"mine"}
    assert content_of(folder) == FILES
    (folder / "table.csv").unlink()
    (folder / "table.csv").mkdir()
    with pytest.raises(InputError, match="needs a file here"):
        unpack(archive, folder)


def test_too_little_space_is_said_first(make, tmp_path):
    archive = make(FILES)
    with pytest.raises(ResourceError, match="too little space"):
        unpack(archive, tmp_path / "out", settings=replace(FAST, reserve_bytes=2**60))
    assert content_of(tmp_path / "out") == {}


# Damaged


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
def test_a_cut_archive_is_refused_before_a_byte_is_written(make, tmp_path, kept):
    archive = make(FILES)
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


# In place


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read_in_place(tmp_path, method):
    archive = make_zip(tmp_path / "a.zip", FILES, method)
    with open_members(archive, **LIMITS) as members:
        assert list(members) == list(FILES)
        assert len(members) == 4
        assert "images/1.jpg" in members
        assert "images" not in members
        assert {name: members.read(name) for name in members} == FILES
        assert members.size_bytes("images/2.jpg") == 700_000
        with pytest.raises(InputError, match=r"no file 'x'; it has 4, such as images/1\.jpg"):
            members.read("x")


def test_a_zip_behind_other_bytes_is_read_too(tmp_path):
    archive = make_zip(tmp_path / "a.zip", FILES)
    archive.write_bytes(b"#!/bin/sh\n" + archive.read_bytes())
    with open_members(archive, **LIMITS) as members:
        assert {name: members.read(name) for name in members} == FILES


READ_FORKED = """
import multiprocessing, sys
from pathlib import Path
from galaxy_tasks.downloads import open_members

def read_all(_):
    return {name: members.read(name) for name in members}

with open_members(Path(sys.argv[1]), max_total_bytes=10**7, max_ratio=100) as members:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        contents = pool.map(read_all, range(12), chunksize=1)
    assert len(contents) == 12
    assert all(content == read_all(0) for content in contents)
"""


def test_threads_and_forked_processes_read_at_the_same_time(tmp_path):
    files = {str(n): random.Random(n).randbytes(3000) for n in range(200)}
    archive = make_zip(tmp_path / "a.zip", files)
    with open_members(archive, **LIMITS) as members, ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            assert list(pool.map(members.read, files)) == list(files.values())
    subprocess.run([sys.executable, "-c", READ_FORKED, str(archive)], check=True, timeout=30)


def test_a_damaged_member_is_refused_and_the_others_are_read(tmp_path):
    archive = make_zip(tmp_path / "a.zip", FILES, zipfile.ZIP_STORED)
    content = archive.read_bytes()
    position = content.index(FILES["images/1.jpg"]) + 77
    archive.write_bytes(
        content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
    )
    with open_members(archive, **LIMITS) as members:
        with pytest.raises(InputError, match="wrong size or CRC-32 of"):
            members.read("images/1.jpg")
        assert members.read("images/2.jpg") == FILES["images/2.jpg"]
    with pytest.raises(InputError, match="CRC"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out/images/1.jpg").exists()


def test_what_cannot_be_read_in_place_is_said_when_opened(tmp_path):
    tar = make_tar(tmp_path / "a.tar", FILES)
    with pytest.raises(InputError, match="no zip"):
        open_members(tar, **LIMITS)
    packed = make_zip(tmp_path / "a.zip", FILES, zipfile.ZIP_LZMA)
    with pytest.raises(InputError, match="packed by method 14"):
        open_members(packed, **LIMITS)
    assert unpack(packed, tmp_path / "out").files == 4
    plain = make_zip(tmp_path / "b.zip", FILES)
    with pytest.raises(InputError, match="more than the 1000 that are read into memory"):
        open_members(plain, **LIMITS, max_member_bytes=1000)
    with pytest.raises(InputError, match=r"more than the 1\.0 kB expected"):
        open_members(plain, max_ratio=100, max_total_bytes=1000)
    with pytest.raises(InputError, match="is no file"):
        open_members(tmp_path / "none.zip", **LIMITS)


def test_an_encrypted_zip_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": b"1"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2", content.index(b"PK\1\2") + 4) + 8] |= 1  # of the second entry
    archive.write_bytes(content)
    with pytest.raises(InputError, match="'a' is encrypted"):
        unpack(archive, tmp_path / "out")
