"""A file arrives whole and verified, alone or beside others, and the log tells how far it is."""

import itertools
import random
import subprocess
import time
from dataclasses import replace

import pytest
from fixtures.download_inputs import CONTENT, FAST, MD5, OTHER, SHA256, fetch, visible_files
from fixtures.download_server import Manner

from galaxy_tasks.acquisition.downloads.fetching import check_file, fetch_files
from galaxy_tasks.acquisition.downloads.progress import Progress
from galaxy_tasks.acquisition.downloads.records import RemoteFile
from galaxy_tasks.errors import InputError


@pytest.mark.parametrize(
    "known", [{"md5": MD5}, {"sha256": SHA256.upper()}, {"size_bytes": len(CONTENT)}, {}]
)
def test_a_file_arrives_whole_with_its_sha256_beside_it(server, tmp_path, known):
    address = server.serve("/a", CONTENT)

    fetched = fetch(address, tmp_path / "new" / "folder", **known)

    assert fetched.path.read_bytes() == CONTENT
    assert (fetched.sha256, fetched.size_bytes) == (SHA256, len(CONTENT))
    assert (fetched.origin, fetched.received_bytes) == ("downloaded", len(CONTENT))
    assert visible_files(fetched.path.parent) == ["galaxies.zip", "galaxies.zip.sha256"]
    checked = subprocess.run(
        ["sha256sum", "--check", "galaxies.zip.sha256"], cwd=fetched.path.parent, check=False
    )
    assert checked.returncode == 0
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_an_empty_file_is_a_file(server, tmp_path):
    assert fetch(server.serve("/a", b""), tmp_path, size_bytes=0).path.read_bytes() == b""


def test_what_is_there_is_verified_and_not_fetched_again(server, tmp_path):
    address = server.serve("/a", CONTENT)
    fetch(address, tmp_path, md5=MD5)

    again = fetch(address, tmp_path, md5=MD5)

    assert (again.origin, again.sha256, again.received_bytes) == ("already_there", SHA256, 0)
    assert len(server.requests) == 1


def test_a_placed_file_is_verified_recorded_and_used(tmp_path):
    (tmp_path / "galaxies.zip").write_bytes(CONTENT)

    assert fetch((), tmp_path, md5=MD5).origin == "already_there"

    assert (tmp_path / "galaxies.zip.sha256").read_text().split()[0] == SHA256


def test_a_placed_file_that_is_another_one_is_refused_and_left_alone(server, tmp_path):
    (tmp_path / "galaxies.zip").write_bytes(OTHER)

    with pytest.raises(InputError, match=f"expected MD5 {MD5}, received .* Move it away"):
        fetch(server.serve("/a", CONTENT), tmp_path, md5=MD5)

    assert (tmp_path / "galaxies.zip").read_bytes() == OTHER
    assert server.requests == []


def test_the_sha256_of_the_first_download_counts_ever_after(server, tmp_path):
    """Where nothing is published, a changed file is still noticed: on disk and at its source."""
    address = server.serve("/a", CONTENT)
    path = fetch(address, tmp_path).path
    path.write_bytes(OTHER)

    with pytest.raises(InputError, match=r"galaxies\.zip\.sha256 recorded"):
        fetch(address, tmp_path)
    path.unlink()
    server.serve("/a", OTHER, etag='"two"')
    with pytest.raises(InputError, match=f"expected SHA-256 {SHA256}"):
        fetch(address, tmp_path)

    assert visible_files(tmp_path) == ["galaxies.zip.sha256"]


def test_a_file_without_address_and_not_there_asks_for_it(tmp_path):
    with pytest.raises(InputError, match="Place the file in the folder"):
        fetch((), tmp_path)


def test_check_says_what_is_wrong_and_changes_nothing(tmp_path):
    remote = RemoteFile("galaxies.zip", (), sha256=SHA256)
    with pytest.raises(InputError, match="not there"):
        check_file(remote, folder=tmp_path)
    (tmp_path / "galaxies.zip").write_bytes(CONTENT)
    assert check_file(remote, folder=tmp_path).sha256 == SHA256
    (tmp_path / "galaxies.zip").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(InputError, match="expected SHA-256"):
        check_file(remote, folder=tmp_path)
    assert visible_files(tmp_path) == ["galaxies.zip"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../a"},
        {"name": ""},
        {"name": ".hidden"},
        {"name": "a.part"},
        {"addresses": ("ftp://host/a",)},
        {"addresses": ("file:///etc/passwd",)},
        {"addresses": ("https://host/a b",)},
        {"md5": "abc"},
        {"sha256": MD5},
        {"size_bytes": -1},
    ],
)
def test_what_cannot_be_fetched_is_refused_when_stated(wrong):
    with pytest.raises(InputError, match=r"received|ends as|cannot be"):
        RemoteFile(**{"name": "a", "addresses": (), **wrong})


def test_several_files_come_side_by_side_and_in_order(server, tmp_path):
    contents = {f"f{number}": random.Random(number).randbytes(50_000) for number in range(6)}
    remotes = [
        RemoteFile(name, (server.serve(f"/{name}", content, Manner(piece_pause_s=0.05)),))
        for name, content in contents.items()
    ]
    fetched = fetch_files(remotes, folder=tmp_path, settings=FAST)
    assert [file.path.read_bytes() for file in fetched] == list(contents.values())
    assert server.most_at_once > 1


def test_as_many_files_come_at_a_time_as_are_allowed(server, tmp_path, capsys):
    remotes = [RemoteFile(name, (server.serve(f"/{name}", CONTENT),)) for name in "abc"]
    fetch_files(remotes, folder=tmp_path, settings=replace(FAST, parallel_files=1))
    words = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert words == ["fetching", "complete"] * 3


def test_a_file_that_fails_does_not_cost_the_others(server, tmp_path):
    remotes = [
        RemoteFile("a", (server.address("/none"),)),
        RemoteFile("b", (server.serve("/b", CONTENT),)),
        RemoteFile("c", (server.serve("/c", CONTENT, *[Manner(status=500)] * 9),)),
    ]
    with pytest.raises(InputError, match=r"2 files failed: a .*404.* \| c .*500"):
        fetch_files(remotes, folder=tmp_path, settings=FAST)
    assert (tmp_path / "b").read_bytes() == CONTENT
    with pytest.raises(InputError, match="different names"):
        fetch_files([remotes[0]] * 2, folder=tmp_path)


def test_progress_tells_bytes_share_rate_and_time_left(capsys):
    seconds = itertools.count(0, 4)
    progress = Progress("a.zip", every_s=5, clock=lambda: float(next(seconds)))
    for received_bytes in (10_000_000, 20_000_000, 30_000_000):
        progress.add(10_000_000, position_bytes=received_bytes, total_bytes=100_000_000)
    progress.add(0, position_bytes=30_000_000, total_bytes=None)
    assert capsys.readouterr().out.splitlines() == [
        "a.zip: 20.0 MB of 100.0 MB (20 %), 2.5 MB/s, 32 s left",
        "a.zip: 30.0 MB, 1.9 MB/s, size unknown",
    ]


def test_progress_lines_come_at_most_every_so_often(server, tmp_path, capsys):
    address = server.serve("/a", CONTENT, Manner(piece_pause_s=0.03))
    began_s = time.monotonic()
    fetch(address, tmp_path, settings=replace(FAST, progress_every_s=0.2))
    passed_s = time.monotonic() - began_s
    lines = [line for line in capsys.readouterr().out.splitlines() if " left" in line]
    assert 1 <= len(lines) <= passed_s / 0.2
    assert all("MB/s" in line or "kB/s" in line for line in lines)
