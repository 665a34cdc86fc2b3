"""Rows are read cell by cell as they are written, whatever the format of the table."""

import datetime
import gzip
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from galaxy_tasks.acquisition import table_rows
from galaxy_tasks.acquisition.table_rows import copy_columns, count_rows, iterate_rows
from galaxy_tasks.acquisition.tables import read_table_header
from galaxy_tasks.errors import InputError


def read(path: Path, *names: str, numbers=()) -> list[tuple]:
    """Return the cells of the rows under these names, and whether the row is broken."""
    columns = {name: name for name in names}
    batches = iterate_rows(read_table_header(path), columns, numbers=numbers)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def write(path: Path, text: str) -> Path:
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "T.CSV"])
def test_csv_cells_survive_marks_blank_lines_and_quotes_and_broken_rows_are_kept(tmp_path, name):
    text = (
        '\ufeffid,note,class,extra\r\n007,"a, ""b""\r\nc",spiral,1\r\n\r\n  \r\n'
        '2,,edge_on,\r\n"3",x,spiral,1,1\r\n4,x,spi'
    )
    assert read(write(tmp_path / name, text), "id", "class", "note") == [
        ("007", "spiral", 'a, "b"\r\nc', False),
        ("2", "edge_on", None, False),
        ("3", "spiral", "x", True),
        ("4", "spi", "x", True),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", ["", "\n \n", "#Table1\n", "# from SkyServer\n#Table1\n\n"])
def test_line_ends_and_comments_of_any_kind_are_read(tmp_path, end, before):
    text = f"{before}#id;class\n1;a\n2;b\n".replace("\n", end)
    assert read(write(tmp_path / "t.csv", text), "id", "class") == [
        ("1", "a", False),
        ("2", "b", False),
    ]


def test_text_that_looks_alike_is_alike(tmp_path):
    name = "Étoile"
    forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    cells = [forms[0], f"\u00a0{forms[1]}\t", "\u2003", " ", "a\u00a0b", "a\u200b b\ufeff"]
    expected = [name, name, None, None, "a b", "a b"]
    path = write(tmp_path / "t.csv", "id,class\n" + "".join(f"1,{cell}\n" for cell in cells))
    assert [row[1] for row in read(path, "id", "class")] == expected
    pq.write_table(pa.table({"class": cells}), tmp_path / "t.parquet")
    assert [row[0] for row in read(tmp_path / "t.parquet", "class")] == expected


NO_BREAK, MINUS = "\u00a0", "\u2212"
NUMBERS = {
    "150,25": "150.25",
    "1e-2": "1e-2",
    f"{MINUS}00:30:15,5": "-00:30:15.5",
    f"-00{NO_BREAK}30{NO_BREAK}15": "-00 30 15",
    "1.234,5": "1.234,5",
    "1,234,567": "1,234,567",
    "none": None,
    "NULL": None,
    "NaN": None,
    "--": None,
    "\\N": None,
    "many": "many",
}


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_numbers_are_read_as_they_are_written_and_absent_ones_are_null(tmp_path, delimiter):
    """In a column of text nothing but an empty cell is absent, and a comma is a comma."""
    rows = [delimiter.join((f'"{text}"', f'"{text}"')) for text in NUMBERS]
    path = write(tmp_path / "t.csv", "\n".join([f"number{delimiter}text", *rows]))
    found = read(path, "number", "text", numbers={"number"})
    assert [row[0] for row in found] == list(NUMBERS.values())
    assert [row[1] for row in found] == [text.replace(NO_BREAK, " ") for text in NUMBERS]


def test_parquet_ids_and_single_precision_fractions_stay_exact(tmp_path):
    ids = [587722981741363294, 587722981741363295]
    columns = {"id": ids, "Class1.1": pa.array([0.469, np.nan], pa.float32()), "n": [0.25, None]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    first, second = read(tmp_path / "t.parquet", "id", "Class1.1", "n")
    assert first == ("587722981741363294", 0.469, 0.25, False)
    assert second == ("587722981741363295", None, None, False)


def test_other_columns_may_hold_anything(tmp_path):
    """Two cases of a name, a name twice, nanoseconds, lists, and a codec that Spark lacks."""
    others = {
        "z": [1.0],
        "Z": [2.0],
        "list": [[1]],
        "time": pd.array(["2021-03-04 05:06:07.1"], dtype="datetime64[ns]"),
        "name": pa.array(["x"]).dictionary_encode(),
        "day": [datetime.date(2021, 3, 4)],
    }
    table = pa.table({"id": [1], **others}).append_column("z", pa.array(["again"]))
    pq.write_table(table, tmp_path / "t.parquet", compression="brotli")
    assert read(tmp_path / "t.parquet", "id", "name") == [("1", "x", False)]
    assert count_rows(read_table_header(tmp_path / "t.parquet")) == 1
    with pytest.raises(InputError, match=r"'list' must hold one value a cell\. Found: list<"):
        read(tmp_path / "t.parquet", "list")
    with pytest.raises(InputError, match=r"several columns like 'z': 'z', 'z', in the places 2, 8"):
        read_table_header(tmp_path / "t.parquet").find(["z"])


def test_a_copy_has_the_chosen_columns_under_their_new_names(tmp_path):
    path = write(tmp_path / "t.csv", "id,other,class\n1,x,a\n2,b\n")
    copy = tmp_path / "copy.parquet"
    assert copy_columns(read_table_header(path), {"galaxy_id": "id", "label": "class"}, copy) == 2
    assert pq.read_table(copy).to_pydict() == {
        "galaxy_id": ["1", "2"],
        "label": ["a", None],
        "is_broken": [False, True],
    }


def test_bytes_that_are_not_utf_8_are_refused_with_their_line_however_far_down(tmp_path):
    path = tmp_path / "t.csv"
    rows = b"1,a\n" * 3_000_000
    path.write_bytes(b"id,class\n" + rows + "2,größe\n".encode("latin-1") + rows)
    with pytest.raises(InputError, match=r"t\.csv must be UTF-8 text.*byte 0xf6 in line 3000002\."):
        read(path, "id")


def test_rows_that_all_have_other_cells_than_the_header_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(table_rows, "_MOST_BROKEN_ROWS", 50)
    path = write(tmp_path / "t.csv", "id,class\n" + "1,a\n1,a,\n" * 60)
    assert sum(row[-1] for row in read(path, "id")) == 60
    path = write(tmp_path / "t.csv", "id,class\n1,a\n" + "1,a,\n" * 60)
    with pytest.raises(InputError, match=r"header, which has 2\. The first, row 3, has 3: '1,a,'"):
        read(path, "id")


@pytest.mark.parametrize("text", ['id,class\n1,a\n2,"b\n', "id,class\n1,a\n"])
def test_a_row_without_end_is_refused(tmp_path, text):
    path = write(tmp_path / "t.csv.gz", text + "x" * 10_000_000)
    with pytest.raises(InputError, match="a row for each galaxy, of at most 4,194,304 bytes"):
        read(path, "id")


def test_a_table_that_ends_within_a_row_is_not_whole(tmp_path):
    path = write(tmp_path / "t.csv", "\nid,class\n1,a\n2\n\n3,b\n")
    assert count_rows(read_table_header(path)) == 3
    path = write(tmp_path / "t.csv", "\nid,class\n1,a\n2\n\n3")
    with pytest.raises(InputError, match="ends within a row: its last one has 1 cells, its header"):
        count_rows(read_table_header(path))


@pytest.mark.parametrize("name", ["t.parquet", "t.csv.gz"])
def test_a_damaged_table_is_refused(tmp_path, name):
    path = tmp_path / name
    table = pd.DataFrame({"id": [f"{n * 7919 % 5003}" for n in range(5000)]})
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pandas(table), path, use_dictionary=False)
    else:
        table.to_csv(path)
    content = bytearray(path.read_bytes())
    content[100:8000] = bytes(7900)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged.*[Ff]etch it again"):
        count_rows(read_table_header(path))


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_a_spreadsheets_unicode_text_is_read(tmp_path, order):
    path = tmp_path / "t.tsv"
    path.write_bytes("\ufeffid\tclass\r\n007\tspirale à barre\r\n".encode(order))
    assert read(path, "id", "class") == [("007", "spirale à barre", False)]


@pytest.mark.parametrize(
    "text", ["id,class,\n1,a,\n2,b,\n", "id,class\n1,a,\n2,b,\n", "id,class,\n1,a\n2,b\n"]
)
def test_a_delimiter_at_the_end_is_no_cell(tmp_path, text):
    path = write(tmp_path / "t.csv", text)
    assert read(path, "id", "class") == [("1", "a", False), ("2", "b", False)]


def test_a_folder_of_parquet_parts_is_one_table(tmp_path):
    folder = tmp_path / "t.parquet"
    folder.mkdir()
    for number in (1, 0):
        pq.write_table(pa.table({"id": [number]}), folder / f"part.{number}.parquet")
    (folder / "_SUCCESS").touch()
    assert read(folder, "id") == [("0", False), ("1", False)]
    assert count_rows(read_table_header(folder)) == 2
    pq.write_table(pa.table({"id": ["x"]}), folder / "part.2.parquet")
    with pytest.raises(InputError, match=r"part\.0\.parquet and part\.2\.parquet have other"):
        read_table_header(folder)


def test_ids_lose_what_is_around_them_and_nothing_else(tmp_path):
    ids = {
        '"=""587722981741363294"""': "587722981741363294",
        "'007": "007",
        "images/12.JPG": "12",
        "J1.5+2.png": "J1.5+2",
        "123.0": "123",
        "587722981741363294.0": "587722981741363294.0",
        "5.8E+17": "5.8E+17",
        "3.10": "3.10",
    }
    path = write(tmp_path / "t.csv", "id,class\n" + "".join(f"{each},a\n" for each in ids))
    batches = iterate_rows(read_table_header(path), {"id": "id"}, ids={"id"})
    assert [each for batch in batches for each in batch["id"].to_pylist()] == list(ids.values())
