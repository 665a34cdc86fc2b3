"""A zip with the images stands for their folder: the same content, the same prepared bytes."""

import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.archive_inputs import content_of, make_tar, make_zip, unpack
from fixtures.preparation_inputs import list_galaxies
from fixtures.zip_inputs import encode, make_folder, pack, prepare

from galaxy_tasks.acquisition.image_folder import hash_content
from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.acquisition.tables import list_file_names, list_images
from galaxy_tasks.cli.releases import find_files
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels.spark_io import read_images
from galaxy_tasks.releases import RELEASES

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "galaxy_zoo_challenge"


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
    before = (folder / "0.jpg").read_bytes()
    for other in (b"another size", before[:-1] + bytes([before[-1] ^ 1])):
        (folder / "0.jpg").write_bytes(other)
        pack(folder, archive)
        assert content != hash_content([table], images=archive)
        assert hash_content([table], images=folder) == hash_content([table], images=archive)


LEFT_BY_SYSTEMS = [
    "images/.DS_Store",
    "more/.DS_Store",
    "__MACOSX/images/._0.jpg",
    "__MACOSX/images/0.jpg",
    ".thumbnails/1.jpg",
    "images/Thumbs.db",
    "more/Thumbs.db",
    "more/desktop.ini",
    "images/readme.txt",
    "more/readme.txt",
]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_what_systems_leave_in_an_archive_is_left_out_of_it_everywhere(tmp_path, suffix):
    files = {"images/0.jpg": encode(0), "more/1.jpg": encode(1)}
    files |= {name: name.encode() for name in LEFT_BY_SYSTEMS}
    make = make_zip if suffix == ".zip" else make_tar
    archive = make(tmp_path / f"a{suffix}", files)
    folder = tmp_path / "out"
    assert len(unpack(archive, folder, layout="flat").names) == 3
    expected = {"0.jpg": encode(0), "1.jpg": encode(1), "readme.txt": b"images/readme.txt"}
    assert content_of(folder) == expected
    if suffix == ".zip":
        assert set(list_file_names(archive)) == set(expected)
        assert hash_content([], images=archive) == hash_content([], images=folder)


def test_two_images_of_one_name_are_refused_alike_in_place_and_unpacked(tmp_path):
    files = {"images/0.jpg": encode(0), "more/0.jpg": encode(0), "more/Thumbs.db": b""}
    archive = make_zip(tmp_path / "a.zip", files)
    message = r"two files named '0\.jpg' in different folders"
    with pytest.raises(InputError, match=message):
        unpack(archive, tmp_path / "out", layout="flat")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=message):
        list_file_names(archive)
    assert len(unpack(archive, tmp_path / "out").names) == 3


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
