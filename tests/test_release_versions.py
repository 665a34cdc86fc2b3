"""Zenodo is asked for exact sizes and MD5 of what a release has there, and may stay silent."""

import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from download_server import Manner
from release_inputs import HEADERS, build_source
from typer.testing import CliRunner
from zip_inputs import pack

from galaxy_tasks import steps
from galaxy_tasks.cli import app
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.release_fetching import fetch_release
from galaxy_tasks.releases import RELEASES

EUCLID = RELEASES["galaxy_zoo_euclid"]
RECORD = "/api/records/15106473"


def make_table():
    table = io.BytesIO()
    columns = {column: [0.5, 0.5] for column in HEADERS[EUCLID.name]}
    pd.DataFrame({**columns, "tile_index": [1, 1], "object_id": [7, 8]}).to_parquet(table)
    return table.getvalue()


def make_archive():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("1_7.jpg", b"seven")
    return archive.getvalue()


def answer(server, contents, **changed):
    """Let Zenodo know these files, `changed` telling another size or MD5 than theirs."""
    entries = [
        {
            "key": name,
            "size": len(content),
            "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
            "links": {"self": server.address(f"{RECORD}/files/{name}/content")},
            **(changed if name.endswith(".tar") else {}),
        }
        for name, content in contents.items()
    ]
    record = {"id": 15106473, "conceptrecid": "15106472", "files": entries}
    server.serve(RECORD, json.dumps(record).encode())


@pytest.fixture
def euclid(server, monkeypatch):
    """Euclid on a mirror, and its record at Zenodo; of the archive no MD5 is known here."""
    contents = {
        file.name: make_table() if file.role == "catalogue" else make_archive()
        for file in EUCLID.files
    }
    for name, content in contents.items():
        server.serve(f"/mirror/{EUCLID.name}/{name}", content)
    table, archive = EUCLID.files
    table = replace(table, md5=hashlib.md5(contents[table.name]).hexdigest())
    monkeypatch.setitem(RELEASES, EUCLID.name, replace(EUCLID, files=(table, archive)))
    monkeypatch.setenv("GALAXY_MIRROR", server.address("/mirror"))
    monkeypatch.setenv("GALAXY_ZENODO_URL", server.address(""))
    answer(server, contents)
    return contents


def fetch(folder):
    return fetch_release(RELEASES[EUCLID.name], folder=folder)


ARCHIVE = EUCLID.files[1].name


def test_sizes_and_md5_that_only_zenodo_knows_are_held_against_what_comes(
    euclid, server, tmp_path, capsys
):
    fetch(tmp_path)
    assert f"{ARCHIVE} ({len(euclid[ARCHIVE])} bytes)" in capsys.readouterr().out
    checked = CliRunner().invoke(app, ["releases", "check", EUCLID.name, "--folder", str(tmp_path)])
    assert f"{ARCHIVE}: right, MD5 as published" in checked.output
    assert [each.path for each in server.requests].count(RECORD) == 2


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"checksum": "md5:" + "0" * 32}, "expected MD5 00000"),
        ({"size": 126}, r"expected 126 bytes, received 117"),
    ],
)
def test_another_file_than_zenodos_is_refused(euclid, server, tmp_path, changed, told):
    answer(server, euclid, **changed)
    (tmp_path / ARCHIVE).write_bytes(euclid[ARCHIVE])
    with pytest.raises(InputError, match=told):
        fetch(tmp_path)


def test_a_size_that_only_zenodo_knows_counts_for_the_disk(euclid, server, tmp_path):
    answer(server, euclid, size=10**17)
    with pytest.raises(ResourceError, match=r"too little space: 200000000\.0 GB needed"):
        fetch(tmp_path)
    assert [each.path for each in server.requests] == [RECORD]


@pytest.mark.parametrize("manner", [Manner(status=502), Manner(status=404), Manner(cut_after=9)])
def test_without_an_answer_it_goes_on_with_what_is_known(euclid, server, tmp_path, manner, capsys):
    server.manners[RECORD] = [manner]
    fetch(tmp_path)
    log = capsys.readouterr().out
    assert "Zenodo says nothing of sizes and MD5 in record 15106473" in log
    assert "Going on with what is known here." in log
    assert (tmp_path / "images" / "1_7.jpg").is_file()


def test_the_md5_that_is_known_here_has_the_last_word(euclid, server, tmp_path, capsys):
    answer(server, {**euclid, EUCLID.files[0].name: b"another table"})
    fetch(tmp_path)
    assert "known here is" in capsys.readouterr().out


def test_archives_of_unknown_sizes_count_with_what_is_stated_of_all(server, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_ZENODO_URL", server.address(""))
    decals = replace(RELEASES["galaxy_zoo_decals"], archives_mb=1e9)
    with pytest.raises(ResourceError, match=r"too little space: 20000\d\d\.\d GB needed"):
        fetch_release(decals, folder=tmp_path)


DESI = "galaxy_zoo_desi"


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
