"""A zip is read where it lies, and stands for the folder of images that it would be unpacked to."""

import random
import struct
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.archive_inputs import FILES, make_tar, make_zip, unpack
from fixtures.preparation_inputs import list_galaxies
from fixtures.zip_inputs import encode, make_folder, pack, prepare

from galaxy_tasks.acquisition.checksums import hash_content
from galaxy_tasks.acquisition.image_folder import list_images
from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.acquisition.zip_reader import ZipReader, list_entries
from galaxy_tasks.cli.releases import find_files
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.labels.spark_io import read_images
from galaxy_tasks.releases import RELEASES

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "galaxy_zoo_challenge"


def open_zip(archive):
    return ZipReader(archive, list_entries(archive))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read_in_place(tmp_path, method):
    with open_zip(make_zip(tmp_path / "a.zip", FILES, method)) as members:
        assert {name: members.read(name) for name in members.entries} == FILES


def test_a_zip_behind_other_bytes_is_read_too(tmp_path):
    archive = make_zip(tmp_path / "a.zip", FILES)
    archive.write_bytes(b"#!/bin/sh\n" + archive.read_bytes())
    with open_zip(archive) as members:
        assert {name: members.read(name) for name in members.entries} == FILES


READ_FORKED = """
import multiprocessing, sys
from pathlib import Path
from galaxy_tasks.acquisition.zip_reader import ZipReader, list_entries

def read_all(_):
    return {name: members.read(name) for name in members.entries}

archive = Path(sys.argv[1])
with ZipReader(archive, list_entries(archive)) as members:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        contents = pool.map(read_all, range(12), chunksize=1)
    assert len(contents) == 12
    assert all(content == read_all(0) for content in contents)
"""


def test_threads_and_forked_processes_read_at_the_same_time(tmp_path):
    files = {str(n): random.Random(n).randbytes(3000) for n in range(200)}
    archive = make_zip(tmp_path / "a.zip", files)
    with open_zip(archive) as members, ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            assert list(pool.map(members.read, files)) == list(files.values())
    subprocess.run([sys.executable, "-c", READ_FORKED, str(archive)], check=True, timeout=30)


def test_the_directory_is_read_once_until_the_zip_changes(tmp_path):
    folder = make_folder(tmp_path / "images", 3)
    archive = pack(folder, tmp_path / "images.zip")
    first = list_entries(archive)
    assert list_entries(archive) is first
    assert len(first) == 3
    (folder / "3.jpg").write_bytes(encode(3))
    pack(folder, archive)
    assert len(list_entries(archive)) == 4


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_zip_and_folder_give_the_same_prepared_images(tmp_path, method):
    folder = make_folder(tmp_path / "images", 150)
    (folder / "3.jpg").write_bytes(b"<html>")
    (folder / "4.jpg").write_bytes(b"")
    if REAL.is_dir():
        for number, path in enumerate(sorted((REAL / "images_training_rev1").iterdir())[:24]):
            (folder / f"{100 + number}.jpg").write_bytes(path.read_bytes())
    archive = pack(folder, tmp_path / "images.zip", inside="a/b/", method=method)
    galaxies = list_galaxies(np.arange(151))  # the last one has no image
    outcome = {}
    for images, workers in ((folder, 1), (archive, 2)):
        out = tmp_path / f"out of {images.name}"
        prepare(out, images, galaxies, workers=workers, max_rejected_fraction=0.1)
        manifest = pd.read_parquet(out / "manifest.parquet")
        rejected = pd.read_parquet(out / "rejected.parquet")
        outcome[images] = (
            sha256((out / "images.npy").read_bytes()).hexdigest(),
            manifest.to_dict(),
            rejected.drop(columns="detail").to_dict(),
        )
    assert outcome[folder] == outcome[archive]
    assert list(rejected["reason"]) == ["not_an_image", "empty", "missing"]


