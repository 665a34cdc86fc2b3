"""What can be trained on is not fetched: tables in other formats, image folders and zips."""

import hashlib
import io
import shutil
import zipfile
from dataclasses import replace

import pandas as pd
import pytest
from fixtures.release_inputs import build_source
from typer.testing import CliRunner

from galaxy_tasks.acquisition.fetch import fetch_release, provide_source
from galaxy_tasks.acquisition.locate import INCOMPLETE, find_placed, locate_images, locate_release
from galaxy_tasks.cli.main import app
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases import RELEASES

NAME = "galaxy_zoo_2"


def command(*arguments):
    return CliRunner().invoke(app, ["releases", *map(str, arguments)], catch_exceptions=False)


def zip_folder(folder, archive):
    with zipfile.ZipFile(archive, "w") as opened:
        for path in folder.iterdir():
            opened.write(path, f"images/{path.name}")


@pytest.fixture
def nobody(server, monkeypatch):
    """A server that has nothing, in place of every publisher; who asks it fails, and is seen."""
    for name, release in RELEASES.items():
        files = [
            replace(f, addresses=(server.address("/" + f.name),) if f.addresses else ())
            for f in release.files
        ]
        monkeypatch.setitem(RELEASES, name, replace(release, files=tuple(files)))
    return server


def write_mapping_hash(monkeypatch, place):
    """Let the release know the mapping of the test as the published one."""
    content = (place / "gz2_filename_mapping.csv").read_bytes()
    release = RELEASES[NAME]
    files = [
        replace(f, md5=hashlib.md5(content).hexdigest()) if f.role == "mapping" else f
        for f in release.files
    ]
    monkeypatch.setitem(RELEASES, NAME, replace(release, files=tuple(files)))


def test_the_readmes_own_layout_is_all_there(nobody, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "galaxy_tasks")
    place = tmp_path / NAME
    build_source(place, NAME, galaxies=5)
    write_mapping_hash(monkeypatch, place)
    fetched = command("fetch", NAME, "--folder", tmp_path)
    assert fetched.exit_code == 0, fetched.output
    assert "gz2_hart16.csv.gz: gz2_hart16.csv is used in its place" in caplog.text
    assert "images_gz2.zip: images is used in its place" in caplog.text
    assert f"scripts/run --release {NAME} --source {place}" in fetched.output
    checked = command("check", NAME, "--folder", tmp_path)
    assert checked.exit_code == 0, checked.output
    assert "gz2_filename_mapping.csv: right, MD5 as published" in checked.output
    assert "gz2_hart16.csv is used in its place. no published hash: columns" in checked.output
    assert "images_gz2.zip: images is used in its place. 5 images, counted" in checked.output
    assert nobody.requests == []


@pytest.mark.parametrize("images", ["folder", "images.zip", "images_gz2.zip"])
def test_what_was_placed_for_the_first_task_is_taken(nobody, tmp_path, monkeypatch, images):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    place = tmp_path / "downloads" / NAME
    build_source(place, NAME, galaxies=5)
    write_mapping_hash(monkeypatch, place)
    if images != "folder":
        zip_folder(place / "images", place / images)
        shutil.rmtree(place / "images")
        # The archive of the test is not the published one.
        files = (replace(f, md5=None) if f.name == images else f for f in RELEASES[NAME].files)
        monkeypatch.setitem(RELEASES, NAME, replace(RELEASES[NAME], files=tuple(files)))
    for _ in range(2):
        assert provide_source(RunConfig(release=NAME)) == place
        found = locate_release(RunConfig(release=NAME), source=place)
        assert found.catalogue == str(place / "gz2_hart16.csv")
        expected = "images.zip" if images == "images.zip" else "images"
        assert found.images == str(place / expected)
    assert nobody.requests == []


@pytest.mark.parametrize(
    "table",
    ["gz2_hart16.csv.gz", "gz2_hart16.fits", "zoo2MainSpecz.csv"],
)
def test_a_table_counts_under_every_name_and_format_that_is_read(tmp_path, table):
    (tmp_path / table).touch()
    (placed, *_) = find_placed(RELEASES[NAME], tmp_path)
    assert placed.path == tmp_path / table


def test_a_format_that_is_not_read_counts_as_nothing(tmp_path):
    (tmp_path / "gz2_hart16.parquet").touch()
    assert find_placed(RELEASES[NAME], tmp_path)[0].path is None


def test_one_of_two_tables_that_are_fetched_does_not_stand_for_the_other(tmp_path):
    release = RELEASES["galaxy_zoo_decals"]
    second = release.files[1]
    (tmp_path / second.name).touch()
    assert [p.path for p in find_placed(release, tmp_path)][:2] == [None, tmp_path / second.name]
    (tmp_path / second.name).rename(tmp_path / "gz_decals_volunteers_5.csv")
    placed = [p.path for p in find_placed(release, tmp_path)]
    assert placed[:2] == [tmp_path / "gz_decals_volunteers_5.csv"] * 2


def test_images_that_are_not_all_unpacked_stand_for_no_archive(server, tmp_path):
    """The archive was damaged: some images are out, and the archive was removed as told."""
    challenge = RELEASES["galaxy_zoo_challenge"]
    build_source(tmp_path, challenge.name, galaxies=3)
    images = tmp_path / challenge.images_folders[0]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for name in ("a.jpg", "b.jpg"):
            opened.writestr(name, b"an image of " + name.encode())
    right = packed.getvalue()
    table, archive = challenge.files
    archive = replace(archive, addresses=(server.address("/images"),))
    release = replace(challenge, files=(table, archive))
    shutil.rmtree(images)
    server.serve("/images", right.replace(b"an image of b", b"an image of c"))
    with pytest.raises(InputError, match="is damaged"):
        fetch_release(release, folder=tmp_path)
    assert [path.name for path in images.iterdir()] == ["a.jpg"]
    (tmp_path / archive.name).unlink()
    assert find_placed(release, tmp_path)[1].path is None
    config = RunConfig(release=release.name, source=str(tmp_path))
    with pytest.raises(
        InputError, match=r"unpacked only in part\. Run `galaxy-morphology releases"
    ):
        locate_images(config, release, tmp_path)
    (tmp_path / f"{archive.name}.sha256").unlink()
    server.serve("/images", right, etag='"two"')
    fetch_release(release, folder=tmp_path)
    assert sorted(path.name for path in images.iterdir()) == ["a.jpg", "b.jpg"]
    (tmp_path / archive.name).unlink()
    assert find_placed(release, tmp_path)[1].path == images
    assert not (tmp_path / INCOMPLETE).exists()


def test_a_table_that_would_be_read_first_is_checked_beside_the_published_one(tmp_path):
    build_source(tmp_path, NAME, galaxies=5)
    table = pd.read_csv(tmp_path / "gz2_hart16.csv")
    table.to_csv(tmp_path / "gz2_hart16.csv.gz", index=False)
    (tmp_path / "gz2_hart16.csv").write_text("hello\n")
    output = command("check", NAME, "--folder", tmp_path).output
    assert "gz2_hart16.csv.gz: no published hash: columns as expected" in output
    assert "gz2_hart16.csv: " in output
    assert "lacks" in output
