"""A release is named, and `prepare_release` fetches it, verifies it, and finds all of it."""

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.download_server import Manner
from fixtures.euclid_inputs import make_table as make_euclid_table
from typer.testing import CliRunner

from galaxy_tasks.acquisition.locate import scheme_columns
from galaxy_tasks.cli.main import app
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.pipeline import steps
from galaxy_tasks.releases import RELEASES

NAME = "galaxy_zoo_challenge"
TABLE, ARCHIVE = "training_solutions_rev1.csv", "images_training_rev1.zip"
SETTINGS = {"release": NAME}
IMAGE_BYTES = 300_000


def make_table() -> bytes:
    columns = scheme_columns(RELEASES[NAME].schemes["clean5"], minimum_votes=0)
    lines = [["GalaxyID", *columns], *([number, *("0.5" for _ in columns)] for number in "789")]
    return "\n".join(",".join(line) for line in lines).encode() + b"\n"


def make_archive(*, images: int = 3) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for number in range(7, 7 + images):
            content = random.Random(number).randbytes(IMAGE_BYTES)
            opened.writestr(f"images_training_rev1/{number}.jpg", content)
    return archive.getvalue()


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def mirror(server, home, monkeypatch):
    """A server that offers the challenge, which its publisher gives to people only."""
    server.serve(f"/mirror/{NAME}/{TABLE}", make_table())
    server.serve(f"/mirror/{NAME}/{ARCHIVE}", make_archive())
    monkeypatch.setenv("GALAXY_MIRROR", server.address("/mirror/"))
    return server


def start_step(folder: Path) -> subprocess.Popen[bytes]:
    """The task's own process."""
    (folder / "arguments.json").write_text(json.dumps({"settings": SETTINGS}))
    command = [sys.executable, "-m", "galaxy_tasks.cli.main", "step", "prepare_release"]
    files = ["--arguments", folder / "arguments.json", "--result", folder / "result.json"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*command, *files], stdout=log, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )


def test_a_release_is_fetched_by_its_name_and_found_complete(mirror, home, capsys):
    files = steps.prepare_release(SETTINGS)
    folder = home / "downloads" / NAME
    assert files["catalogue"] == str(folder / TABLE)
    assert files["images"] == str(folder / "images_training_rev1")
    assert sorted(path.name for path in Path(files["images"]).iterdir()) == [
        *("7.jpg", "8.jpg", "9.jpg")
    ]
    log = capsys.readouterr().out
    assert f"{NAME}: fetching {TABLE}, {ARCHIVE} into {folder}" in log
    address, size = f"{mirror.address('/mirror')}/{NAME}/{ARCHIVE}", "900.4 kB"
    assert f"{ARCHIVE}: fetching from {address} ({size})" in log
    assert f"{ARCHIVE}: complete and verified, {size}, SHA-256" in log


def test_what_is_there_and_verified_is_neither_fetched_nor_read_again(mirror, home, capsys):
    first = steps.prepare_release(SETTINGS)
    asked = len(mirror.requests)
    folder = home / "downloads" / NAME
    assert steps.prepare_release(SETTINGS) == first
    assert len(mirror.requests) == asked
    log = capsys.readouterr().out
    assert log.count("complete and verified") == 2
    assert "verifying" not in log
    assert f"Fetched and verified before: {folder}" in log


def test_an_image_that_was_lost_comes_back_and_a_changed_table_is_refused(mirror, home):
    first = steps.prepare_release(SETTINGS)
    (Path(first["images"]) / "8.jpg").unlink()
    assert steps.prepare_release(SETTINGS) == first
    Path(first["catalogue"]).write_bytes(make_table() + b"1,1\n")
    with pytest.raises(InputError, match=rf"{TABLE}: expected SHA-256 \w+, received \w+") as caught:
        steps.prepare_release(SETTINGS)
    assert "Move it away to have it fetched" in str(caught.value)


def test_killed_in_the_middle_it_goes_on_from_there(mirror, home, tmp_path):
    whole = make_archive()
    half = len(whole) // 2
    mirror.serve(f"/mirror/{NAME}/{ARCHIVE}", whole, Manner(hold_after=half))
    part = home / "downloads" / NAME / f"{ARCHIVE}.part"
    process = start_step(tmp_path)
    deadline = time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size == half):
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        assert process.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert start_step(tmp_path).wait() == 0, (tmp_path / "log").read_text()
    files = json.loads((tmp_path / "result.json").read_text())["result"]
    image = Path(files["images"]) / "9.jpg"
    assert image.read_bytes() == random.Random(9).randbytes(IMAGE_BYTES)
    (first, second) = [each for each in mirror.requests if each.path.endswith(ARCHIVE)]
    assert second.headers["Range"] == f"bytes={half}-"
    assert first.sent_bytes + second.sent_bytes == len(whole)
    log = (tmp_path / "log").read_text()
    assert f"({len(whole) / 1e3:.1f} kB, {half / 1e3:.1f} kB already here)" in log


def test_without_a_mirror_people_are_told_what_to_place_where(home):
    with pytest.raises(InputError, match="cannot be fetched by a program") as caught:
        steps.prepare_release(SETTINGS)
    assert f"Put it into {home / 'downloads' / NAME} and run this again" in str(caught.value)