def test_names_and_content_are_those_of_the_unpacked_folder(tmp_path):
    folder = make_folder(tmp_path / "images", 5)
    (folder / "README.txt").write_text("of images")
    (folder / ".hidden.jpg").write_text("x")
    archive = pack(folder, tmp_path / "images.zip")
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("__MACOSX/images/._0.jpg", b"x")
        opened.writestr("images/Thumbs.db", b"x")
        opened.mkdir("images/empty")
    unpacked = tmp_path / "unpacked"
    unpack(archive, unpacked)
    listings = [list_images(root) for root in (archive, folder, unpacked)]
    assert [sorted(listing.images) for listing in listings] == [sorted(listings[0].images)] * 3
    contents = {hash_content([], images=listing) for listing in listings}
    assert len(contents) == 1
    before = (folder / "0.jpg").read_bytes()
    for other in (b"another size", before[:-1] + bytes([before[-1] ^ 1])):
        (folder / "0.jpg").write_bytes(other)
        pack(folder, archive)
        changed = hash_content([], images=list_images(archive))
        assert changed not in contents
        assert hash_content([], images=list_images(folder)) == changed


def find_member(content: bytes, name: bytes) -> tuple[int, int]:
    """Where a member's header and its content begin."""
    header = content.index(b"PK\3\4")
    while content[header + 30 : header + 30 + len(name)] != name:
        header = content.index(b"PK\3\4", header + 4)
    name_bytes, extra_bytes = struct.unpack("<HH", content[header + 26 : header + 30])
    return header, header + 30 + name_bytes + extra_bytes


def change_directory(archive: Path, name: bytes, offset: int, value: bytes) -> None:
    """Change what the central directory says of a member."""
    content = bytearray(archive.read_bytes())
    entry = content.index(b"PK\1\2")
    while content[entry + 46 : entry + 46 + len(name)] != name:
        entry = content.index(b"PK\1\2", entry + 4)
    content[entry + offset : entry + offset + len(value)] = value
    archive.write_bytes(content)


def test_damaged_members_are_refused_and_the_others_are_prepared(tmp_path):
    """Besides damaged pixels and a damaged header: one that unpacks to more than is stated."""
    folder = make_folder(tmp_path / "images", 12)
    (folder / "2.jpg").write_bytes(encode(2) + bytes(3_000_000))
    archive = pack(folder, tmp_path / "images.zip")
    change_directory(archive, b"images/2.jpg", 24, struct.pack("<I", 5000))
    content = bytearray(archive.read_bytes())
    content[find_member(content, b"images/5.jpg")[1] + 300] ^= 0xFF
    content[find_member(content, b"images/7.jpg")[0]] ^= 0xFF
    archive.write_bytes(content)
    galaxies = list_galaxies(np.arange(12))
    summary = prepare(tmp_path / "out", archive, galaxies, max_rejected_fraction=0.5)
    assert (summary.prepared, summary.rejected_by_reason) == (9, {"undecodable": 3})
    rejected = pd.read_parquet(tmp_path / "out" / "rejected.parquet")
    assert list(rejected["source_file"]) == ["2.jpg", "5.jpg", "7.jpg"]
    assert all("damaged" in detail for detail in rejected["detail"])


def test_a_member_larger_than_an_image_can_be_is_not_read(tmp_path):
    folder = make_folder(tmp_path / "images", 12)
    small = ImageSettings.from_config(RunConfig(image_size_px=32, max_source_side_px=64))
    (folder / "2.jpg").write_bytes(encode(2) + np.random.default_rng(0).bytes(16_384))
    archive = pack(folder, tmp_path / "images.zip")
    galaxies = list_galaxies(np.arange(12))
    out = tmp_path / "out"
    summary = prepare(out, archive, galaxies, max_rejected_fraction=0.5, settings=small)
    assert summary.rejected_by_reason == {"too_large": 1}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("tar", "is damaged, cut short or of an unknown kind"),
        ("truncate", "is damaged, cut short or of an unknown kind"),
        ("encrypt", r"'images/2\.jpg' is encrypted"),
        ("repeat", r"two images of one name: images/2\.jpg and more/2\.jpg"),
        ("leave", "leads out of the archive"),
        ("bomb", "Do not trust it"),
        ("method", "only stored and deflated files can be read in place"),
    ],
)
def test_an_archive_that_cannot_be_trusted_is_refused_as_a_whole(tmp_path, damage, message):
    archive = pack(make_folder(tmp_path / "images", 6), tmp_path / "images.zip")
    if damage == "tar":
        make_tar(archive, FILES)
    elif damage == "truncate":
        archive.write_bytes(archive.read_bytes()[:-200])
    elif damage == "encrypt":
        change_directory(archive, b"images/2.jpg", 8, b"\1\0")
    else:
        name = {"repeat": "more/2.jpg", "leave": "../9.jpg"}.get(damage, "9.jpg")
        method = zipfile.ZIP_BZIP2 if damage == "method" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(archive, "a", method) as opened:
            opened.writestr(name, bytes(5_000_000 if damage == "bomb" else 10))
    with pytest.raises(InputError, match=message):
        list_images(archive)
    with pytest.raises(InputError, match=message):
        prepare(tmp_path / "out", archive, list_galaxies(np.arange(6)))


