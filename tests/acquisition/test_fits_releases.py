"""A release whose tables are in FITS gives the same labels as in CSV."""

import math
from pathlib import Path

import pandas as pd
from fixtures.fits_inputs import IDS, column, write_fits

from galaxy_tasks.config import RunConfig
from galaxy_tasks.labels.spark_io import read_images
from galaxy_tasks.pipeline.clean_labels import clean_labels
from galaxy_tasks.pipeline.prepare_release import prepare_release
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


def test_a_release_in_fits_gives_the_labels_of_the_same_in_csv(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    labels = {}
    for table in ("training_solutions_rev1.csv", "training_solutions_rev1.fits.gz"):
        config = write_challenge(tmp_path / table, table)
        files = ReleaseFiles(**prepare_release(config.model_dump()))
        artifact = clean_labels(config, files, spark=spark)
        labels[table] = [
            pd.read_parquet(artifact.path / f"{name}.parquet").drop(
                columns="detail", errors="ignore"
            )
            for name in ("labels", "quarantine")
        ]
    as_csv, as_fits = labels.values()
    assert (len(as_csv[0]), list(as_csv[1]["reason"])) == (58, ["missing_value"] * 2)
    for expected, found in zip(as_csv, as_fits, strict=True):
        pd.testing.assert_frame_equal(expected, found)


def test_a_mapping_in_fits_leads_to_images_too(spark, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "7.jpg").write_bytes(b"x")
    columns = [column("objid", "K", IDS[:1]), column("asset_id", "J", [7])]
    mapping = write_fits(tmp_path / "gz2_filename_mapping.fits", *columns)
    files = ReleaseFiles(
        catalogue="", images=str(tmp_path / "images"), mapping=str(mapping), content=""
    )
    found = read_images(spark, RELEASES["galaxy_zoo_2"], files, copy=tmp_path / "copy.parquet")
    assert [tuple(row) for row in found.collect()] == [(str(IDS[0]), "7.jpg")]
