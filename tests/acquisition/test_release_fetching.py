"""A whole release comes from a server onto the disk, and trains from there."""

import hashlib
import io
import random
import zipfile
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from galaxy_tasks.acquisition.fetch import fetch_release
from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.cli.main import app
from galaxy_tasks.cli.releases import find_files
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.schema import PublishedFile

CATALOGUE = b"dr7objid,gz2_class\n587722981741363294,Sb\n"
MAPPING = b"objid,sample,asset_id\n587722981741363294,original,7\n"


IMAGES = {"images/J00/7.jpg": b"seven" * 100, "images/J01/8.jpg": b"eight" * 100}
"""In folders of their own, as some publishers have them."""


def make_archive(files=IMAGES) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return archive.getvalue()


@pytest.fixture
def release(server):
    """Galaxy Zoo 2 as a server on this machine offers it."""
    contents = {
        "gz2_hart16.csv": (CATALOGUE, "catalogue"),
        "gz2_filename_mapping.csv": (MAPPING, "mapping"),
        "images_gz2.zip": (make_archive(), "images"),
    }
    files = []
    for name, (content, role) in contents.items():
        address = server.serve(f"/{name}", content)
        md5 = hashlib.md5(content).hexdigest()
        files.append(PublishedFile(name=name, addresses=(address,), md5=md5, role=role))
    return replace(RELEASES["galaxy_zoo_2"], files=tuple(files))


def test_all_of_a_release_is_fetched_and_its_images_lie_in_one_folder(release, tmp_path):
    fetched = fetch_release(release, folder=tmp_path)
    assert [file.origin for file in fetched] == ["downloaded"] * 3
    assert (tmp_path / "images" / "7.jpg").read_bytes() == b"seven" * 100
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["7.jpg", "8.jpg"]
    assert find_files(release, tmp_path).is_complete


def test_images_stay_in_their_zip_where_that_is_asked_for(release, monkeypatch, tmp_path):
    monkeypatch.setitem(RELEASES, "galaxy_zoo_2", release)
    arguments = ["releases", "fetch", "galaxy_zoo_2", "--in-place", "--folder", str(tmp_path)]
    fetched = CliRunner().invoke(app, arguments)
    assert fetched.exit_code == 0, fetched.output
    assert "images_gz2.zip: 2 files, read in place" in fetched.output
    place = tmp_path / "galaxy_zoo_2"
    assert f"scripts/run --release galaxy_zoo_2 --source {place}" in fetched.output
    assert not (place / "images").exists()
    config = RunConfig(release="galaxy_zoo_2", source=str(place), scheme="gz2_class")
    assert locate_release(config).images == str(place / "images_gz2.zip")


def test_a_second_time_nothing_is_fetched(release, server, tmp_path):
    fetch_release(release, folder=tmp_path)
    asked = len(server.requests)
    fetched = fetch_release(release, folder=tmp_path)
    assert [file.origin for file in fetched] == ["already_there"] * 3
    assert len(server.requests) == asked


def test_what_only_people_may_fetch_is_asked_for_by_name(tmp_path):
    challenge = RELEASES["galaxy_zoo_challenge"]
    with pytest.raises(
        InputError, match=r"training_solutions_rev1\.csv, images_training_rev1\.zip"
    ):
        fetch_release(challenge, folder=tmp_path)


def test_a_release_without_files_says_so(tmp_path):
    with pytest.raises(InputError, match="Of class_table there is nothing to fetch"):
        fetch_release(RELEASES["class_table"], folder=tmp_path)


