"""A release or a version of it is named, and all of it is fetched, verified and unpacked."""

import errno
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fixtures import euclid_inputs
from fixtures.download_server import Manner
from fixtures.euclid_inputs import ARCHIVE, EUCLID, TABLE, publish
from fixtures.release_inputs import HEADERS, build_source
from fixtures.zip_inputs import pack
from typer.testing import CliRunner

from galaxy_tasks.acquisition.fetch import fetch_release, provide_source
from galaxy_tasks.acquisition.locate import INCOMPLETE, locate_release
from galaxy_tasks.cli.main import app
from galaxy_tasks.config import parse_config
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.releases import RELEASES

NAME = "galaxy_zoo_challenge"
VOTES, IMAGES = (file.name for file in RELEASES[NAME].files)
IMAGE_BYTES = 300_000


def provide(release=NAME, **settings) -> Path:
    return provide_source(parse_config({"release": release, **settings}))


def make_votes() -> bytes:
    columns = HEADERS[NAME]
    lines = [columns, *([number, *("0.5" for _ in columns[1:])] for number in "789")]
    return "\n".join(",".join(line) for line in lines).encode() + b"\n"


def make_images() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for number in (7, 8, 9):
            content = random.Random(number).randbytes(IMAGE_BYTES)
            opened.writestr(f"images_training_rev1/{number}.jpg", content)
    return archive.getvalue()


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path, caplog):
    caplog.set_level("INFO", "galaxy_tasks")
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def mirror(server, monkeypatch):
    """A server that offers the challenge, which its publisher gives to people only."""
    server.serve(f"/mirror/{NAME}/{VOTES}", make_votes())
    server.serve(f"/mirror/{NAME}/{IMAGES}", make_images())
    monkeypatch.setenv("GALAXY_MIRROR", server.address("/mirror/"))
    return server


def test_a_release_is_fetched_by_its_name_and_not_even_read_again(mirror, home, caplog):
    folder = provide()
    assert folder == home / "downloads" / NAME
    images = folder / "images_training_rev1"
    assert sorted(path.name for path in images.iterdir()) == ["7.jpg", "8.jpg", "9.jpg"]
    assert f"{NAME}: fetching {VOTES}, {IMAGES} into {folder}" in caplog.text
    files = locate_release(parse_config({"release": NAME}), source=folder)
    assert files.catalogue == str(folder / VOTES)
    assert files.images == str(images)
    requests = len(mirror.requests)
    caplog.clear()
    assert provide() == folder
    assert len(mirror.requests) == requests
    assert [each.getMessage() for each in caplog.records] == [
        f"Fetched and verified before: {folder}"
    ]


def test_an_image_that_was_lost_comes_back_and_a_changed_table_is_refused(mirror):
    folder = provide()
    image = folder / "images_training_rev1" / "8.jpg"
    image.unlink()
    assert provide() == folder
    assert image.read_bytes() == random.Random(8).randbytes(IMAGE_BYTES)
    (folder / VOTES).write_bytes(make_votes() + b"1,1\n")
    with pytest.raises(InputError, match=rf"{VOTES}: expected SHA-256 \w+, received \w+"):
        provide()


def start_step(folder: Path) -> subprocess.Popen[bytes]:
    """The task's own process."""
    (folder / "arguments.json").write_text(json.dumps({"settings": {"release": NAME}}))
    command = [sys.executable, "-m", "galaxy_tasks.pipeline", "prepare_release"]
    files = ["--arguments", folder / "arguments.json", "--result", folder / "result.json"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*command, *files],
            stdin=subprocess.PIPE,  # at whose end the step ends, too
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def test_killed_in_the_middle_it_goes_on_from_there(mirror, home, tmp_path):
    whole = make_images()
    half = len(whole) // 2
    mirror.serve(f"/mirror/{NAME}/{IMAGES}", whole, Manner(hold_after=half))
    part = home / "downloads" / NAME / f"{IMAGES}.part"
    with start_step(tmp_path) as process:
        deadline = time.monotonic() + 60
        while not (part.is_file() and part.stat().st_size == half):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.02)
        process.kill()

    with start_step(tmp_path) as process:
        assert process.wait() == 0, (tmp_path / "log").read_text()
    files = json.loads((tmp_path / "result.json").read_text())["result"]
    assert Path(files["images"], "9.jpg").read_bytes() == random.Random(9).randbytes(IMAGE_BYTES)
    (first, second) = [each for each in mirror.requests if each.path.endswith(IMAGES)]
    assert second.headers["Range"] == f"bytes={half}-"
    assert first.sent_bytes + second.sent_bytes == len(whole)


