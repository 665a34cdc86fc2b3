"""A zip is read where it lies, by many at a time, and refused as one that is unpacked."""

import random
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from fixtures.archive_inputs import FILES, LIMITS, make_tar, make_zip, unpack

from galaxy_tasks.acquisition.zip_reader import open_members
from galaxy_tasks.errors import InputError


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
from galaxy_tasks.acquisition.zip_reader import open_members

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
    assert len(unpack(packed, tmp_path / "out").names) == 4
    plain = make_zip(tmp_path / "b.zip", FILES)
    with pytest.raises(InputError, match="more than the 1000 that are read into memory"):
        open_members(plain, **LIMITS, max_member_bytes=1000)
    with pytest.raises(InputError, match=r"more than the 1\.0 kB expected"):
        open_members(plain, max_ratio=100, max_total_bytes=1000)
    with pytest.raises(InputError, match="is no file"):
        open_members(tmp_path / "none.zip", **LIMITS)
