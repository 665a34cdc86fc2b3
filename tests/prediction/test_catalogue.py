"""A catalogue says the same in each format, with units, meanings and its making."""

import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable
from astropy.table import Table

from galaxy_tasks.acquisition.prediction_table import is_prediction_table, name_columns
from galaxy_tasks.errors import InputError
from galaxy_tasks.prediction.catalogue import (
    SUFFIXES,
    Contents,
    list_columns,
    require_few_enough,
    require_suffix,
    write_catalogue,
)

CLASSES = ("cigar shaped", "spiräl")
ROWS = pa.table(
    {
        "id": ["587722952767439450", "00012", "é"],
        "path": ["a/1.jpg", "b, c.jpg", 'd"e".jpg'],
        "ra": [180.25, None, 0.0],
        "dec": [-12.5, None, 90.0],
        "class": ["spiräl", "cigar shaped", ""],
        "p_cigar_shaped": pa.array([0.25, 0.75, None], pa.float32()),
        "p_spir_l": pa.array([0.75, 0.25, None], pa.float32()),
        "prediction_set": ["spiräl", "cigar shaped|spiräl", ""],
        "entropy": pa.array([0.5, 0.5, None], pa.float32()),
        "distance": pa.array([0.5, 1.5, None], pa.float32()),
        "is_unlike": [False, True, False],
        "refused": ["", "", "truncated: JPEG"],
    }
)
METADATA = {"model": "observed-2 version 3", "classes": list(CLASSES), "card": "# Ä card\nline 2"}


def write(path) -> None:
    widths = {name: 60 for name in ("id", "path", "class", "prediction_set", "refused")}
    columns = list_columns(CLASSES, 0.9)
    parts = [ROWS.slice(0, 2), ROWS.slice(2)]
    write_catalogue(path, Contents(columns, METADATA, len(ROWS), widths, lambda: iter(parts)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogues")
    for suffix in SUFFIXES:
        write(folder / f"out{suffix}")
    return folder


def test_its_columns_are_known(folder):
    assert list(ROWS.column_names) == name_columns(CLASSES)
    assert is_prediction_table(pq.read_schema(folder / "out.parquet").names)


def test_classes_that_become_alike_are_numbered():
    assert name_columns(["a b", "a-b", "c"])[5:8] == ["p_a_b_1", "p_a_b_2", "p_c_3"]


def test_pandas_and_astropy_read_the_same_from_parquet(folder):
    path = folder / "out.parquet"
    pd.testing.assert_frame_equal(pd.read_parquet(path), ROWS.to_pandas())
    found = Table.read(path, format="parquet.votable")
    assert found.colnames == ROWS.column_names
    assert str(found["ra"].unit) == str(found["dec"].unit) == "deg"
    assert found["p_spir_l"].description == "Calibrated probability of spiräl"
    assert found["id"].tolist() == ROWS["id"].to_pylist()
    np.testing.assert_array_equal(found["entropy"], [0.5, 0.5, np.nan])
    assert json.loads(pq.read_schema(path).metadata[b"galaxy_morphology"]) == METADATA


def test_astropy_reads_the_fits_table(folder):
    with fits.open(folder / "out.fits", checksum=True) as opened:
        opened.verify("exception")
        header, data = opened[1].header, opened[1].data
    assert data["id"].tolist() == ["587722952767439450", "00012", r"\xe9"]
    assert data["class"].tolist() == [r"spir\xe4l", "cigar shaped", ""]
    np.testing.assert_array_equal(data["ra"], [180.25, np.nan, 0])
    np.testing.assert_array_equal(data["p_cigar_shaped"], np.float32([0.25, 0.75, np.nan]))
    assert data["is_unlike"].tolist() == [False, True, False]
    assert header["TUNIT3"] == "deg"
    assert header["TUCD3"] == "pos.eq.ra;meta.main"
    assert header["TCOMM5"] == "The network's choice"
    assert "model: observed-2 version 3" in list(header["HISTORY"])


def test_astropy_reads_the_votable(folder):
    parsed = votable.parse(folder / "out.vot", verify="exception")
    assert {info.name: info.value for info in parsed.resources[0].infos}["model"] == METADATA[
        "model"
    ]
    found = parsed.get_first_table().to_table(use_names_over_ids=True)
    assert found.colnames == ROWS.column_names
    assert found["path"].tolist() == ROWS["path"].to_pylist()
    assert found["ra"].mask.tolist() == [False, True, False]
    assert str(found["dec"].unit) == "deg"


def test_pandas_reads_the_csv(folder):
    found = pd.read_csv(
        folder / "out.csv",
        dtype={"id": str},
        keep_default_na=False,
        na_values={"ra": "", "dec": ""},
    )
    assert found["id"].tolist() == ROWS["id"].to_pylist()
    assert found["path"].tolist() == ROWS["path"].to_pylist()
    assert found["ra"].isna().tolist() == [False, True, False]
    assert json.loads((folder / "out.csv.json").read_text()) == METADATA


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".csv"])
def test_stilts_reads_what_topcat_does(suffix, folder):
    """STIL is what TOPCAT reads tables with; that of Debian 12 knows no Parquet."""
    if not shutil.which("stilts"):
        pytest.skip("stilts is not installed")
    formats = {".fits": "fits", ".vot": "votable", ".csv": "csv"}
    told = subprocess.run(
        [
            *("stilts", "tpipe", f"in={folder / f'out{suffix}'}", f"ifmt={formats[suffix]}"),
            *("cmd=keepcols 'id ra is_unlike'", "ofmt=csv"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    lines = told.stdout.split()
    assert lines[:3] == ["id,ra,is_unlike", "587722952767439450,180.25,false", "00012,,true"]


def test_names_and_sizes_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in one of \.parquet, \.fits, \.vot, \.csv"):
        require_suffix(tmp_path / "out.txt")
    with pytest.raises(InputError, match="at most 1,000,000 rows, and these are 1,000,001"):
        require_few_enough(tmp_path / "out.vot", 1_000_001)
    require_few_enough(tmp_path / "out.fits", 1_000_001)
