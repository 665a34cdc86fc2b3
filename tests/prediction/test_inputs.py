"""Whatever leads to images, every file and every row comes back, and ids stay as they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from fixtures.survey_inputs import encode_fits, pack_tar, pack_zip, write_galaxies

from galaxy_tasks.errors import InputError
from galaxy_tasks.images.source import open_images
from galaxy_tasks.prediction.inputs import Inputs, TableSettings
from galaxy_tasks.prediction.listing import (
    Row,
    find_repeated_ids,
    read_listing,
    write_listing,
)


def list_rows(*paths: Path, work: Path, **settings) -> list[Row]:
    return read_rows(*paths, work=work, **settings)[0]


def read_rows(*paths: Path, work: Path, **settings) -> tuple[list[Row], list[Path]]:
    inputs = Inputs(paths, TableSettings(**settings), work)
    return list(inputs.iterate_rows()), inputs.sources


def read_all(rows: list[Row], sources: list[Path]) -> dict[str, bytes]:
    content = {}
    for row in rows:
        with open_images(sources[row.source], {row.name: row.place}, max_side_px=1000) as read:
            content[row.id] = read(row.name)
    return content


@pytest.mark.parametrize("form", ["folder", "zip", "tar", "tar.gz", "table", "relative table"])
def test_every_form_of_a_survey_has_the_same_ids_and_images(form, tmp_path):
    survey = write_galaxies(tmp_path / "survey", 6)
    expected = {path.stem: path.read_bytes() for path in survey.rglob("*.jpg")}
    paths = sorted(str(path) for path in survey.rglob("*.jpg"))
    if form == "folder":
        source = survey
    elif form == "zip":
        source = pack_zip(survey, tmp_path / "survey.zip")
    elif form.startswith("tar"):
        source = pack_tar(survey, tmp_path / f"survey.{form}")
    else:
        source = tmp_path / "table.csv"
        is_relative = form == "relative table"
        locations = [p.removeprefix(f"{tmp_path}/") if is_relative else p for p in paths]
        ids = [Path(path).stem for path in paths]
        pd.DataFrame({"id_str": ids, "file_loc": locations}).to_csv(source, index=False)
    (tmp_path / "work").mkdir()
    assert read_all(*read_rows(source, work=tmp_path / "work")) == expected


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".fits", ".vot"])
def test_tables_keep_ids_exactly_and_carry_positions(suffix, tmp_path):
    ids = ["587722952767439450", "000123", "J090405.88+334020.2", "éta"]
    if suffix == ".fits":
        ids[-1] = "eta"
    columns = {
        "iauname": ids,
        "file_loc": [f"{number}.jpg" for number in range(4)],
        "RA": [0.5, 180.25, 359.999, 12.0],
        "DEC": [-90.0, 12.5, 89.0, 1.0],
        "other": [1, 2, 3, 4],
    }
    path = tmp_path / f"table{suffix}"
    if suffix == ".csv":
        pd.DataFrame(columns).to_csv(path, index=False)
    elif suffix == ".parquet":
        pd.DataFrame(columns).to_parquet(path)
    else:
        Table(columns).write(path, format="votable" if suffix == ".vot" else "fits")
    rows = list_rows(path, work=tmp_path)
    assert [row.id for row in rows] == ids
    assert [(row.ra, row.dec) for row in rows] == list(
        zip(columns["RA"], columns["DEC"], strict=True)
    )
    assert [Path(row.path).name for row in rows] == columns["file_loc"]


def test_columns_of_the_field_lead_to_images_by_id(tmp_path):
    survey = write_galaxies(tmp_path / "survey", 4)
    known = sorted(path.stem for path in survey.rglob("*.jpg"))
    archives = (pack_zip(survey, tmp_path / "s.zip"), pack_tar(survey, tmp_path / "s.tar"))
    for name in ("dr8_id", "objid", "GalaxyID"):
        table = tmp_path / f"{name}.csv"
        pd.DataFrame({name: [*known, "1"]}).to_csv(table, index=False)
        for images in (survey, *archives):
            rows, sources = read_rows(table, work=tmp_path, images=images)
            assert [row.id for row in rows] == [*known, "1"]
            assert rows[-1].refused.startswith("missing: no such image in ")
            assert sorted(read_all(rows[:-1], sources)) == known
    rows = list_rows(table, work=tmp_path, images=survey, image_name_pattern="deep/{id}.jpg")
    assert rows[0].path == str(survey / "deep" / f"{known[0]}.jpg")


def test_rows_that_lead_nowhere_say_why(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,path,ra,dec\na,1.jpg,1,2\nb,,1,2\n,,,\nc,3.jpg,400,2\nd,4.jpg,x,y\ne\n")
    rows = list_rows(path, work=tmp_path)
    assert [row.refused for row in rows] == [
        "",
        "the row has no path",
        "the row has neither id nor path",
        "",
        "",
        "the row has more or fewer cells than the table's header",
    ]
    assert [row.ra for row in rows] == [1.0, 1.0, None, None, None, None]


def test_files_beside_images_are_listed_or_ignored(tmp_path, caplog):
    caplog.set_level("INFO")
    survey = write_galaxies(tmp_path / "survey", 2)
    (survey / "x.gif").write_bytes(b"GIF89a")
    (survey / "notes.txt").write_text("x")
    (survey / "cutout.fits").write_bytes(encode_fits(np.ones((8, 8))))
    (survey / ".hidden.fits").write_bytes(b"x")
    rows = list_rows(survey, work=tmp_path)
    assert {Path(row.path).name for row in rows if not row.refused} == {
        *(path.name for path in survey.rglob("*.jpg")),
        "cutout.fits",
    }
    assert [row.id for row in rows if row.refused] == ["x"]
    assert "3 images, 2 ignored, 1 refused (x.gif: its name ends in none of" in caplog.text


def test_a_fits_file_is_a_table_or_an_image_by_what_it_holds(tmp_path):
    image, table = tmp_path / "image.fits", tmp_path / "table.fits"
    image.write_bytes(encode_fits(np.ones((8, 8))))
    Table({"id": ["a"], "path": ["image.fits"]}).write(table)
    assert [row.id for row in list_rows(image, table, work=tmp_path)] == ["image", "a"]


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("id,class\n1,a\n", {}, "does not say where its images are"),
        ("id,path\n1,a\n", {"id_column": "name"}, "has no column 'name'. Columns: id, path"),
        ("class\na\n", {"images": "."}, "does not say where its images are"),
        ("id,path\n1,a\n", {"images": "nowhere"}, "--images must be a folder, a zip or a tar"),
    ],
)
def test_a_table_that_leads_nowhere_is_refused(text, settings, message, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(text)
    if "images" in settings:
        settings = {**settings, "images": tmp_path / settings["images"]}
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        list_rows(path, work=tmp_path, **settings)


def test_floating_ids_and_bad_patterns_are_refused(tmp_path):
    path = tmp_path / "table.parquet"
    pd.DataFrame({"id": [5.877e17], "path": ["a"]}).to_parquet(path)
    with pytest.raises(InputError, match="holds floating-point numbers"):
        list_rows(path, work=tmp_path)
    with pytest.raises(InputError, match=r"must hold '\{id\}' once"):
        TableSettings(image_name_pattern="x.jpg")


def test_a_listing_is_read_as_it_was_written_and_names_repeated_ids(tmp_path):
    survey = write_galaxies(tmp_path / "survey", 5)
    archives = (pack_zip(survey, tmp_path / "a.zip"), pack_tar(survey, tmp_path / "b.tar"))
    Path(survey / "odd\udcff.jpg").write_bytes(b"x")
    rows = list_rows(survey, *archives, work=tmp_path)
    shards = list(write_listing(rows, tmp_path, shard_images=4))
    assert [shard.num_rows for shard in shards] == [4, 4, 4, 4]
    assert [row for shard in shards for row in read_listing(shard)] == rows
    count, examples = find_repeated_ids(shards)
    assert count == 5
    assert examples == sorted(path.stem for path in survey.rglob("1*.jpg"))
    assert find_repeated_ids(shards[:1]) == (0, [])
