"""What is unpacked is whole, even after a kill; an archive that is damaged or unsafe is refused."""

import gzip
import random
import signal
import stat
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace

import pytest
from fixtures.archive_inputs import FAST, FILES, UNPACKED, content_of, make_tar, make_zip, unpack

from galaxy_tasks.acquisition import archives
from galaxy_tasks.errors import InputError, ResourceError


def test_all_files_arrive_in_one_folder_and_nothing_else(make_archive, tmp_path):
    folder = tmp_path / "new" / "out"
    assert unpack(make_archive(FILES), folder) == 4
    assert content_of(folder) == UNPACKED


def test_paths_may_begin_with_the_folder_itself(make_archive, tmp_path):
    files = {f"./{name}": content for name, content in FILES.items()}
    assert unpack(make_archive(files), tmp_path / "out") == 4
    assert content_of(tmp_path / "out") == UNPACKED


def test_only_what_is_missing_or_differs_is_written_again(make_archive, tmp_path):
    archive, folder = make_archive(FILES), tmp_path / "out"
    unpack(archive, folder)
    before = {name: (folder / name).stat().st_ino for name in UNPACKED}
    (folder / "2.jpg").write_bytes(UNPACKED["2.jpg"][:500_000] + bytes(200_000))
    (folder / "1.jpg").write_bytes(UNPACKED["1.jpg"][:100])
    (folder / "own.txt").write_text("stays")

    assert unpack(archive, folder) == 2

    assert content_of(folder) == {**UNPACKED, "own.txt": b"stays"}
    same = {name for name in UNPACKED if (folder / name).stat().st_ino == before[name]}
    assert same >= {"table.csv", "3.jpg"}
    assert unpack(archive, folder) == 0


UNPACK = """
import sys
from pathlib import Path
from galaxy_tasks.acquisition.archives import unpack_archives
print(unpack_archives([Path(sys.argv[1])], Path(sys.argv[2])))
"""


KILL_AT = """
import os, signal, sys
left = int(sys.argv.pop())
def kill_at(event, arguments):
    global left
    if event == {event!r} and ".unpacking" in str(arguments[0]):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill_at)
"""


