"""`releases check` says what was verified, and lets nothing pass for a table that is none."""

import gzip
import hashlib
import io
import shutil
import zipfile
from dataclasses import replace

import pandas as pd
import pytest
from fixtures.download_server import DownloadServer
from fixtures.fits_inputs import column, write_fits
from fixtures.release_inputs import HEADERS
from typer.testing import CliRunner

from galaxy_tasks.acquisition.check import check_release
from galaxy_tasks.acquisition.fetch import fetch_release
from galaxy_tasks.acquisition.tables import count_rows, read_table_header
from galaxy_tasks.cli.main import app
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases import RELEASES

ONE = RELEASES["galaxy_zoo_1"]
TABLE = ONE.files[0].name


def make_csv(name, *, rows=3):
    columns = HEADERS[name]
    lines = [columns, *([str(row), *("0.5" for _ in columns[1:])] for row in range(rows))]
    return "\n".join(",".join(line) for line in lines).encode() + b"\n"


def check(name, folder):
    return CliRunner().invoke(app, ["releases", "check", name, "--folder", str(folder)])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"hello", "no readable gzip file"),
        (gzip.compress(b"hello\n"), "lacks 4 column(s)"),
        (gzip.compress(make_csv(ONE.name))[:-9], "damaged or truncated gzip file"),
        (gzip.compress(make_csv(ONE.name)[:-9]), "its last line has 14 cells, its first one 16"),
        (gzip.compress(make_csv(ONE.name, rows=0)), "and no row"),
    ],
    ids=["no_gzip", "no_table", "cut_gzip", "cut_row", "no_row"],
)
def test_another_content_than_the_releases_is_told(tmp_path, content, told):
    (tmp_path / TABLE).write_bytes(content)
    checked = check(ONE.name, tmp_path)
    assert checked.exit_code == 1
    assert told in checked.output


def test_without_a_published_hash_it_is_said_what_was_looked_at(tmp_path):
    content = gzip.compress(make_csv(ONE.name))
    (tmp_path / TABLE).write_bytes(content)
    checked = check(ONE.name, tmp_path)
    assert checked.exit_code == 0, checked.output
    sha256 = hashlib.sha256(content).hexdigest()
    assert checked.output == (
        f"{TABLE}: no published hash: header as expected, readable to the end, 3 rows, "
        f"{len(content)} bytes, SHA-256 {sha256} (not recorded before)\n"
    )


def test_the_hash_recorded_when_it_first_came_is_held_against_it(server, tmp_path):
    address = server.serve("/table", gzip.compress(make_csv(ONE.name)))
    release = replace(ONE, files=(replace(ONE.files[0], addresses=(address,)),))
    fetch_release(release, folder=tmp_path)
    (file,) = check_release(release, folder=tmp_path)
    assert file.finding.endswith("(as when it first came)")
    (tmp_path / TABLE).write_bytes(gzip.compress(make_csv(ONE.name, rows=4)))
    (file,) = check_release(release, folder=tmp_path)
    assert f"That is what {TABLE}.sha256 recorded" in file.problem


def test_a_page_in_place_of_a_table_is_refused_and_the_right_file_taken_after_it(server, tmp_path):
    address = server.serve("/table", gzip.compress(b"<html>come back later</html>\n"))
    release = replace(ONE, files=(replace(ONE.files[0], addresses=(address,)),))
    with pytest.raises(InputError, match=r"No hash of .* is published, and this is not what"):
        fetch_release(release, folder=tmp_path)
    (tmp_path / TABLE).unlink()
    server.serve("/table", gzip.compress(make_csv(ONE.name)))
    fetch_release(release, folder=tmp_path)
    assert not check_release(release, folder=tmp_path)[0].problem


def test_a_wrong_setting_is_not_blamed_on_the_file(server, tmp_path):
    address = server.serve("/table", gzip.compress(make_csv(ONE.name)))
    release = replace(ONE, files=(replace(ONE.files[0], addresses=(address,)),))
    fetch_release(release, folder=tmp_path)
    recorded = (tmp_path / f"{TABLE}.sha256").read_text()
    config = RunConfig(release=ONE.name, source=str(tmp_path), ra_column="no_such_column")
    with pytest.raises(InputError, match="no_such_column") as caught:
        fetch_release(release, folder=tmp_path, config=config)
    assert "Move it away" not in str(caught.value)
    assert (tmp_path / f"{TABLE}.sha256").read_text() == recorded