def test_without_a_mirror_the_error_says_what_to_place_where_and_takes_it_then(home):
    folder = home / "downloads" / NAME
    with pytest.raises(InputError, match=rf"cannot be fetched by a program\. Put it into {folder}"):
        provide()
    (folder / VOTES).write_bytes(make_votes())
    (folder / IMAGES).write_bytes(make_images())
    assert len(list((provide() / "images_training_rev1").iterdir())) == 3


def test_only_a_failure_that_may_pass_asks_for_another_try(mirror):
    content = make_images()
    refusal = Manner(status=503, headers={"Retry-After": "4000"})
    mirror.serve(f"/mirror/{NAME}/{IMAGES}", content, refusal)
    with pytest.raises(ResourceError, match="503"):
        provide()
    del mirror.files[f"/mirror/{NAME}/{IMAGES}"]
    with pytest.raises(InputError, match=rf"{IMAGES} cannot be fetched: .*404"):
        provide()
    mirror.serve(f"/mirror/{NAME}/{IMAGES}", content)
    assert len(list((provide() / "images_training_rev1").iterdir())) == 3


def change_archive(monkeypatch, **changes):
    """Let the challenge's publisher state more of its archive."""
    release = RELEASES[NAME]
    table, archive = release.files
    changed = replace(release, files=(table, replace(archive, **changes)))
    monkeypatch.setitem(RELEASES, NAME, changed)


def test_another_file_than_the_published_one_is_refused_with_both_hashes(mirror, home, monkeypatch):
    change_archive(monkeypatch, md5="0" * 32)
    with pytest.raises(InputError, match=rf"{IMAGES}.*expected MD5 0{{32}}, received \w{{32}}"):
        provide()
    assert not (home / "downloads" / NAME / IMAGES).exists()


def test_a_disk_without_room_is_noticed_before_anything_is_requested(mirror, monkeypatch, tmp_path):
    change_archive(monkeypatch, size_mb=1e9)
    with pytest.raises(ResourceError, match=r"too little space: 2000000\.0 GB needed"):
        provide()
    assert not mirror.requests
    decals = replace(RELEASES["galaxy_zoo_decals"], archives_mb=1e9)  # of four archives together
    with pytest.raises(ResourceError, match=r"too little space: 20000\d\d\.\d GB needed"):
        fetch_release(decals, folder=tmp_path / "decals")


def test_the_command_says_at_once_which_folder_a_release_without_images_needs(home):
    with pytest.raises(InputError, match=r"'galaxy_zoo_desi' needs 'source'"):
        CliRunner().invoke(app, ["run", "--release", "galaxy_zoo_desi"], catch_exceptions=False)
    assert not home.exists()


@pytest.fixture
def zenodo(server, monkeypatch):
    """Two versions of Euclid's record: the second has another table and the same images."""
    monkeypatch.setenv("GALAXY_ZENODO_URL", server.address(""))
    archive = euclid_inputs.make_archive()
    publish(server, 1, {TABLE: euclid_inputs.make_table(), ARCHIVE: archive})
    publish(server, 2, {TABLE: euclid_inputs.make_table(galaxies=3), ARCHIVE: archive})
    return server


def provide_version(number):
    return provide(EUCLID.name, zenodo_record=str(number))


def count_requests(server, name):
    return sum(each.path.endswith(name) for each in server.requests)


