"""Catalogues in FITS, as published: the same values, the same labels, and clear refusals."""

import gzip
import math
import random
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from fixtures.fits_inputs import IDS, column, write_fits
from fixtures.refused_tables import refuse_apart

from galaxy_tasks.acquisition import fits as reader
from galaxy_tasks.acquisition.catalogue import plan_catalogue
from galaxy_tasks.acquisition.table_rows import iterate_rows
from galaxy_tasks.acquisition.tables import read_table_header
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError


def read(path: Path) -> dict[str, list]:
    table = read_table_header(path)
    batches = list(iterate_rows(table, {name: name for name in table.columns}))
    assert sum(batch.num_rows for batch in batches) == table.rows
    columns = {name: [] for name in table.columns}
    for batch in batches:
        for name, values in columns.items():
            values += batch.column(name).to_pylist()
    return columns


def every_kind() -> list[fits.Column]:
    return [
        column("id", "K", IDS),
        column("unsigned", "K", np.array([2**63 + 5, 7, 0], np.uint64), bzero=2**63),
        column("small", "I", np.array([65535, 1, 0], np.uint16), bzero=2**15),
        column("signed_byte", "B", np.array([-3, 4, 127], np.int8), bzero=-128),
        column("count", "J", [-99, 3, 2_000_000_000], null=-99),
        column("fraction", "E", [0.469, math.nan, -0.0]),
        column("ra", "1D", [150.123456789012, math.inf, math.nan]),
        column("name", "12A", [b"J0918+34 ", b" x\0y", b"  "]),
        column("is_flagged", "L", [True, False, True]),
    ]


@pytest.mark.parametrize("name", ["t.fits", "t.fit", "t.fits.gz", "T.FITS"])
def test_every_value_comes_back_as_it_was(tmp_path, name):
    assert read(write_fits(tmp_path / name, *every_kind())) == {
        "id": [str(each) for each in IDS],
        "unsigned": [str(2**63 + 5), "7", "0"],
        "small": ["65535", "1", "0"],
        "signed_byte": [-3.0, 4.0, 127.0],
        "count": [None, "3", "2000000000"],
        "fraction": [0.469, None, 0.0],
        "ra": [150.123456789012, math.inf, None],
        "name": ["J0918+34", "x", None],
        "is_flagged": ["true", "false", "true"],
    }


def test_rows_are_the_same_in_whatever_chunks_they_come(tmp_path, monkeypatch):
    ids = np.arange(1000) + IDS[0]
    path = write_fits(tmp_path / "t.fits", column("id", "K", ids), column("v", "E", ids % 7))
    monkeypatch.setattr(reader, "_CHUNK_BYTES", 12 * 33 + 5)
    assert read(path) == {"id": ids.astype(str).tolist(), "v": (ids % 7).astype(float).tolist()}


def test_a_table_without_rows_is_one(tmp_path):
    assert read(write_fits(tmp_path / "t.fits", column("id", "K", []))) == {"id": []}


def test_scaled_numbers_are_floating_point_and_their_null_is_none(tmp_path):
    path = write_fits(tmp_path / "t.fits", column("v", "I", [50, -32768, 20]))
    with fits.open(path, mode="update", do_not_scale_image_data=True) as opened:
        opened[1].header.update({"TSCAL1": 0.5, "TZERO1": 10.0, "TNULL1": -32768})
    assert read_table_header(path).floating_columns == {"v"}
    assert read(path) == {"v": [35.0, None, 20.0]}


def test_a_truth_value_that_is_neither_is_none(tmp_path):
    path = write_fits(tmp_path / "t.fits", column("l", "L", [True, False]))
    content = path.read_bytes()
    assert content[5760:5762] == b"TF"  # after two headers
    path.write_bytes(content[:5761] + b"\0" + content[5762:])
    assert read(path) == {"l": ["true", None]}


def test_columns_without_one_value_a_cell_are_passed_over(tmp_path):
    path = write_fits(
        tmp_path / "t.fits",
        column("vector", "3E", np.ones((2, 3))),
        column("id", "K", IDS[:2]),
        column("complex", "C", np.ones(2, np.complex64)),
        column("ragged", "PE()", np.array([np.ones(2), np.ones(3)], dtype=object)),
        column("flags", "11X", np.ones((2, 11), bool)),
        column("words", "8A", [["ab", "c"], ["d", "e"]], dim="(4,2)"),
        column("last", "J", [1, 2]),
    )
    assert read(path) == {"id": [str(each) for each in IDS[:2]], "last": ["1", "2"]}