def test_files_that_were_placed_by_hand_are_taken_and_unpacked(home):
    folder = home / "downloads" / NAME
    folder.mkdir(parents=True)
    (folder / TABLE).write_bytes(make_table())
    (folder / ARCHIVE).write_bytes(make_archive())
    assert len(list(Path(steps.prepare_release(SETTINGS)["images"]).iterdir())) == 3


def test_a_file_that_nobody_has_is_no_matter_of_another_try(mirror, home):
    del mirror.files[f"/mirror/{NAME}/{ARCHIVE}"]
    with pytest.raises(InputError, match=rf"{ARCHIVE} cannot be fetched: .*answers 404"):
        steps.prepare_release(SETTINGS)


def test_a_server_that_is_overloaded_is_a_matter_of_another_try(mirror, home):
    refusal = Manner(status=503, headers={"Retry-After": "4000"})
    mirror.serve(f"/mirror/{NAME}/{ARCHIVE}", make_archive(), refusal)
    with pytest.raises(ResourceError, match=r"answers 503.*run again to go on"):
        steps.prepare_release(SETTINGS)
    assert len(list(Path(steps.prepare_release(SETTINGS)["images"]).iterdir())) == 3


def publish(monkeypatch, **changes):
    """Let the archive's publisher say more of it."""
    release = RELEASES[NAME]
    table, archive = release.files
    changed = replace(release, files=(table, replace(archive, **changes)))
    monkeypatch.setitem(RELEASES, NAME, changed)


def test_another_file_than_the_published_one_is_refused_with_both_hashes(mirror, home, monkeypatch):
    publish(monkeypatch, md5="0" * 32)
    with pytest.raises(InputError, match=rf"{ARCHIVE}.*expected MD5 0{{32}}, received \w{{32}}"):
        steps.prepare_release(SETTINGS)
    assert not (home / "downloads" / NAME / ARCHIVE).exists()


def test_a_disk_without_room_is_told_before_anything_is_asked_for(mirror, home, monkeypatch):
    publish(monkeypatch, size_mb=1e9)
    with pytest.raises(ResourceError, match=r"too little space: 2000000\.0 GB needed"):
        steps.prepare_release(SETTINGS)
    assert not mirror.requests


def test_the_command_says_at_once_which_folder_a_release_without_images_needs(home):
    with pytest.raises(
        InputError, match=r"'galaxy_zoo_desi' needs 'source'.*brings that into data"
    ):
        CliRunner().invoke(app, ["run", "--release", "galaxy_zoo_desi"], catch_exceptions=False)
    assert not home.exists()


EUCLID = "galaxy_zoo_euclid"
CUTOUTS = "cutouts_jpg_gz_arcsinh_vis_y.tar"


@pytest.fixture
def zenodo(server, home, monkeypatch):
    """A new version of Euclid's record, as Zenodo would offer it."""
    table, images = make_euclid_table(), make_archive(images=2)
    entries = []
    for name, content in (("morphology_catalogue.parquet", table), (CUTOUTS, images)):
        address = server.serve(f"/api/records/777/files/{name}/content", content)
        entries.append({"key": name, "size": len(content), "links": {"self": address}})
    document = {"id": 777, "conceptrecid": "700", "metadata": {"version": "2"}, "files": entries}
    monkeypatch.setenv("GALAXY_ZENODO_URL", server.address(""))
    server.serve("/api/records/777", json.dumps(document).encode())
    return document


def prepare_euclid():
    """Prepare it up to its images, whose names are not those that it needs."""
    with contextlib.suppress(InputError):
        steps.prepare_release({"release": EUCLID, "zenodo_record": "777"})


def test_a_new_version_is_fetched_into_a_folder_of_its_own(zenodo, home, server, capsys):
    prepare_euclid()
    folder = home / "downloads" / f"{EUCLID}-777"
    assert (folder / "morphology_catalogue.parquet").read_bytes() == make_euclid_table()
    assert len(list((folder / RELEASES[EUCLID].images_folders[0]).iterdir())) == 2
    asked = len(server.requests)
    prepare_euclid()
    assert len(server.requests) == asked
    assert f"Fetched and verified before: {folder}" in capsys.readouterr().out


def test_a_version_without_a_file_that_is_needed_is_refused_with_what_it_has(zenodo, server):
    zenodo["files"][0]["key"] = "morphology_catalogue_v2.parquet"
    server.serve("/api/records/777", json.dumps(zenodo).encode())
    with pytest.raises(InputError, match=r"Zenodo record 777 \(version 2\)") as caught:
        steps.prepare_release({"release": EUCLID, "zenodo_record": "777"})
    assert "Missing: morphology_catalogue.parquet. Found: morphology_catalogue_v2" in str(
        caught.value
    )
    assert len(server.requests) == 1


def test_a_record_that_is_not_there_is_told_and_a_silent_zenodo_is_tried_again(zenodo, server):
    with pytest.raises(InputError, match="answers 404"):
        steps.prepare_release({"release": EUCLID, "zenodo_record": "778"})
    server.serve("/api/records/777", b"", Manner(status=502))
    with pytest.raises(ResourceError, match="answers 502"):
        steps.prepare_release({"release": EUCLID, "zenodo_record": "777"})
