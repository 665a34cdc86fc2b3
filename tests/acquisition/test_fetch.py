"""A whole release comes from a server onto the disk, and nothing else passes for it."""

import gzip
import hashlib
import io
import random
import zipfile
from dataclasses import replace

import pandas as pd
import pytest
from fixtures.release_inputs import HEADERS
from typer.testing import CliRunner

from galaxy_tasks.acquisition.fetch import check_release, fetch_release
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
CHALLENGE = RELEASES["galaxy_zoo_challenge"]
ONE = RELEASES["galaxy_zoo_1"]
TABLE = ONE.files[0].name


def make_archive(files=IMAGES) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return archive.getvalue()


def make_csv(name, *, rows=3):
    columns = HEADERS[name]
    lines = [columns, *([str(row), *("0.5" for _ in columns[1:])] for row in range(rows))]
    return "\n".join(",".join(line) for line in lines).encode() + b"\n"


def command(*arguments):
    return CliRunner().invoke(app, ["releases", *map(str, arguments)])


def serve(server, name, content, role, *, has_hash=True):
    """Offer a file; return what a release says of it."""
    md5 = hashlib.md5(content).hexdigest() if has_hash else None
    address = server.serve(f"/{name}", content)
    return PublishedFile(name=name, addresses=(address,), md5=md5, role=role)


@pytest.fixture
def release(server):
    """Galaxy Zoo 2 as a server on this machine offers it."""
    files = (
        serve(server, "gz2_hart16.csv", CATALOGUE, "catalogue"),
        serve(server, "gz2_filename_mapping.csv", MAPPING, "mapping"),
        serve(server, "images_gz2.zip", make_archive(), "images"),
    )
    return replace(RELEASES["galaxy_zoo_2"], files=files)


def test_all_of_a_release_is_fetched_once_and_its_images_lie_in_one_folder(
    release, server, tmp_path
):
    fetched = fetch_release(release, folder=tmp_path)
    assert [file.origin for file in fetched] == ["downloaded"] * 3
    assert (tmp_path / "images" / "7.jpg").read_bytes() == b"seven" * 100
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["7.jpg", "8.jpg"]
    assert find_files(release, tmp_path).is_complete
    requests = len(server.requests)
    fetched = fetch_release(release, folder=tmp_path)
    assert [file.origin for file in fetched] == ["already_there"] * 3
    assert len(server.requests) == requests


def test_images_stay_in_their_zip_where_that_is_asked_for(release, monkeypatch, tmp_path):
    monkeypatch.setitem(RELEASES, "galaxy_zoo_2", release)
    fetched = command("fetch", "galaxy_zoo_2", "--in-place", "--folder", tmp_path)
    assert fetched.exit_code == 0, fetched.output
    place = tmp_path / "galaxy_zoo_2"
    assert f"scripts/run --release galaxy_zoo_2 --source {place}" in fetched.output
    assert not (place / "images").exists()
    config = RunConfig(release="galaxy_zoo_2", source=str(place), scheme="gz2_class")
    assert locate_release(config).images == str(place / "images_gz2.zip")


def test_the_commands_fetch_check_and_say_how_to_train(release, monkeypatch, tmp_path):
    monkeypatch.setitem(RELEASES, "galaxy_zoo_2", release)
    fetched = command("fetch", "galaxy_zoo_2", "--folder", tmp_path)
    assert fetched.exit_code == 0, fetched.output
    place = tmp_path / "galaxy_zoo_2"
    assert f"scripts/run --release galaxy_zoo_2 --source {place}" in fetched.output
    checked = command("check", "galaxy_zoo_2", "--folder", tmp_path)
    assert checked.exit_code == 0, checked.output
    assert "gz2_hart16.csv: right, MD5 as published" in checked.output
    assert "images: 2 images, counted and not read" in checked.output
    (place / "gz2_filename_mapping.csv").write_bytes(b"another")
    (place / "images_gz2.zip").unlink()
    (place / "images" / "7.jpg").unlink()
    (place / "images" / "8.jpg").unlink()
    checked = command("check", "galaxy_zoo_2", "--folder", tmp_path)
    assert checked.exit_code == 1
    assert "gz2_filename_mapping.csv: " in checked.output
    assert "expected MD5" in checked.output
    assert "images_gz2.zip is not there" in checked.output


def test_what_only_people_may_fetch_is_asked_for_by_name(tmp_path):
    with pytest.raises(
        InputError, match=r"training_solutions_rev1\.csv, images_training_rev1\.zip cannot be"
    ):
        fetch_release(CHALLENGE, folder=tmp_path)


def test_a_release_without_files_has_nothing_to_fetch_or_check(tmp_path):
    with pytest.raises(InputError, match="class_table has no files to fetch"):
        fetch_release(RELEASES["class_table"], folder=tmp_path)
    checked = command("check", "class_table", "--folder", tmp_path)
    assert checked.exit_code == 0
    assert "class_table has no published files" in checked.output


def test_archives_that_share_an_image_come_into_one_folder(release, server, tmp_path):
    """The readme of the first archive counts, however often they are unpacked."""
    first = make_archive({"a/9.jpg": b"nine", "readme.txt": b"first"})
    second = make_archive({"b/9.jpg": b"nine", "b/10.jpg": b"ten", "b/readme.txt": b"second"})
    parts = (serve(server, f"{n}.zip", part, "images") for n, part in enumerate((first, second)))
    several = replace(release, files=(*release.files, *parts))
    for _ in range(2):
        fetch_release(several, folder=tmp_path)
        names = sorted(path.name for path in (tmp_path / "images").iterdir())
        assert names == ["10.jpg", "7.jpg", "8.jpg", "9.jpg", "readme.txt"]
        assert (tmp_path / "images" / "readme.txt").read_bytes() == b"first"


