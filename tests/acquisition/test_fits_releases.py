"""A release whose tables are in FITS gives the same labels as in CSV."""

import gzip
import math
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from fixtures.fits_inputs import IDS, column, write_fits

from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.acquisition.tables import read_table_header
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels.spark_io import read_rows
from galaxy_tasks.pipeline import steps
from galaxy_tasks.pipeline.clean_labels import clean_labels
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.schema import VoteScheme
from galaxy_tasks.storage.cache_keys import ReleaseFiles


def write_challenge(folder: Path, table: str) -> RunConfig:
    """Sixty galaxies of the five classes in turn, as CSV or FITS; some votes are missing."""
    release = RELEASES["galaxy_zoo_challenge"]
    scheme = release.schemes["clean5"]
    assert isinstance(scheme, VoteScheme)
    votes = pd.DataFrame(0.0, index=range(60), columns=pd.Index(scheme.fraction_columns))
    for number in range(60):
        for criterion in scheme.rules[number % 5].criteria:
            votes.loc[number, criterion.column] = criterion.minimum
    votes.loc[[7, 21]] = math.nan
    images = folder / release.images_folders[0]
    images.mkdir(parents=True)
    ids = [IDS[0] + number for number in range(60)]
    for galaxy_id in ids:
        (images / f"{galaxy_id}.jpg").write_bytes(b"x")
    if table.endswith(".csv"):
        votes.insert(0, "GalaxyID", ids)
        votes.to_csv(folder / table, index=False)
    else:
        write_fits(
            folder / table,
            column("GalaxyID", "K", ids),
            *(column(name, "D", votes[name]) for name in votes),
        )
    return RunConfig(release=release.name, source=str(folder))


def test_a_release_in_fits_gives_the_labels_of_the_same_in_csv(
    spark, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    labels = {}
    for table in ("training_solutions_rev1.csv", "training_solutions_rev1.fits.gz"):
        config = write_challenge(tmp_path / table, table)
        files = ReleaseFiles(**steps.prepare_release(config.model_dump()))
        artifact = clean_labels(config, files, spark=spark)
        labels[table] = [
            pd.read_parquet(artifact.path / f"{name}.parquet").drop(
                columns="detail", errors="ignore"
            )
            for name in ("labels", "quarantine")
        ]
    as_csv, as_fits = labels.values()
    assert (len(as_csv[0]), list(as_csv[1]["reason"])) == (58, ["malformed"] * 2)
    for expected, found in zip(as_csv, as_fits, strict=True):
        pd.testing.assert_frame_equal(expected, found)
    assert capsys.readouterr().out.count("Converting") == 1
    again = ReleaseFiles(**steps.prepare_release(config.model_dump()))
    assert again == files
    assert "Converting" not in capsys.readouterr().out


def test_a_mapping_in_fits_is_converted_too(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    source = tmp_path / "source"
    (source / "images").mkdir(parents=True)
    (source / "images" / "7.jpg").write_bytes(b"x")
    (source / "gz2_hart16.csv.gz").write_bytes(gzip.compress(b"dr7objid,gz2_class\n1,Er\n"))
    columns = [column("objid", "K", IDS[:1]), column("asset_id", "J", [7])]
    write_fits(source / "gz2_filename_mapping.fits", *columns)
    config = RunConfig(release="galaxy_zoo_2", source=str(source), scheme="gz2_class")
    files = ReleaseFiles(**steps.prepare_release(config.model_dump()))
    assert files.catalogue == str(source / "gz2_hart16.csv.gz")
    assert pq.read_table(files.mapping).to_pydict() == {"objid": IDS[:1], "asset_id": [7]}


def test_spark_is_not_given_a_fits_file(spark, tmp_path):
    path = write_fits(tmp_path / "t.fits", column("id", "K", IDS))
    with pytest.raises(InputError, match="clear the task 'prepare_release'"):
        read_rows(spark, read_table_header(path), {"galaxy_id": "id"})
    config = RunConfig(release="class_table", source=str(tmp_path), class_column="id")
    (tmp_path / "1.jpg").write_bytes(b"x")
    assert locate_release(config).catalogue == str(path)
