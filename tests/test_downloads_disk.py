"""What the disk cannot take is said, and what it took is kept."""

import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from download_inputs import CONTENT, DOWNLOAD, FAST, fetch, size_of

from galaxy_tasks.downloads import (
    RemoteFile,
    fetch_files,
)
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
