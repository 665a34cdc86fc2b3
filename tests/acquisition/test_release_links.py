"""Of a new version only what is new is fetched; what its record lacks is linked from a folder."""

import errno
import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from fixtures.euclid_inputs import EUCLID, make_archive, make_table
from fixtures.release_inputs import build_source
from fixtures.zip_inputs import pack

from galaxy_tasks.acquisition.locate import INCOMPLETE
from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline import steps
from galaxy_tasks.releases import RELEASES

DESI, ARCHIVE = "galaxy_zoo_desi", EUCLID.files[1].name


@pytest.fixture
def desi(server, monkeypatch, tmp_path):
    """A new version of DESI's record, and a folder with the images that nobody offers."""
    build_source(tmp_path / "source", DESI, galaxies=5)
    table = tmp_path / "source" / RELEASES[DESI].files[0].name
    content = table.read_bytes()
    table.write_bytes(b"an older version")
    entry = {
        "key": table.name,
        "size": len(content),
        "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
        "links": {"self": server.serve("/new_table", content)},
    }
    record = {"id": 777, "conceptrecid": "8360384", "files": [entry]}
    server.serve("/api/records/777", json.dumps(record).encode())
    monkeypatch.setenv("GALAXY_ZENODO_URL", server.address(""))
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    return {"release": DESI, "source": str(tmp_path / "source"), "zenodo_record": "777"}


@pytest.mark.parametrize("images", ["images", "images.zip", "cutouts"])
def test_a_versions_table_is_fetched_and_its_images_are_those_of_the_source(
    desi, server, tmp_path, images
):
    source = tmp_path / "source"
    if images == "images.zip":
        pack(source / "images", source / images)
        shutil.rmtree(source / "images")
    elif images == "cutouts":
        (source / "images").rename(source / images)
        desi["images_folder"] = images
    found = steps.prepare_release(desi)
    assert Path(found["images"]).resolve() == source / images
    assert Path(found["catalogue"]).parent.name.startswith(f"{DESI}-777-")
    assert len(pd.read_parquet(found["catalogue"])) == 5
    asked = len(server.requests)
    assert steps.prepare_release(desi) == found
    assert len(server.requests) == asked


def test_each_source_has_a_folder_of_its_own(desi, tmp_path):
    first = steps.prepare_release(desi)
    shutil.copytree(tmp_path / "source", tmp_path / "other")
    second = steps.prepare_release({**desi, "source": str(tmp_path / "other")})
    assert first["images"] != second["images"]
    assert Path(second["images"]).resolve() == tmp_path / "other" / "images"


def test_a_source_without_the_images_is_refused_before_anything_is_fetched(desi, server, tmp_path):
    shutil.rmtree(tmp_path / "source" / "images")
    with pytest.raises(InputError, match="lacks the image folder images"):
        steps.prepare_release(desi)
    assert server.requests == []


def publish_version(server, number, contents):
    """Let Zenodo have another version of Euclid's record."""
    entries = []
    for name, content in contents.items():
        address = server.serve(f"/files/{number}/{name}", content)
        md5 = f"md5:{hashlib.md5(content).hexdigest()}"
        entries.append(
            {"key": name, "size": len(content), "checksum": md5, "links": {"self": address}}
        )
    record = {"id": number, "conceptrecid": "15106472", "files": entries}
    server.serve(f"/api/records/{number}", json.dumps(record).encode())


@pytest.fixture
def versions(server, monkeypatch, tmp_path):
    """Two versions: the table of the second is another, the images are the same."""
    table, archive = (file.name for file in EUCLID.files)
    publish_version(server, 1, {table: make_table(), archive: make_archive()})
    publish_version(server, 2, {table: make_table(galaxies=3), archive: make_archive()})
    monkeypatch.setenv("GALAXY_ZENODO_URL", server.address(""))
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    return [tmp_path / "downloads" / f"{EUCLID.name}-{number}" for number in (1, 2)]


def prepare(number):
    return steps.prepare_release({"release": EUCLID.name, "zenodo_record": str(number)})


def count_requests(server, name):
    return sum(each.path.endswith(name) for each in server.requests)


def test_what_a_new_version_shares_with_an_older_one_is_not_fetched_again(versions, server, capsys):
    first, second = versions
    prepare(1)
    found = prepare(2)
    assert count_requests(server, ARCHIVE) == 1
    assert count_requests(server, EUCLID.files[0].name) == 2
    assert (second / ARCHIVE).samefile(first / ARCHIVE)
    assert (second / "images" / "1_7.jpg").samefile(first / "images" / "1_7.jpg")
    assert len(pd.read_parquet(found["catalogue"])) == 3
    log = capsys.readouterr().out
    assert f"{ARCHIVE}: the same as {first / ARCHIVE}, taken from there" in log
    assert f"{ARCHIVE}: 1 files, 5 bytes, 0 of them new" in log
    assert not (second / INCOMPLETE).exists()


def test_what_was_changed_in_an_older_versions_folder_is_not_taken(versions, server):
    first, second = versions
    prepare(1)
    (first / ARCHIVE).write_bytes(b"x" * len(make_archive()))
    prepare(2)
    assert count_requests(server, ARCHIVE) == 2
    assert (second / "images" / "1_7.jpg").read_bytes() == b"seven"


def test_an_image_that_was_changed_in_an_older_versions_folder_is_written_anew(versions):
    first, second = versions
    prepare(1)
    (first / "images" / "1_7.jpg").write_bytes(b"SEVEN")
    prepare(2)
    assert (second / "images" / "1_7.jpg").read_bytes() == b"seven"
    assert (first / "images" / "1_7.jpg").read_bytes() == b"SEVEN"


def test_where_no_hard_link_can_be_made_files_are_copied(versions, server, monkeypatch):
    first, second = versions
    prepare(1)

    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    prepare(2)
    assert count_requests(server, ARCHIVE) == 1
    assert not (second / ARCHIVE).samefile(first / ARCHIVE)
    assert (second / "images" / "1_7.jpg").read_bytes() == b"seven"


def test_images_of_an_archive_that_changed_are_unpacked_from_the_new_one(versions, server):
    table, archive = (file.name for file in EUCLID.files)
    prepare(1)
    publish_version(server, 2, {table: make_table(), archive: make_archive(b"SEVEN")})
    prepare(2)
    assert (versions[1] / "images" / "1_7.jpg").read_bytes() == b"SEVEN"
    assert (versions[0] / "images" / "1_7.jpg").read_bytes() == b"seven"
    assert (versions[1] / table).samefile(versions[0] / table)
