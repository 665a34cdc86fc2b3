"""Tables as spreadsheets, archives and programs write them are read from their first row on."""

import gzip
from pathlib import Path

import pytest

from galaxy_tasks.acquisition.table_rows import iterate_rows
from galaxy_tasks.acquisition.tables import read_table_header
from galaxy_tasks.errors import InputError

ROWS = [("587722981736120347", "spiral"), ("588015508195344494", "edge on"), ("3", "round")]
IDS = [galaxy_id for galaxy_id, _ in ROWS]


def read(path: Path) -> list[tuple]:
    columns = {"id": "id", "class": "class"}
    batches = iterate_rows(read_table_header(path), columns)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def join_rows(delimiter: str, *, quoted: bool = False) -> str:
    mark = '"' if quoted else ""
    rows = [(f"{mark}{one}{mark}", f"{mark}{other}{mark}") for one, other in ROWS]
    return "".join(f"{delimiter.join(row)}\n" for row in rows)


def name_rows(delimiter: str, names) -> str:
    rows = zip(names, ROWS, strict=True)
    return "".join(f'"{n}"{delimiter}"{one}"{delimiter}"{other}"\n' for n, (one, other) in rows)


COMMAS, TABS = join_rows(","), join_rows("\t")
TABLES = {
    "Excel, which names its delimiter": "sep=;\nid;class\n" + join_rows(";"),
    "Excel, with a tab": "sep=\t\nid\tclass\n" + TABS,
    "LibreOffice, which quotes that line": '"sep=;"\nid;class\n' + join_rows(";"),
    "VizieR": (
        "#\n#   VizieR Astronomical Server\n#Column\tid\t(a18)\tThe object's id, from SDSS\n"
        "#Column\tclass\t(a9)\tThe class\n\nid\tclass\n \t \n------\t---------\n" + TABS
    ),
    "ECSV": (
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: string}\n"
        "# - {name: class, datatype: string}\n# schema: astropy-2.0\nid class\n"
        + join_rows(" ", quoted=True)
    ),
    "ECSV with commas": (
        "# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n# - {name: id, datatype: string}\n"
        "# - {name: class, datatype: string}\nid,class\n" + COMMAS
    ),
    "a comment with a comma": "# Classified in 2026, by me\nid,class\n" + COMMAS,
    "a comment of one word": "# galaxies\nid,class\n" + COMMAS,
    "a comment of two words": "# my galaxies\nid,class\n" + COMMAS,
    "a comment as wide as the table": "# made by hand, last week\n# v2, final\nid,class\n" + COMMAS,
    "the header is a comment": "#id,class\n" + COMMAS,
    "the header is a comment, and has blanks": "# id , class\n" + COMMAS,
    "R's write.table": '"id" "class"\n' + name_rows(" ", (1, 2, 3)),
    "R's write.table of a selection": '"id" "class"\n' + name_rows(" ", (5, 17, 23)),
    "R's write.table with commas": '"id","class"\n' + name_rows(",", (5, "NGC 1", 23)),
    "R's write.table with tabs": '"id"\t"class"\n' + name_rows("\t", (1, 2, 3)),
    "R's write.csv": '"","id","class"\n' + name_rows(",", (1, 2, 3)),
    "a delimiter at the end of each row": "id,class\n" + COMMAS.replace("\n", ",\n"),
    "a delimiter at the end of the header": "id,class,\n" + COMMAS,
    "blanks between": "id class\n" + join_rows(" ", quoted=True),
    "NumPy's savetxt": "# id class\n" + join_rows(" ", quoted=True),
    "NumPy's savetxt with commas": "# id, class\n" + COMMAS,
    "rows of nothing above the header": ",,\n;\nid,class\n" + COMMAS,
    "other delimiters in quoted names": (
        '"id";"p, weighted, debiased";"class"\n' + COMMAS.replace(",", ";0.5;")
    ),
    "other delimiters in names": "id\tmag (u,g,r,i,z)\tclass\n" + TABS.replace("\t", "\t17.2\t"),
    "a quotation mark in a name": 'id,radius ("),class\n' + COMMAS.replace(",", ",3.2,"),
    "a comment of two numbers": "# version 2,3\nid,class\n" + COMMAS,
    "a line break in a name": 'id,"mean\nmagnitude (r)",class\n' + COMMAS.replace(",", ",17.2,"),
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_a_table_is_read_as_its_program_wrote_it(tmp_path, text, end):
    path = tmp_path / "table.csv"
    path.write_bytes(text.replace("\n", end).encode())
    assert read(path) == [(*row, False) for row in ROWS]


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz", "table.tsv"])
@pytest.mark.parametrize("is_packed", [True, False])
def test_content_says_whether_a_file_is_packed(tmp_path, name, is_packed):
    """A browser unpacks what it saves, and a server may pack what it sends."""
    content = f"id,class\n{COMMAS}".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if is_packed else content)
    assert [row[0] for row in read(tmp_path / name)] == IDS


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<!DOCTYPE html>\n<html><body>Log in</body></html>", "holds HTML or XML"),
        (b"\n <?xml version='1.0'?><VOTABLE>", "holds HTML or XML"),
        (b"PK\x03\x04" + bytes(60), "a spreadsheet or a zip"),
        (b"\xd0\xcf\x11\xe0" + bytes(60), "a spreadsheet"),
        (b"PAR1" + bytes(60), "holds Parquet"),
        (b"SIMPLE  =                    T", "holds FITS"),
        (b"BZh91AY" + bytes(60), "bzip2"),
        (b"\xfd7zXZ" + bytes(60), "xz"),
        ("id,class\n1,a\n".encode("utf-16-le"), "UTF-16 text without its mark"),
        (b'[{"id": 1, "class": "spiral"}]', "holds JSON"),
        (b"+----+-------+\n| id | class |\n", "as a database prints it"),
        (b"id    class\n1     spiral\n", "a comma, semicolon, tab or vertical bar between"),
        (b"# only\n# comments\n", "is empty"),
        (b"id,class\n"[:0], "is empty"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, content, found):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=found):
        read_table_header(path)


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("#id class\nNGC1 spiral\nNGC2 round\n", ("id", "class"), 2),
        ("#galaxy name,class,id\nNGC one,spiral,a\n", ("galaxy name", "class", "id"), 1),
        ('#id,note,class\n1,"a, b, c",spiral\n', ("id", "note", "class"), 1),
        ("# version,2\nid,class\nNGC1,spiral\n", ("id", "class"), 1),
        # A decimal comma, or a comma in a note, is no name of a row.
        ("id,ra,class\n1,150,25,a\n2,150,26,b\n", ("id", "ra", "class"), 0),
        ("id,class\n1,spiral,x\n2,round,y\n", ("id", "class"), 0),
        ("id,class\n1,a\n-,-\n2,b\n", ("id", "class"), 3),
        ("id,class\n", ("id", "class"), 0),
        ("id,class", ("id", "class"), 0),
    ],
)
def test_no_row_is_taken_for_a_header_nor_a_header_for_a_row(tmp_path, text, columns, rows):
    path = tmp_path / "table.csv"
    path.write_text(text)
    table = read_table_header(path)
    assert table.columns == columns
    found = [row for batch in iterate_rows(table, {"id": "id"}) for row in batch.to_pylist()]
    assert len([row for row in found if not row["is_broken"]]) == rows