def test_a_cell_that_is_too_long_is_told(tmp_path):
    long = b"1," + b"x" * 200_000
    (tmp_path / "a.csv").write_bytes(b"id,class\n" + long + b"\n")
    with pytest.raises(InputError, match="cannot be read as a CSV: field larger than"):
        count_rows(read_table_header(tmp_path / "a.csv"))


def make_parquet(name):
    table = io.BytesIO()
    pd.DataFrame({column: [0.5] * 5000 for column in HEADERS[name]}).assign(
        dr8_id=[f"1_{n}" for n in range(5000)]
    ).to_parquet(table)
    return table.getvalue()


def test_a_parquet_file_is_read_to_its_end(tmp_path):
    release = RELEASES["galaxy_zoo_desi"]
    path = tmp_path / release.files[0].name
    content = make_parquet(release.name)
    path.write_bytes(content)
    (file,) = check_release(release, folder=tmp_path)
    assert "5,000 rows" in file.finding
    path.write_bytes(content[:4] + b"\xff" * 2000 + content[2004:])
    (file,) = check_release(release, folder=tmp_path)
    assert "is damaged" in file.problem


def zip_images(names):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name in names:
            opened.writestr(name, b"an image of " + name.encode())
    return archive.getvalue()


CHALLENGE = RELEASES["galaxy_zoo_challenge"]


def test_every_image_of_an_archive_is_read_and_unpacked_ones_are_counted(tmp_path):
    table, archive = (tmp_path / file.name for file in CHALLENGE.files)
    table.write_bytes(make_csv(CHALLENGE.name))
    archive.write_bytes(zip_images(["a/1.jpg", "a/2.jpg"]))
    (tmp_path / "images_training_rev1").mkdir()
    (tmp_path / "images_training_rev1" / "1.jpg").touch()
    checked = check(CHALLENGE.name, tmp_path)
    assert checked.exit_code == 0, checked.output
    assert f"{archive.name}: no published hash: 2 images, each readable to its end" in (
        checked.output
    )
    assert "images_training_rev1: 1 images, counted and not read" in checked.output
    archive.write_bytes(archive.read_bytes().replace(b"an image of a/2", b"an image of b/2"))
    checked = check(CHALLENGE.name, tmp_path)
    assert checked.exit_code == 1
    assert "is damaged" in checked.output
    archive.write_bytes(zip_images(["readme.txt"]))
    assert "holds 1 files and no image" in check(CHALLENGE.name, tmp_path).output


@pytest.mark.parametrize("name", ["class_table", "simulated"])
def test_a_release_without_files_says_that_nothing_was_checked(tmp_path, name):
    checked = check(name, tmp_path)
    assert checked.exit_code == 0
    assert f"{name}: nothing of it is published" in checked.output


def serve_published(server: DownloadServer):
    """The challenge with a published hash of each file."""
    contents = {"table": make_csv(CHALLENGE.name), "images": zip_images(["1.jpg"])}
    files = [
        replace(
            file,
            addresses=(server.serve(f"/{what}", content),),
            md5=hashlib.md5(content).hexdigest(),
        )
        for file, (what, content) in zip(CHALLENGE.files, contents.items(), strict=True)
    ]
    return replace(CHALLENGE, files=tuple(files))


def test_a_check_names_the_file_that_was_changed_and_the_one_that_is_missing(server, tmp_path):
    release = serve_published(server)
    fetch_release(release, folder=tmp_path)
    table, archive, images = check_release(release, folder=tmp_path)
    assert table.finding.startswith("right, MD5 as published, SHA-256 ")
    assert archive.finding.startswith("right, MD5 as published, SHA-256 ")
    assert images.finding == "1 images, counted and not read"
    (tmp_path / table.name).write_bytes(make_csv(CHALLENGE.name, rows=4))
    (tmp_path / archive.name).unlink()
    shutil.rmtree(tmp_path / images.name)
    table, archive = check_release(release, folder=tmp_path)
    assert "expected MD5" in table.problem
    assert "is not there" in archive.problem


def test_a_gzipped_fits_table_is_read_to_its_end(tmp_path):
    path = write_fits(
        tmp_path / "a.fits", column("OBJID", "K", [1, 2]), column("P_EL", "D", [0.5, 0.5])
    )
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert count_rows(read_table_header(packed)) == count_rows(read_table_header(path)) == 2
    packed.write_bytes(packed.read_bytes()[:-8] + bytes(8))
    with pytest.raises(InputError, match="damaged or truncated gzip file"):
        count_rows(read_table_header(packed))