@pytest.mark.parametrize("event", ["open", "os.rename"])
def test_a_killed_process_leaves_whole_files_only(tmp_path, event):
    files = {f"{n}.jpg": random.Random(n).randbytes(5_000) for n in range(30)}
    archive, folder = make_tar(tmp_path / "a.tar.gz", files), tmp_path / "out"
    script = KILL_AT.format(event=event) + UNPACK
    for count in (1, 5, 9):
        command = [sys.executable, "-c", script, str(archive), str(folder), str(count)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    there = {name: content for name, content in content_of(folder).items() if name[0] != "."}
    assert there.items() <= files.items()
    assert len(there) == 4 + 8

    assert unpack(archive, folder) == 30 - 12
    assert content_of(folder) == files


def test_two_processes_at_once_write_once(tmp_path):
    files = {f"{n}.jpg": random.Random(n).randbytes(50_000) for n in range(100)}
    archive, folder = make_zip(tmp_path / "a.zip", files), tmp_path / "out"
    command = [sys.executable, "-c", UNPACK, str(archive), str(folder)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    written = [process.communicate(timeout=30)[0].splitlines()[-1] for process in processes]
    assert sorted(written) == ["0", "100"]
    assert content_of(folder) == files


def test_too_little_space_is_noticed_before_anything_is_written(make_archive, tmp_path):
    with pytest.raises(ResourceError, match="too little space"):
        unpack(make_archive(FILES), tmp_path / "out", settings=replace(FAST, reserve_bytes=2**60))
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
    right = {name.rpartition("/")[2]: content for name, content in files.items()}
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
        assert content_of(folder).items() <= right.items()
    assert refused > 150


def test_a_tar_whose_header_is_damaged_in_the_middle_is_not_taken_for_shorter(tmp_path):
    archive = make_tar(tmp_path / "a.tar", {"a": b"1" * 600, "b": b"2" * 600, "c": b"3"})
    content = bytearray(archive.read_bytes())
    content[1536] ^= 1  # the first letter of "b": after a header and two blocks
    archive.write_bytes(content)
    with pytest.raises(InputError, match="no end mark at byte 1536"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize(
    "name",
    ["../out.txt", "a/../../out.txt", "/out.txt", "C:/out.txt", "..\\out.txt", "a\nb", "x" * 256],
)
def test_paths_that_lead_elsewhere_are_refused_before_a_byte_is_written(
    make_archive, tmp_path, name
):
    archive = make_archive({**FILES, name: b"evil"})
    with pytest.raises(InputError, match=r"member .* leads out of the archive"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("out.txt"))


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_zip_with_links_or_devices_is_refused(tmp_path, mode):
    bad = zipfile.ZipInfo("bad")
    bad.external_attr = (mode | 0o777) << 16
    archive = make_zip(tmp_path / "a.zip", [("good", b"1"), (bad, b"/etc/passwd")])
    with pytest.raises(InputError, match="'bad' is a link or a device"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_a_tar_with_links_or_devices_is_refused(tmp_path, kind):
    bad = tarfile.TarInfo("bad")
    bad.type, bad.linkname = kind, "/etc/passwd"
    archive = make_tar(tmp_path / "a.tar.gz", [("good", b"1"), (bad, b"")])
    with pytest.raises(InputError, match="'bad' is a link, a device"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_than_any_release_has_is_refused(make_archive, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 500_000)
    with pytest.raises(InputError, match=r"at most 500\.0 kB are expected"):
        unpack(make_archive(FILES), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bomb_is_recognised_by_its_ratio(tmp_path):
    zeros = {"zeros": bytes(20_000_000)}
    many = {f"{n:06}": b"" for n in range(4_000)}
    for archive in (
        make_zip(tmp_path / "a.zip", zeros),
        make_tar(tmp_path / "a.tar.gz", zeros),
        make_tar(tmp_path / "many.tar.gz", many),
    ):
        with pytest.raises(InputError, match="Do not trust it"):
            unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_giant_header_is_refused(tmp_path):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**32
    giant = tmp_path / "giant.tar.gz"
    giant.write_bytes(gzip.compress(header.tobuf() + bytes(2**20)))
    with pytest.raises(InputError, match="a header of 4294967296 bytes"):
        unpack(giant, tmp_path / "out")


def test_a_zip_that_understates_a_member_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": b"0" * 5000})
    stated, understated = (5000).to_bytes(4, "little"), (50).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(stated, understated))
    with pytest.raises(InputError, match="damaged"):
        unpack(archive, tmp_path / "out")
    assert content_of(tmp_path / "out") == {}


def test_an_encrypted_zip_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": b"1"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2", content.index(b"PK\1\2") + 4) + 8] |= 1  # of the second entry
    archive.write_bytes(content)
    with pytest.raises(InputError, match="'a' is encrypted"):
        unpack(archive, tmp_path / "out")


def test_a_link_in_a_files_place_is_replaced_and_not_followed(make_archive, tmp_path):
    elsewhere, folder = tmp_path / "mine.csv", tmp_path / "out"
    elsewhere.write_bytes(FILES["table.csv"][:-1] + b"x")
    folder.mkdir()
    (folder / "table.csv").symlink_to(elsewhere)
    unpack(make_archive(FILES), folder)
    assert elsewhere.read_bytes()[-1:] == b"x"
    assert content_of(folder) == UNPACKED


LEFT_BY_SYSTEMS = [
    "images/.DS_Store",
    "__MACOSX/images/._0.jpg",
    "__MACOSX/images/0.jpg",
    ".thumbnails/1.jpg",
    "images/Thumbs.db",
    "more/desktop.ini",
]


def test_what_systems_leave_is_left_out_and_of_two_readmes_the_first_counts(make_archive, tmp_path):
    files = {"images/0.jpg": b"zero", "more/1.jpg": b"one"}
    files |= {name: name.encode() for name in LEFT_BY_SYSTEMS}
    files |= {"images/readme.txt": b"first", "more/readme.txt": b"second"}
    unpack(make_archive(files), tmp_path / "out")
    assert content_of(tmp_path / "out") == {
        "0.jpg": b"zero",
        "1.jpg": b"one",
        "readme.txt": b"first",
    }


def test_two_images_of_one_name_are_refused(make_archive, tmp_path):
    with pytest.raises(InputError, match=r"two images of one name: .*0\.jpg"):
        unpack(make_archive({"images/0.jpg": b"0", "more/0.jpg": b"0"}), tmp_path / "out")
    assert not (tmp_path / "out").exists()
