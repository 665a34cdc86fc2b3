"""Zenodo is asked for exact sizes and MD5 of what a release has there, and may stay silent."""

import hashlib
import json
from dataclasses import replace

import pytest
from fixtures.download_server import Manner
from fixtures.euclid_inputs import EUCLID, make_archive, make_table
from typer.testing import CliRunner

from galaxy_tasks.acquisition.fetch import fetch_release
from galaxy_tasks.cli.main import app
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.releases import RELEASES

RECORD = "/api/records/15106473"


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


ARCHIVE = EUCLID.files[1].name


def command(name, folder):
    arguments = ["releases", name, EUCLID.name, "--folder", str(folder)]
    return CliRunner().invoke(app, arguments, catch_exceptions=False).output


def test_sizes_and_md5_that_only_zenodo_knows_are_held_against_what_comes(euclid, server, tmp_path):
    assert f"{ARCHIVE} ({len(euclid[ARCHIVE])} bytes)" in command("fetch", tmp_path)
    assert f"{ARCHIVE}: right, MD5 as published" in command("check", tmp_path)
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
    place = tmp_path / EUCLID.name
    place.mkdir()
    (place / ARCHIVE).write_bytes(euclid[ARCHIVE])
    with pytest.raises(InputError, match=told):
        command("fetch", tmp_path)


def test_a_size_that_only_zenodo_knows_counts_for_the_disk(euclid, server, tmp_path):
    answer(server, euclid, size=10**17)
    with pytest.raises(ResourceError, match=r"too little space: 200000000\.0 GB needed"):
        command("fetch", tmp_path)
    assert [each.path for each in server.requests] == [RECORD]


@pytest.mark.parametrize("manner", [Manner(status=502), Manner(status=404), Manner(cut_after=9)])
def test_without_an_answer_it_goes_on_with_what_is_known(euclid, server, tmp_path, manner):
    server.manners[RECORD] = [manner]
    log = command("fetch", tmp_path)
    assert "Zenodo says nothing of sizes and MD5 in record 15106473" in log
    assert "Going on with what is known here." in log
    assert (tmp_path / EUCLID.name / "images" / "1_7.jpg").is_file()


def test_the_md5_that_is_known_here_has_the_last_word(euclid, server, tmp_path):
    answer(server, {**euclid, EUCLID.files[0].name: b"another table"})
    assert "known here is" in command("fetch", tmp_path)


def test_archives_of_unknown_sizes_count_with_what_is_stated_of_all(tmp_path):
    decals = replace(RELEASES["galaxy_zoo_decals"], archives_mb=1e9)
    with pytest.raises(ResourceError, match=r"too little space: 20000\d\d\.\d GB needed"):
        fetch_release(decals, folder=tmp_path)