def test_text_beyond_ascii_is_kept_as_utf_8_and_otherwise_refused(tmp_path):
    path = write_fits(tmp_path / "t.fits", column("name", "8A", ["größe".encode(), b"x"]))
    assert read(path) == {"name": ["größe", "x"]}
    path = write_fits(tmp_path / "u.fits", column("name", "8A", ["größe".encode("latin-1")]))
    with pytest.raises(InputError, match="column 'name' must be UTF-8"):
        read(path)


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
def test_a_file_cut_anywhere_is_refused(tmp_path, suffix):
    path = write_fits(tmp_path / f"t{suffix}", *every_kind())
    whole = path.read_bytes()
    fill = 2880 - 3 * (3 * 8 + 2 + 1 + 4 + 4 + 12 + 1) if suffix == ".fits" else 0
    needed = len(whole) - fill
    draw = random.Random(3)
    edges = [length for length in (0, 1, 80, 2880, 2881, 5760) if length < needed]
    for length in (*edges, needed - 1, *draw.sample(range(needed), 40)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=str(path)):
            read(path)
    path.write_bytes(whole[:needed])  # some writers leave out the fill at the end
    assert read(path)["id"] == [str(each) for each in IDS]


def test_a_file_damaged_anywhere_is_read_or_refused_but_never_crashes(tmp_path):
    path = write_fits(tmp_path / "t.fits", *every_kind())
    whole = bytearray(path.read_bytes())
    draw = random.Random(4)
    messages = []
    for _ in range(150):
        damaged = whole.copy()
        for _ in range(3):
            damaged[draw.randrange(len(damaged) - 2000)] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            read(path)
        except InputError as error:
            messages.append(str(error))
    assert 0 < len(messages) < 150
    assert [message for message in messages if str(path) not in message] == []


def test_a_damaged_gzip_file_is_refused(tmp_path):
    path = write_fits(tmp_path / "t.fits.gz", *every_kind())
    whole = bytearray(path.read_bytes())
    whole[-6] ^= 1  # of the checksum
    path.write_bytes(whole)
    with pytest.raises(InputError, match="damaged or truncated gzip file"):
        read(path)


def test_a_row_wider_than_a_chunk_is_refused(tmp_path, monkeypatch):
    path = write_fits(tmp_path / "t.fits", column("name", "40A", [b"x"]))
    monkeypatch.setattr(reader, "_CHUNK_BYTES", 39)
    with pytest.raises(InputError, match=r"at most 39 bytes, .* asks for 40\."):
        read(path)


def test_a_header_without_end_is_refused_and_never_held_whole(tmp_path):
    path = write_fits(tmp_path / "t.fits", column("id", "K", IDS))
    endless = tmp_path / "endless.fits.gz"
    header = path.read_bytes()[:2880].replace(b"END", b"   ")
    endless.write_bytes(gzip.compress(header + b" " * 40_000_000, 1))
    message, grown_bytes = refuse_apart(endless)
    assert re.search(r"cannot be read as FITS \(it has no end within 2,880,000", message)
    assert grown_bytes < 20_000_000


def test_a_file_without_one_binary_table_says_what_it_holds(tmp_path):
    image = fits.ImageHDU(np.zeros((4, 4)), name="SKY")
    text = fits.TableHDU.from_columns([column("id", "I11", [1])], name="OLD")
    packed = fits.CompImageHDU(np.zeros((40, 40), np.int16), name="PACKED")
    fits.HDUList([fits.PrimaryHDU(), image, text, packed]).writeto(tmp_path / "none.fits")
    message = "one binary table. Found: primary header, image SKY, ASCII table OLD, image PACKED"
    with pytest.raises(InputError, match=message):
        read_table_header(tmp_path / "none.fits")
    several = write_fits(tmp_path / "two.fits", column("id", "K", IDS), tables=2)
    with pytest.raises(InputError, match="Found: primary header, binary table T0, binary table T1"):
        read_table_header(several)
    (tmp_path / "t.fits").write_text("id,class\n")
    with pytest.raises(InputError, match="not a FITS file: it begins with b'id,class"):
        read_table_header(tmp_path / "t.fits")


def test_columns_of_one_name_are_no_matter_unless_they_are_asked_for(tmp_path):
    columns = [column(name, "K", [n]) for n, name in enumerate(("id", "xx", "yy", "zz"))]
    path = write_fits(tmp_path / "t.fits", *columns)
    content = path.read_bytes().replace(b"'xx      '", b"'ID      '")
    path.write_bytes(content.replace(b"'zz      '", b"'yy      '"))
    table = read_table_header(path)
    (batch,) = iterate_rows(table, {"lower": "id", "upper": "ID"})
    assert batch.to_pylist() == [{"lower": "0", "upper": "1", "is_broken": False}]
    with pytest.raises(InputError, match="several columns like 'yy': 'yy', 'yy', in the places"):
        table.find(["yy"])


def test_ids_of_floating_point_are_refused(tmp_path):
    path = write_fits(
        tmp_path / "t.fits", column("id", "D", [1.0]), column("class", "6A", ["spiral"])
    )
    config = RunConfig(release="class_table", source=str(tmp_path))
    with pytest.raises(InputError, match="cannot represent ids of 18 digits"):
        plan_catalogue(config, path)