def put_release(source: Path, *, archive: str) -> Path:
    """The challenge with the images in a zip, and the votes of no galaxy."""
    header = ["GalaxyID", *RELEASES["galaxy_zoo_challenge"].schemes["clean5"].fraction_columns]
    folder = make_folder(source.with_name("unpacked"), 3)
    source.mkdir()
    (source / "training_solutions_rev1.csv").write_text(
        f"{','.join(header)}\n0{',0' * (len(header) - 1)}\n"
    )
    pack(folder, source / archive)
    return folder


def locate(source: Path, **settings: str):
    return locate_release(RunConfig(release="galaxy_zoo_challenge", source=str(source), **settings))


def test_a_zip_is_found_in_place_of_the_folder_and_the_folder_goes_before_it(spark, tmp_path):
    source = tmp_path / "source"
    folder = put_release(source, archive="images_training_rev1.zip")
    found = locate(source)
    assert found.images == str(source / "images_training_rev1.zip")
    assert find_files(RELEASES["galaxy_zoo_challenge"], source).images == 3
    copy = tmp_path / "copy.parquet"
    images = read_images(spark, RELEASES["galaxy_zoo_challenge"], found, copy=copy).collect()
    assert {row["galaxy_id"]: row["image_name"] for row in images} == {
        str(number): f"{number}.jpg" for number in range(3)
    }
    folder.rename(source / "images_training_rev1")
    unpacked = locate(source)
    assert unpacked.images == str(source / "images_training_rev1")
    assert unpacked.content == found.content


@pytest.mark.parametrize("setting", ["mine", "mine.zip", "sub/../mine"])
def test_the_setting_names_the_zip_with_or_without_its_suffix(tmp_path, setting):
    put_release(tmp_path / "source", archive="mine.zip")
    found = locate(tmp_path / "source", images_folder=setting)
    assert found.images == str(tmp_path / "source" / "mine.zip")
    with pytest.raises(InputError, match=r"lacks the image folder images_training_rev1, and a zip"):
        locate(tmp_path / "source")


def test_a_published_archive_of_another_name_is_found_unless_it_is_a_part(tmp_path):
    folder = make_folder(tmp_path / "unpacked", 2)
    source = tmp_path / "source"
    source.mkdir()
    (source / "gz2_hart16.csv").write_text("dr7objid,gz2_class\n1,Er\n")
    (source / "gz2_filename_mapping.csv").write_text("objid,sample,asset_id\n1,original,1\n")
    pack(folder, source / "images_gz2.zip")
    config = RunConfig(release="galaxy_zoo_2", source=str(source), scheme="gz2_class")
    assert locate_release(config).images == str(source / "images_gz2.zip")
    for part in range(1, 5):
        pack(folder, source / f"gz_decals_dr5_png_part{part}.zip")
    assert find_files(RELEASES["galaxy_zoo_decals"], source).images == 0


def test_the_only_zip_of_a_class_table_is_its_images(tmp_path):
    folder = make_folder(tmp_path / "unpacked", 2)
    source = tmp_path / "source"
    source.mkdir()
    (source / "classes.csv").write_text("id,class\n1,spiral\n")
    config = RunConfig(release="class_table", source=str(source))
    with pytest.raises(InputError, match=r"one folder with images, or one zip.*: nothing"):
        locate_release(config)
    pack(folder, source / "a.zip", inside="")
    assert locate_release(config).images == str(source / "a.zip")
    pack(folder, source / "b.zip")
    with pytest.raises(InputError, match=r"Found with images: a\.zip, b\.zip"):
        locate_release(config)
