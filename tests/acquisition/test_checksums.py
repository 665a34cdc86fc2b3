"""Checksums of images are computed once, and another image of the same size changes the content."""

import os
import time
import zlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fixtures.class_table_inputs import class_table, write_release

from galaxy_tasks.acquisition import checksums
from galaxy_tasks.acquisition.checksums import UNREADABLE, checksum_images
from galaxy_tasks.acquisition.image_folder import list_images
from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import ResourceError
from galaxy_tasks.pipeline.prepare_release import prepare_release

COUNT = 300


def let_time_pass(monkeypatch, seconds: float = 60) -> None:
    """Set the clock that files are compared with ahead, as if they had been written before."""
    now_ns = time.time_ns
    monkeypatch.setattr(checksums.time, "time_ns", lambda: now_ns() + int(seconds * 1e9))


def write_images(folder: Path, count: int = COUNT) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(f"image {number:05}".encode())
    return folder


def read(folder: Path, cache: Path | None = None) -> dict[str, tuple[int, int]]:
    """Size and CRC-32 of each image by its name."""
    found = checksum_images(list_images(folder), cache=cache)
    rows = zip(found.names, found.size_bytes.tolist(), found.crc32.tolist(), strict=True)
    return {name: (size_bytes, crc32) for name, size_bytes, crc32 in rows}


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The names of the files that were read; they are read all the same."""
    names = []
    read_file = checksums._read

    def note(path):
        names.append(path.name)
        return read_file(path)

    monkeypatch.setattr(checksums, "_read", note)
    return names


def test_a_folder_is_read_once_and_again_only_what_changed(tmp_path, monkeypatch, reads):
    let_time_pass(monkeypatch)
    folder, cache = write_images(tmp_path / "images"), tmp_path / "checksums"
    expected = {
        path.name: (path.stat().st_size, zlib.crc32(path.read_bytes())) for path in folder.iterdir()
    }
    assert read(folder, cache) == expected
    assert len(reads) == COUNT
    reads.clear()
    assert read(folder, cache) == expected
    assert reads == []
    # As large and as old as before, as a copy that keeps times is: the file itself is younger.
    status = (folder / "7.jpg").stat()
    (folder / "7.jpg").write_bytes(b"IMAGE 00007")
    os.utime(folder / "7.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))
    (folder / "8.jpg").unlink()
    (folder / "new.jpg").write_bytes(b"new")
    found = read(folder, cache)
    assert sorted(reads) == ["7.jpg", "new.jpg"]
    changed = {name: (len(b), zlib.crc32(b)) for name, b in [("7.jpg", b"IMAGE 00007")]}
    del expected["8.jpg"]
    assert found == {**expected, **changed, "new.jpg": (3, zlib.crc32(b"new"))}


def test_a_file_just_written_is_read_again_for_it_may_change_within_a_tick(tmp_path, reads):
    folder, cache = write_images(tmp_path / "images", 5), tmp_path / "checksums"
    read(folder, cache)
    reads.clear()
    read(folder, cache)
    assert len(reads) == 5


def test_what_cannot_be_read_is_named_so_and_tried_again(tmp_path, monkeypatch):
    let_time_pass(monkeypatch)
    folder, cache = write_images(tmp_path / "images", 3), tmp_path / "checksums"
    read_file = checksums._read
    with monkeypatch.context() as patch:
        patch.setattr(
            checksums,
            "_read",
            lambda path: read_file(path.with_name("gone") if path.stem == "1" else path),
        )
        assert read(folder, cache)["1.jpg"] == (0, UNREADABLE)
    again = read(folder, cache)
    assert again["1.jpg"] == (11, zlib.crc32(b"image 00001"))


def test_a_disk_that_fails_does_not_change_what_the_content_is(tmp_path, monkeypatch):
    folder = write_images(tmp_path / "images", 3)
    read_file = checksums._read
    # To read a folder as a file fails as a disk does: not because it is missing or forbidden.
    monkeypatch.setattr(
        checksums, "_read", lambda path: read_file(tmp_path if path.stem == "1" else path)
    )
    with pytest.raises(ResourceError, match="cannot be read"):
        read(folder, tmp_path / "checksums")


def test_a_damaged_table_of_checksums_is_made_anew(tmp_path, monkeypatch):
    let_time_pass(monkeypatch)
    folder, cache = write_images(tmp_path / "images", 5), tmp_path / "checksums"
    first = read(folder, cache)
    (table,) = cache.iterdir()
    table.write_bytes(b"PAR1 no more")
    assert read(folder, cache) == first
    assert len(pq.read_table(table)) == 5


def test_names_of_any_bytes_are_kept(tmp_path, monkeypatch, reads):
    let_time_pass(monkeypatch)
    folder = write_images(tmp_path / "images", 0)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.jpg")).write_bytes(b"x")
    for _ in range(2):
        assert list(read(folder, tmp_path / "checksums").values()) == [(1, zlib.crc32(b"x"))]
    assert len(reads) == 1


def test_progress_is_logged_while_it_takes_long(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(checksums, "_LOG_EVERY_S", 0.0)
    with caplog.at_level("INFO", logger="galaxy_tasks"):
        read(write_images(tmp_path / "images"))
    assert f"Checksums of images: {COUNT} of {COUNT} read" in caplog.messages


def test_another_image_of_the_same_size_is_another_content(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    let_time_pass(monkeypatch)
    source = write_release(tmp_path / "source")
    settings = class_table(source).model_dump(mode="json")
    first = prepare_release(settings)
    assert prepare_release(settings) == first
    (source / "pictures" / "1.jpg").write_bytes(b"two")
    second = prepare_release(settings)
    assert {**second, "content": first["content"]} == first
    assert second["content"] != first["content"]


def test_the_same_content_elsewhere_and_at_another_time_is_the_same(tmp_path):
    found = []
    for name in ("one", "two"):
        source = write_release(tmp_path / name)
        os.utime(source / "pictures" / "1.jpg", (len(found), len(found)))
        config = RunConfig(release="class_table", source=str(source))
        found.append(locate_release(config, checksums=tmp_path / "checksums").content)
    assert found[0] == found[1]