@pytest.mark.parametrize("other", [b"seven" * 99 + b"SEVEN", b"7"], ids=["same size", "smaller"])
def test_another_image_of_the_same_name_in_a_further_archive_is_refused(
    release, server, tmp_path, other
):
    part = make_archive({"J09/9.jpg": b"nine", "J09/7.jpg": other})
    parts = replace(release, files=(*release.files, serve(server, "part_2.zip", part, "images")))
    for _ in range(2):  # clearing the task changes nothing
        with pytest.raises(
            InputError, match=r"part_2\.zip has another file named '7\.jpg' than .*"
        ):
            fetch_release(parts, folder=tmp_path)
        assert (tmp_path / "images" / "7.jpg").read_bytes() == b"seven" * 100
    assert not find_files(parts, tmp_path).is_complete


def test_a_damaged_image_is_not_taken_for_another_of_its_name(release, server, tmp_path):
    """The error names the damage, which another fetch mends, and asks for no renaming."""
    shared = random.Random(1).randbytes(900_000)
    whole = make_archive({"9.jpg": shared})
    damaged = bytearray(whole)
    damaged[damaged.index(shared) + 800_000] ^= 1
    parts = (serve(server, f"{n}.zip", part, "images") for n, part in enumerate((whole, damaged)))
    with pytest.raises(InputError, match=r"1\.zip is damaged.*CRC-32"):
        fetch_release(replace(release, files=(*release.files, *parts)), folder=tmp_path)
    assert (tmp_path / "images" / "9.jpg").read_bytes() == shared


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        gzip.compress(b"hello\n"),
        gzip.compress(make_csv(ONE.name))[:-9],
        gzip.compress(make_csv(ONE.name)[:-9]),
        gzip.compress(make_csv(ONE.name, rows=0)),
    ],
    ids=["no_gzip", "no_table", "cut_gzip", "cut_row", "no_row"],
)
def test_a_table_that_is_not_the_releases_is_found_by_its_content(tmp_path, content):
    (tmp_path / TABLE).write_bytes(content)
    checked = command("check", ONE.name, "--folder", tmp_path)
    assert checked.exit_code == 1
    assert f"{TABLE} " in checked.output


def test_a_damaged_parquet_table_is_found(tmp_path):
    release = RELEASES["galaxy_zoo_desi"]
    path = tmp_path / release.files[0].name
    table = pd.DataFrame({column: [0.5] * 5000 for column in HEADERS[release.name]})
    table.assign(dr8_id=[f"1_{n}" for n in range(5000)]).to_parquet(path)
    (file,) = check_release(release, folder=tmp_path)
    assert "readable to the end, 5,000 rows" in file.finding
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 2000 + content[2004:])
    (file,) = check_release(release, folder=tmp_path)
    assert not file.is_right
    assert "damaged" in file.finding


def test_without_a_published_hash_the_first_files_hash_is_held_against_later_ones(server, tmp_path):
    content = gzip.compress(make_csv(ONE.name))
    table = serve(server, TABLE, content, "catalogue", has_hash=False)
    release = replace(ONE, files=(table,))
    (tmp_path / TABLE).write_bytes(content)
    (file,) = check_release(release, folder=tmp_path)
    assert "no published hash: columns as expected, readable to the end, 3 rows" in file.finding
    assert f"SHA-256 {hashlib.sha256(content).hexdigest()} (not recorded before)" in file.finding
    fetch_release(release, folder=tmp_path)
    (file,) = check_release(release, folder=tmp_path)
    assert "(as when it first came)" in file.finding
    (tmp_path / TABLE).write_bytes(gzip.compress(make_csv(ONE.name, rows=4)))
    (file,) = check_release(release, folder=tmp_path)
    assert not file.is_right
    assert f"{TABLE}.sha256" in file.finding


def test_a_page_in_place_of_a_table_is_refused_and_the_right_file_taken_after_it(server, tmp_path):
    page = gzip.compress(b"<html>come back later</html>\n")
    release = replace(ONE, files=(serve(server, TABLE, page, "catalogue", has_hash=False),))
    with pytest.raises(InputError, match=r"No hash of .* is published, and this is not what"):
        fetch_release(release, folder=tmp_path)
    (tmp_path / TABLE).unlink()
    server.serve(f"/{TABLE}", gzip.compress(make_csv(ONE.name)))
    fetch_release(release, folder=tmp_path)
    assert check_release(release, folder=tmp_path)[0].is_right


def test_every_image_of_an_archive_is_read_and_unpacked_ones_are_counted(tmp_path):
    table, archive = (tmp_path / file.name for file in CHALLENGE.files)
    table.write_bytes(make_csv(CHALLENGE.name))
    archive.write_bytes(make_archive({"a/1.jpg": b"image of a/1", "a/2.jpg": b"image of a/2"}))
    (tmp_path / "images_training_rev1").mkdir()
    (tmp_path / "images_training_rev1" / "1.jpg").touch()
    findings = {file.name: file.finding for file in check_release(CHALLENGE, folder=tmp_path)}
    assert "no published hash: 2 images, each readable to its end" in findings[archive.name]
    assert findings["images_training_rev1"] == "1 images, counted and not read"
    archive.write_bytes(archive.read_bytes().replace(b"image of a/2", b"image of b/2"))
    assert "is damaged" in check_release(CHALLENGE, folder=tmp_path)[1].finding
    archive.write_bytes(make_archive({"readme.txt": b""}))
    assert "holds 1 files and no image" in check_release(CHALLENGE, folder=tmp_path)[1].finding