def test_the_commands_fetch_check_and_say_how_to_train(release, monkeypatch, tmp_path):
    monkeypatch.setitem(RELEASES, "galaxy_zoo_2", release)
    fetched = CliRunner().invoke(
        app, ["releases", "fetch", "galaxy_zoo_2", "--folder", str(tmp_path)]
    )
    assert fetched.exit_code == 0, fetched.output
    place = tmp_path / "galaxy_zoo_2"
    assert f"scripts/run --release galaxy_zoo_2 --source {place}" in fetched.output
    arguments = ["releases", "check", "galaxy_zoo_2", "--folder", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    (place / "gz2_filename_mapping.csv").write_bytes(b"another")
    checked = CliRunner().invoke(app, arguments)
    assert checked.exit_code == 1
    assert "gz2_filename_mapping.csv" in checked.output


def test_images_of_one_name_in_two_folders_are_refused_and_none_is_written(
    release, server, tmp_path
):
    archive = make_archive({"J00/7.jpg": b"one", "J01/7.jpg": b"two"})
    (images,) = (file for file in release.files if file.role == "images")
    server.serve("/images_gz2.zip", archive)
    others = [file for file in release.files if file is not images]
    changed = replace(release, files=(*others, replace(images, md5=None)))
    with pytest.raises(InputError, match=r"7\.jpg.*twice"):
        fetch_release(changed, folder=tmp_path)
    assert not (tmp_path / "images").exists()


def add_part(release, server, files):
    """The release with a second archive of images."""
    content = make_archive(files)
    address = server.serve("/part_2.zip", content)
    md5 = hashlib.md5(content).hexdigest()
    part = PublishedFile(name="part_2.zip", addresses=(address,), md5=md5, role="images")
    return replace(release, files=(*release.files, part))


def test_archives_that_share_an_image_come_into_one_folder(release, server, tmp_path):
    """The readme of the first archive counts, however often they are unpacked."""
    first = add_part(release, server, {"a/9.jpg": b"nine", "readme.txt": b"first"})
    more = {"b/9.jpg": b"nine", "b/10.jpg": b"ten", "b/readme.txt": b"second"}
    content = make_archive(more)
    address = server.serve("/part_3.zip", content)
    part = PublishedFile(name="part_3.zip", addresses=(address,), md5=None, role="images")
    both = replace(first, files=(*first.files, part))
    for _ in range(2):
        fetch_release(both, folder=tmp_path)
        names = sorted(path.name for path in (tmp_path / "images").iterdir())
        assert names == ["10.jpg", "7.jpg", "8.jpg", "9.jpg", "readme.txt"]
        assert (tmp_path / "images" / "readme.txt").read_bytes() == b"first"


@pytest.mark.parametrize("other", [b"seven" * 99 + b"SEVEN", b"7"], ids=["same size", "smaller"])
def test_another_image_of_the_same_name_in_a_further_archive_is_refused(
    release, server, tmp_path, other
):
    parts = add_part(release, server, {"J09/9.jpg": b"nine", "J09/7.jpg": other})
    for _ in range(2):  # clearing the task changes nothing
        with pytest.raises(
            InputError, match=r"part_2\.zip has another file named '7\.jpg' than .*"
        ):
            fetch_release(parts, folder=tmp_path)
        assert (tmp_path / "images" / "7.jpg").read_bytes() == b"seven" * 100
    assert not find_files(parts, tmp_path).is_complete


def test_a_damaged_image_is_not_taken_for_another_of_its_name(release, server, tmp_path):
    """Damage of the archive is told, which another fetch mends, and no renaming."""
    shared = random.Random(1).randbytes(900_000)
    first = add_part(release, server, {"9.jpg": shared})
    content = bytearray(make_archive({"9.jpg": shared}))
    content[content.index(shared) + 800_000] ^= 1
    address = server.serve("/part_3.zip", bytes(content))
    part = PublishedFile(name="part_3.zip", addresses=(address,), md5=None, role="images")
    with pytest.raises(InputError, match=r"part_3\.zip is damaged.*CRC-32"):
        fetch_release(replace(first, files=(*first.files, part)), folder=tmp_path)
    assert (tmp_path / "images" / "9.jpg").read_bytes() == shared