def test_a_version_is_fetched_into_a_folder_of_its_own(zenodo, home, caplog):
    folder = provide_version(1)
    assert folder == home / "downloads" / f"{EUCLID.name}-1"
    assert (folder / TABLE).read_bytes() == euclid_inputs.make_table()
    assert (folder / "images" / "1_7.jpg").read_bytes() == b"seven"
    requests = len(zenodo.requests)
    assert provide_version(1) == folder
    assert len(zenodo.requests) == requests
    assert f"Fetched and verified before: {folder}" in caplog.text


def test_a_version_that_lacks_a_file_or_is_not_there_is_refused(zenodo):
    publish(zenodo, 3, {"morphology_catalogue_v2.parquet": b"", ARCHIVE: b""})
    with pytest.raises(
        InputError, match=rf"Zenodo record 3 \(version 2\).*Missing: {TABLE}. Found: .*_v2"
    ):
        provide_version(3)
    with pytest.raises(InputError, match="404"):
        provide_version(4)
    zenodo.serve("/api/records/1", b"", Manner(status=502))
    with pytest.raises(ResourceError, match="502"):
        provide_version(1)


def test_what_a_version_shares_with_an_older_one_is_not_fetched_again(zenodo, caplog):
    first = provide_version(1)
    second = provide_version(2)
    assert count_requests(zenodo, ARCHIVE) == 1
    assert count_requests(zenodo, TABLE) == 2
    assert (second / ARCHIVE).samefile(first / ARCHIVE)
    assert (second / "images" / "1_7.jpg").read_bytes() == b"seven"
    assert len(pd.read_parquet(second / TABLE)) == 3
    assert f"{ARCHIVE}: the same as {first / ARCHIVE}, taken from there" in caplog.text
    assert not (second / INCOMPLETE).exists()


def test_what_was_changed_in_an_older_versions_folder_is_not_taken(zenodo):
    first = provide_version(1)
    (first / ARCHIVE).write_bytes(b"x" * len(euclid_inputs.make_archive()))
    second = provide_version(2)
    assert count_requests(zenodo, ARCHIVE) == 2
    assert (second / "images" / "1_7.jpg").read_bytes() == b"seven"


def test_where_no_hard_link_can_be_made_files_are_copied(zenodo, monkeypatch):
    first = provide_version(1)

    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    second = provide_version(2)
    assert count_requests(zenodo, ARCHIVE) == 1
    assert not (second / ARCHIVE).samefile(first / ARCHIVE)
    assert (second / "images" / "1_7.jpg").read_bytes() == b"seven"


RECORD = "/api/records/15106473"


@pytest.fixture
def contents(server, monkeypatch):
    """Euclid on a mirror, and its record at Zenodo; no MD5 of the archive is known here."""
    contents = {TABLE: euclid_inputs.make_table(), ARCHIVE: euclid_inputs.make_archive()}
    for name, content in contents.items():
        server.serve(f"/mirror/{EUCLID.name}/{name}", content)
    # Of no stated size: the real files would need 7.7 GB of this disk.
    table, archive = (replace(file, size_mb=None) for file in EUCLID.files)
    table = replace(table, md5=hashlib.md5(contents[TABLE]).hexdigest())
    monkeypatch.setitem(RELEASES, EUCLID.name, replace(EUCLID, files=(table, archive)))
    monkeypatch.setenv("GALAXY_MIRROR", server.address("/mirror"))
    monkeypatch.setenv("GALAXY_ZENODO_URL", server.address(""))
    publish(server, 15106473, contents)
    return contents


def command(name, folder):
    arguments = ["releases", name, EUCLID.name, "--folder", str(folder)]
    return CliRunner().invoke(app, arguments, catch_exceptions=False).output


