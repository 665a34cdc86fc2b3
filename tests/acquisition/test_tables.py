"""Headers of tables and names of images are read as they are, or refused by name."""

import gzip
import re

import pytest
from fixtures.refused_tables import refuse_apart

from galaxy_tasks.acquisition.table_rows import require_rows
from galaxy_tasks.acquisition.tables import match_columns, read_table_header
from galaxy_tasks.errors import InputError


def test_header_is_read_through_byte_order_mark_blank_lines_quotes_and_semicolons(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes('\ufeff\r\n"id";"a, b";class\r\n'.encode())
    table = read_table_header(path)
    assert (table.columns, table.delimiter) == (("id", "a, b", "class"), ";")


def test_a_name_in_exact_case_goes_before_others(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("ID,id,Class\n")
    table = read_table_header(path)
    assert match_columns(table, {"galaxy_id": ("id",), "c": ("class",)}) == {
        "galaxy_id": "id",
        "c": "Class",
    }
    with pytest.raises(InputError, match="several columns like 'Id'"):
        table.find(["Id"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", "id,größe\n".encode("latin-1"), "must be UTF-8 .*0xf6 in line 1"),
        ("t.csv.gz", gzip.compress(b"id,class\n1,a\n", mtime=0)[:-9], "truncated gzip"),
        ("t.parquet", b"id,class\n", "no readable Parquet"),
    ],
)
def test_an_unreadable_table_is_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        require_rows(read_table_header(tmp_path / name))
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"", r"at most 1,000,000 characters\. Its first line is longer .* 'xxxx"),
        (b"id,class\n", "a row for each galaxy, of at most 4,194,304 bytes"),
    ],
)
def test_a_line_without_end_is_refused_and_never_held_whole(tmp_path, name, start, told):
    path, block = tmp_path / name, b"x" * 10_000_000
    with gzip.open(path, "wb", 1) if name.endswith("gz") else path.open("wb") as file:
        file.writelines([start, *[block] * 30])
    message, grown_bytes = refuse_apart(path)
    assert re.search(told, message)
    assert grown_bytes < 140_000_000  # Arrow reads up to 32 blocks of 4 MiB ahead


def test_a_folder_of_folders_is_refused_as_what_it_is(tmp_path):
    (tmp_path / "t.parquet" / "part.parquet").mkdir(parents=True)
    with pytest.raises(InputError, match=r"t\.parquet is a folder\. A table must be one file"):
        read_table_header(tmp_path / "t.parquet")


def test_a_name_longer_than_a_csv_allows_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("id," + "x" * 200_000)
    with pytest.raises(InputError, match=r"t\.csv must begin with the names .* field limit"):
        read_table_header(tmp_path / "t.csv")


def test_a_table_needs_one_row_below_its_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\n\nid,class\n\n  \n")
    with pytest.raises(InputError, match="2 columns and no row"):
        require_rows(read_table_header(path))
    path.write_text("\n\nid,class\n\n  \n1,a")
    require_rows(read_table_header(path))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.fits"])
def test_a_link_to_nothing_is_named(tmp_path, name):
    (tmp_path / name).symlink_to(tmp_path / "gone")
    (tmp_path / f"loop-{name}").symlink_to(tmp_path / f"loop-{name}")
    for link in (tmp_path / name, tmp_path / f"loop-{name}"):
        with pytest.raises(InputError, match="does not exist, or is a link to nothing"):
            read_table_header(link)
