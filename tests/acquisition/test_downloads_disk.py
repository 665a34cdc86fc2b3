"""What the disk cannot take is said, and what it took is kept."""

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fixtures.download_inputs import CONTENT, DOWNLOAD, FAST, SHA256, fetch, size_of, wait_until
from fixtures.download_server import Manner

from galaxy_tasks.acquisition.downloads.disk import SpaceClaim
from galaxy_tasks.acquisition.downloads.fetching import fetch_file, fetch_files
from galaxy_tasks.acquisition.downloads.records import RemoteFile
from galaxy_tasks.errors import InputError, ResourceError


def test_too_little_space_is_said_before_a_byte_comes(server, tmp_path):
    address = server.serve("/a", CONTENT)
    settings = replace(FAST, reserve_bytes=shutil.disk_usage(tmp_path).total)
    message = r"300\.0 kB needed .* free\. Free some"

    with pytest.raises(ResourceError, match=message):
        fetch(address, tmp_path, settings=settings, size_bytes=len(CONTENT))
    assert server.requests == []
    with pytest.raises(ResourceError, match=message):
        fetch(address, tmp_path, settings=settings)
    with pytest.raises(ResourceError, match=r"600\.0 kB needed"):
        fetch_files(
            [RemoteFile(name, (address,), size_bytes=300_000) for name in "ab"],
            folder=tmp_path,
            settings=settings,
        )
    assert not (tmp_path / "galaxies.zip").exists()


def test_what_running_downloads_have_still_to_write_is_not_given_twice(server, tmp_path):
    """Two of four archives, each of two fifths of what is free, find room."""
    most_bytes = shutil.disk_usage(tmp_path).free * 2 // 5
    first_bytes = Manner(length_error=most_bytes - len(CONTENT), hold_after=1000)
    remotes = [RemoteFile(n, (server.serve(f"/{n}", CONTENT, first_bytes),)) for n in "abcd"]
    stop = threading.Event()
    waiting = replace(FAST, timeout_s=600)
    with ThreadPoolExecutor(2) as pool:
        running = [
            pool.submit(fetch_file, remote, folder=tmp_path, settings=waiting, stop=stop)
            for remote in remotes[:2]
        ]
        wait_until(lambda: all(size_of(tmp_path / f"{n}.part") == 1000 for n in "ab"))
        try:
            for remote in remotes[2:]:
                with pytest.raises(ResourceError, match=r"needed .* free, .* other downloads"):
                    fetch_file(remote, folder=tmp_path, settings=FAST)
                assert size_of(tmp_path / f"{remote.name}.part") == 0
        finally:
            stop.set()
        assert all("stopped" in str(one.exception()) for one in running)
    server.manners["/c"] = [first_bytes]  # ended, they claim nothing any more
    with pytest.raises(ResourceError, match="c could not be fetched"):
        fetch_file(remotes[2], folder=tmp_path, settings=replace(FAST, tries=1))


def test_what_has_been_written_is_claimed_no_more(tmp_path):
    most_bytes = shutil.disk_usage(tmp_path).free * 3 // 5
    with SpaceClaim(tmp_path, reserve_bytes=0) as one, SpaceClaim(tmp_path, reserve_bytes=0) as two:
        one.claim(most_bytes)
        one.claim(most_bytes)
        with pytest.raises(ResourceError, match="too little space"):
            two.claim(most_bytes)
        one.note_left(1000)
        two.claim(most_bytes)


def test_a_file_of_unknown_size_does_not_eat_up_the_reserve(server, tmp_path):
    address = server.serve("/a", CONTENT, Manner(is_chunked=True))
    settings = replace(FAST, reserve_bytes=shutil.disk_usage(tmp_path).total)
    with pytest.raises(ResourceError, match="too little space"):
        fetch(address, tmp_path, settings=settings, sha256=SHA256)
    assert size_of(tmp_path / "galaxies.zip.part") == 0


def test_a_disk_that_takes_no_more_is_told_and_the_part_kept(server, tmp_path):
    address = server.serve("/a", CONTENT)
    script = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1))" + DOWNLOAD
    with subprocess.Popen(
        [sys.executable, "-c", script, address, str(tmp_path), ""],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        errors = process.communicate(timeout=30)[1]
    assert "ResourceError" in errors.splitlines()[-1]
    assert "File too large" in errors.splitlines()[-1]
    kept = size_of(tmp_path / "galaxies.zip.part")
    assert 0 < kept <= 100_000

    assert fetch(address, tmp_path).received_bytes == len(CONTENT) - kept


def test_a_folder_where_the_file_should_be_is_refused(server, tmp_path):
    (tmp_path / "galaxies.zip").mkdir()
    with pytest.raises(InputError, match="expected a file"):
        fetch(server.serve("/a", CONTENT), tmp_path)
