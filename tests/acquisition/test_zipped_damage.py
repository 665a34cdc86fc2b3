"""A zip that is damaged, or lies, costs the images it concerns or is refused as a whole."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.preparation_inputs import list_galaxies
from fixtures.zip_inputs import encode, make_folder, pack, prepare

from galaxy_tasks.acquisition import zip_reader
from galaxy_tasks.acquisition.zip_reader import list_entries
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.images.settings import ImageSettings


def find_member(content: bytes, name: bytes) -> tuple[int, int]:
    """Where a member's header and its content begin."""
    header = content.index(b"PK\3\4")
    while content[header + 30 : header + 30 + len(name)] != name:
        header = content.index(b"PK\3\4", header + 4)
    name_bytes, extra_bytes = struct.unpack("<HH", content[header + 26 : header + 30])
    return header, header + 30 + name_bytes + extra_bytes


def test_a_damaged_member_is_refused_and_the_others_are_prepared(tmp_path):
    archive = pack(make_folder(tmp_path / "images", 12), tmp_path / "images.zip")
    content = bytearray(archive.read_bytes())
    content[find_member(content, b"images/5.jpg")[1] + 300] ^= 0xFF  # in the packed pixels
    content[find_member(content, b"images/7.jpg")[0]] ^= 0xFF  # in the header
    archive.write_bytes(content)
    summary = prepare(
        tmp_path / "out", archive, list_galaxies(np.arange(12)), max_rejected_fraction=0.5
    )
    assert (summary.prepared, summary.rejected_by_reason) == (10, {"undecodable": 2})
    rejected = pd.read_parquet(tmp_path / "out" / "rejected.parquet")
    assert list(rejected["source_file"]) == ["5.jpg", "7.jpg"]
    assert all("damaged" in detail for detail in rejected["detail"])
    with pytest.raises(InputError, match="Too many images are refused"):
        prepare(tmp_path / "strict", archive, list_galaxies(np.arange(12)))


def change_directory(archive: Path, name: bytes, offset: int, value: bytes) -> None:
    """Change what the central directory says of a member."""
    content = bytearray(archive.read_bytes())
    entry = content.index(b"PK\1\2")
    while content[entry + 46 : entry + 46 + len(name)] != name:
        entry = content.index(b"PK\1\2", entry + 4)
    content[entry + offset : entry + offset + len(value)] = value
    archive.write_bytes(content)


def test_a_member_that_unpacks_to_more_than_said_is_refused(tmp_path):
    folder = make_folder(tmp_path / "images", 12)
    (folder / "2.jpg").write_bytes(encode(2) + bytes(3_000_000))
    archive = pack(folder, tmp_path / "images.zip")
    change_directory(archive, b"images/2.jpg", 24, struct.pack("<I", 5000))
    summary = prepare(
        tmp_path / "out", archive, list_galaxies(np.arange(12)), max_rejected_fraction=0.5
    )
    assert summary.rejected_by_reason == {"undecodable": 1}


def test_a_member_larger_than_an_image_can_be_is_not_read(tmp_path):
    folder = make_folder(tmp_path / "images", 12)
    small = ImageSettings.from_config(RunConfig(image_size_px=32, max_source_side_px=64))
    (folder / "2.jpg").write_bytes(encode(2) + np.random.default_rng(0).bytes(16_384))
    archive = pack(folder, tmp_path / "images.zip")
    summary = prepare(
        tmp_path / "out",
        archive,
        list_galaxies(np.arange(12)),
        max_rejected_fraction=0.5,
        settings=small,
    )
    assert summary.rejected_by_reason == {"too_large": 1}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("truncate", "no zip"),
        ("encrypt", r"'images/2\.jpg' is encrypted"),
        ("repeat", r"two files named '2\.jpg' in different folders"),
        ("leave", "leads out of the folder"),
        ("bomb", "higher ratio than expected"),
        ("method", "only stored and deflated files can be read in place"),
    ],
)
def test_an_archive_that_cannot_be_trusted_is_refused_as_a_whole(tmp_path, damage, message):
    archive = pack(make_folder(tmp_path / "images", 6), tmp_path / "images.zip")
    if damage == "truncate":
        archive.write_bytes(archive.read_bytes()[:-200])
    elif damage == "encrypt":
        change_directory(archive, b"images/2.jpg", 8, b"\1\0")
    else:
        name = {"repeat": "more/2.jpg", "leave": "../9.jpg"}.get(damage, "9.jpg")
        method = zipfile.ZIP_BZIP2 if damage == "method" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(archive, "a", method) as opened:
            opened.writestr(name, bytes(5_000_000 if damage == "bomb" else 10))
    with pytest.raises(InputError, match=message):
        list_entries(archive)
    with pytest.raises(InputError, match=message):
        prepare(tmp_path / "out", archive, list_galaxies(np.arange(6)))


def test_the_directory_is_read_once_until_the_zip_changes(tmp_path, monkeypatch):
    opened = []
    read = zip_reader.open_members
    monkeypatch.setattr(
        zip_reader,
        "open_members",
        lambda path, **limits: opened.append(path) or read(path, **limits),
    )
    folder = make_folder(tmp_path / "images", 3)
    archive = pack(folder, tmp_path / "images.zip")
    assert len(list_entries(archive)) == len(list_entries(archive)) == 3
    assert len(opened) == 1
    (folder / "3.jpg").write_bytes(encode(3))
    pack(folder, archive)
    assert len(list_entries(archive)) == 4
    assert len(opened) == 2