def test_sizes_and_md5_that_only_zenodo_knows_are_held_against_what_comes(
    contents, server, tmp_path, caplog
):
    command("fetch", tmp_path)
    assert f"{ARCHIVE} ({len(contents[ARCHIVE])} bytes)" in caplog.text
    assert f"{ARCHIVE}: right, MD5 as published" in command("check", tmp_path)
    assert [each.path for each in server.requests].count(RECORD) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"checksum": "md5:" + "0" * 32}, "expected MD5 00000"),
        ({"size": 126}, r"expected 126 bytes, received 117"),
    ],
)
def test_another_file_than_zenodos_is_refused(contents, server, tmp_path, changed, message):
    publish(server, 15106473, contents, **changed)
    place = tmp_path / EUCLID.name
    place.mkdir()
    (place / ARCHIVE).write_bytes(contents[ARCHIVE])
    with pytest.raises(InputError, match=message):
        command("fetch", tmp_path)


def test_a_size_that_only_zenodo_knows_counts_for_the_disk(contents, server, tmp_path):
    publish(server, 15106473, contents, size=10**17)
    with pytest.raises(ResourceError, match=r"too little space: 200000000\.0 GB needed"):
        command("fetch", tmp_path)
    assert [each.path for each in server.requests] == [RECORD]


@pytest.mark.parametrize("manner", [Manner(status=502), Manner(status=404), Manner(cut_after=9)])
def test_without_an_answer_it_goes_on_with_what_is_known(
    contents, server, tmp_path, manner, caplog
):
    server.manners[RECORD] = [manner]
    command("fetch", tmp_path)
    assert [each.levelname for each in caplog.records if "15106473" in each.message] == ["WARNING"]
    assert (tmp_path / EUCLID.name / "images" / "1_7.jpg").is_file()


def test_the_md5_that_is_known_here_has_the_last_word(contents, server, tmp_path, caplog):
    publish(server, 15106473, {**contents, TABLE: b"another table"})
    command("fetch", tmp_path)
    assert f"{TABLE}: Zenodo states MD5" in caplog.text


DESI = "galaxy_zoo_desi"


@pytest.fixture
def desi(server, monkeypatch, tmp_path):
    """A new version of DESI's record, and a folder with the images that nobody offers."""
    source = tmp_path / "source"
    build_source(source, DESI, galaxies=5)
    table = source / RELEASES[DESI].files[0].name
    publish(server, 777, {table.name: table.read_bytes()}, concept=8360384)
    table.write_bytes(b"an older version")
    monkeypatch.setenv("GALAXY_ZENODO_URL", server.address(""))
    return source


@pytest.mark.parametrize("images", ["images", "images.zip", "cutouts"])
def test_a_versions_table_is_fetched_and_its_images_are_those_of_the_source(desi, server, images):
    settings = {"release": DESI, "source": str(desi), "zenodo_record": "777"}
    if images == "images.zip":
        pack(desi / "images", desi / images)
        shutil.rmtree(desi / "images")
    elif images == "cutouts":
        (desi / "images").rename(desi / images)
        settings["images_folder"] = images
    config = parse_config(settings)
    folder = provide_source(config)
    assert folder.name.startswith(f"{DESI}-777-")
    found = locate_release(config, source=folder)
    assert Path(found.images).resolve() == desi / images
    assert len(pd.read_parquet(found.catalogue)) == 5
    requests = len(server.requests)
    assert provide_source(config) == folder
    assert len(server.requests) == requests


def test_each_source_has_a_folder_of_its_own(desi, tmp_path):
    first = provide(DESI, source=str(desi), zenodo_record="777")
    shutil.copytree(desi, tmp_path / "other")
    second = provide(DESI, source=str(tmp_path / "other"), zenodo_record="777")
    assert (first / "images").resolve() == desi / "images"
    assert (second / "images").resolve() == tmp_path / "other" / "images"


def test_a_source_without_the_images_is_refused_before_anything_is_fetched(desi, server):
    shutil.rmtree(desi / "images")
    with pytest.raises(InputError, match="lacks the image folder images"):
        provide(DESI, source=str(desi), zenodo_record="777")
    assert server.requests == []
