"""A zip with the images stands for their folder: the same content, the same prepared bytes."""

import struct
import zipfile
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from preparation_inputs import list_galaxies

from galaxy_tasks import zipped_images
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.images import ImageSettings
from galaxy_tasks.preparation import prepare_cutouts
from galaxy_tasks.release_files import locate_release
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.content import hash_content
from galaxy_tasks.releases.files import list_file_names, list_images
from galaxy_tasks.releases_cli import find_files
from galaxy_tasks.spark_tables import read_images
from galaxy_tasks.zipped_images import find_places

SETTINGS = ImageSettings.from_config(RunConfig(image_size_px=32))
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "galaxy_zoo_challenge"


def encode(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (48, 48, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def make_folder(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(encode(number))
    return folder


def pack(folder: Path, archive: Path, *, inside: str = "images/", method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(archive, "w", method) as opened:
        for path in sorted(folder.iterdir()):
            opened.write(path, inside + path.name)
    return archive


def prepare(out: Path, images: Path, galaxies: pd.DataFrame, **changes):
    asked = {"settings": SETTINGS, "max_rejected_fraction": 0.0, "workers": 1, **changes}
    out.mkdir()
    return prepare_cutouts(out, galaxies=galaxies, images_folder=images, **asked)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_zip_and_folder_give_the_same_bytes(tmp_path, method):
    folder = make_folder(tmp_path / "images", 150)
    (folder / "3.jpg").write_bytes(b"<html>")
    (folder / "4.jpg").write_bytes(b"")
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


@pytest.mark.skipif(not REAL.is_dir(), reason=f"needs the real data in {REAL}")
def test_real_cutouts_come_out_of_a_zip_as_out_of_their_folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number, path in enumerate(sorted((REAL / "images_training_rev1").iterdir())[:24]):
        (folder / f"{number}.jpg").write_bytes(path.read_bytes())
    archive = pack(folder, tmp_path / "images.zip")
    for name, images in (("a", folder), ("b", archive)):
        prepare(tmp_path / name, images, list_galaxies(np.arange(24)))
    found = [(tmp_path / name / "images.npy").read_bytes() for name in "ab"]
    assert found[0] == found[1]


def test_names_and_content_are_those_of_the_unpacked_folder(tmp_path):
    folder = make_folder(tmp_path / "images", 5)
    (folder / "README.txt").write_text("of images")
    (folder / ".hidden.jpg").write_text("x")
    archive = pack(folder, tmp_path / "images.zip")
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("__MACOSX/images/._0.jpg", b"x")
        opened.mkdir("images/empty")
    assert sorted(list_file_names(archive)) == sorted(list_file_names(folder))
    assert list_images(archive, pattern="") == list_images(folder, pattern="")
    assert list_images(archive, pattern="{id}.txt") == {"README": "README.txt"}
    table = tmp_path / "classes.csv"
    table.write_text("id,class\n")
    content = hash_content([table], images=archive)
    assert content == hash_content([table], images=folder)
    (folder / "0.jpg").write_bytes(b"another size")
    pack(folder, archive)
    assert content != hash_content([table], images=archive)
    assert hash_content([table], images=folder) == hash_content([table], images=archive)


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
    images = read_images(spark, RELEASES["galaxy_zoo_challenge"], found).collect()
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
    with pytest.raises(InputError, match="must lie inside the source folder"):
        locate(tmp_path / "source", images_folder="../unpacked")


def test_a_published_archive_of_another_name_is_found_unless_it_is_a_part(tmp_path):
    folder = make_folder(tmp_path / "unpacked", 2)
    source = tmp_path / "source"
    source.mkdir()
    (source / "gz2_hart16.csv").write_text("dr7objid,gz2_class\n1,Er\n")
    (source / "gz2_filename_mapping.csv").write_text("objid,sample,asset_id\n1,original,7\n")
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
        find_places(archive)
    with pytest.raises(InputError, match=message):
        prepare(tmp_path / "out", archive, list_galaxies(np.arange(6)))


def test_the_directory_is_read_once_until_the_zip_changes(tmp_path, monkeypatch):
    opened = []
    read = zipped_images.open_members
    monkeypatch.setattr(
        zipped_images,
        "open_members",
        lambda path, **limits: opened.append(path) or read(path, **limits),
    )
    folder = make_folder(tmp_path / "images", 3)
    archive = pack(folder, tmp_path / "images.zip")
    assert len(find_places(archive)) == len(find_places(archive)) == 3
    assert len(opened) == 1
    (folder / "3.jpg").write_bytes(encode(3))
    pack(folder, archive)
    assert len(find_places(archive)) == 4
    assert len(opened) == 2
