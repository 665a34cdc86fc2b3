"""A file arrives whole and verified, alone or beside others, and the log shows how far it is."""

import logging
import random
import shutil
import subprocess
import time
from dataclasses import replace

import pytest
from fixtures.download_inputs import (
    CONTENT,
    FAST,
    MD5,
    OTHER,
    SHA256,
    fetch,
    size_of,
    start_fetching,
    visible_files,
)
from fixtures.download_server import Manner

from galaxy_tasks.acquisition.download import Download, check_file, fetch_files
from galaxy_tasks.errors import InputError, ResourceError


@pytest.fixture
def log(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("galaxy_tasks"), "propagate", True)
    caplog.set_level(logging.INFO, "galaxy_tasks")
    return caplog


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


def test_a_file_that_is_there_is_verified_and_not_fetched_again(server, tmp_path):
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


def test_without_a_published_hash_the_first_download_is_the_reference(server, tmp_path):
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


def test_a_missing_file_without_address_has_to_be_placed(tmp_path):
    with pytest.raises(InputError, match="Place it in the folder"):
        fetch((), tmp_path)


def test_a_folder_where_the_file_should_be_is_refused(server, tmp_path):
    (tmp_path / "galaxies.zip").mkdir()
    with pytest.raises(InputError, match="expected a file"):
        fetch(server.serve("/a", CONTENT), tmp_path)


def test_check_names_what_is_wrong_and_changes_nothing(tmp_path):
    download = Download("galaxies.zip", (), sha256=SHA256)
    with pytest.raises(InputError, match="not there"):
        check_file(download, folder=tmp_path)
    (tmp_path / "galaxies.zip").write_bytes(CONTENT)
    assert check_file(download, folder=tmp_path).sha256 == SHA256
    (tmp_path / "galaxies.zip").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(InputError, match="expected SHA-256"):
        check_file(download, folder=tmp_path)
    assert visible_files(tmp_path) == ["galaxies.zip"]


def test_several_files_come_side_by_side_and_in_order(server, tmp_path):
    contents = {f"f{number}": random.Random(number).randbytes(50_000) for number in range(6)}
    downloads = [
        Download(name, (server.serve(f"/{name}", content, Manner(piece_pause_s=0.05)),))
        for name, content in contents.items()
    ]
    fetched = fetch_files(downloads, folder=tmp_path, settings=replace(FAST, parallel_files=3))
    assert [file.path.read_bytes() for file in fetched] == list(contents.values())
    assert 1 < server.most_at_once <= 3


def test_a_file_that_fails_does_not_cost_the_others(server, tmp_path):
    downloads = [
        Download("a", (server.address("/none"),)),
        Download("b", (server.serve("/b", CONTENT),)),
        Download("c", (server.serve("/c", CONTENT, *[Manner(status=500)] * 9),)),
    ]
    with pytest.raises(InputError, match=r"2 files failed: a .*404.* \| c .*500"):
        fetch_files(downloads, folder=tmp_path, settings=FAST)
    assert (tmp_path / "b").read_bytes() == CONTENT


def test_progress_is_logged_every_so_often_with_rate_and_time_left(server, tmp_path, log):
    address = server.serve("/a", CONTENT, Manner(piece_pause_s=0.05))
    began_s = time.monotonic()
    fetch(address, tmp_path, settings=replace(FAST, progress_every_s=0.3))
    passed_s = time.monotonic() - began_s
    lines = [line for line in log.messages if line.endswith(" left")]
    assert 1 <= len(lines) <= passed_s / 0.3
    for line in lines:
        assert line.startswith("galaxies.zip: ")
        assert "of 300.0 kB (" in line
        assert "B/s, " in line


def test_too_little_space_is_noticed_before_a_byte_comes(server, tmp_path):
    address = server.serve("/a", CONTENT)
    settings = replace(FAST, reserve_bytes=shutil.disk_usage(tmp_path).total)
    message = r"300\.0 kB needed .* free.* Free some"

    with pytest.raises(ResourceError, match=message):
        fetch(address, tmp_path, settings=settings, size_bytes=len(CONTENT))
    assert server.requests == []
    with pytest.raises(ResourceError, match=message):
        fetch(address, tmp_path, settings=settings)
    assert not (tmp_path / "galaxies.zip").exists()


@pytest.mark.parametrize("is_known", [True, False])
def test_space_is_not_promised_to_two_downloads(server, tmp_path, is_known):
    """Of three files, each of two fifths of what is free, two would find room."""
    size_bytes = shutil.disk_usage(tmp_path).free * 2 // 5
    start_only = Manner(length_error=size_bytes - len(CONTENT), hold_after=1000)
    known = size_bytes if is_known else None
    downloads = [
        Download(name, (server.serve(f"/{name}", CONTENT, start_only),), size_bytes=known)
        for name in "abc"
    ]
    settings = replace(FAST, tries=1, least_bytes=100_000)
    with pytest.raises(ResourceError, match=r"too little space: .* needed"):
        fetch_files(downloads, folder=tmp_path, settings=settings)
    assert len(server.requests) == (0 if is_known else 3)


def test_a_file_of_unknown_size_leaves_the_reserve_alone(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(is_chunked=True))
    settings = replace(FAST, reserve_bytes=shutil.disk_usage(tmp_path).total)
    with pytest.raises(ResourceError, match="too little space"):
        fetch(address, tmp_path, settings=settings, sha256=SHA256)
    assert size_of(tmp_path / "galaxies.zip.part") == 0


def test_a_disk_that_takes_no_more_is_named_and_the_part_kept(server, tmp_path):
    address = server.serve("/a", CONTENT)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1))\n"
    with start_fetching(tmp_path, address, before=limit) as process:
        errors = process.communicate(timeout=60)[1]
    assert "ResourceError" in errors.splitlines()[-1]
    assert "File too large" in errors.splitlines()[-1]
    kept = size_of(tmp_path / "galaxies.zip.part")
    assert 0 < kept <= 100_000

    assert fetch(address, tmp_path).received_bytes == len(CONTENT) - kept
