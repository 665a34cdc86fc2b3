"""Several releases in one run: who is the same galaxy, and that none crosses the splits."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from fixtures.combining_inputs import ARCSEC, DEC, NUMBER, draw_galaxies, write_release

from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.clean_labels import clean_labels
from galaxy_tasks.storage.cache_keys import join_release_files
from galaxy_tasks.storage.latest_holdout import find_latest_holdout


def clean(spark, config, *, holdout=None):
    files = join_release_files([locate_release(part) for part in config.parts()])
    return clean_labels(config, files, holdout=holdout, spark=spark)


def read(artifact):
    return pd.read_parquet(artifact.path / "labels.parquet")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))


@pytest.fixture(scope="module")
def planted(spark, tmp_path_factory):
    """One release in which a hundred galaxies have a second entry of each kind."""
    folder = tmp_path_factory.mktemp("planted")
    base = draw_galaxies(1000)
    base["image"] = [f"image {name}".encode() for name in base["id"]]
    near = base.head(100).assign(
        id=[f"near{number}" for number in range(100)],
        dec=DEC + 1.5 * ARCSEC,
        image=[f"near {number}".encode() for number in range(100)],
    )
    copied = base.tail(100).assign(
        id=[f"copy{number}" for number in range(100)], ra=np.nan, dec=np.nan
    )
    rows = pd.concat([base, near, copied])
    source = write_release(folder / "source", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(folder / "runs"))
        artifact = clean(spark, RunConfig(release="class_table", source=str(source)))
    return rows.set_index("id"), artifact


def find_partners(labels: pd.DataFrame, prefix: str, first: int) -> pd.DataFrame:
    """Return the splits of the planted entries beside those of the galaxies they repeat."""
    split = labels.set_index("galaxy_id")["split"]
    numbers = range(100)
    return pd.DataFrame(
        {
            "planted": [split[f"{prefix}{number}"] for number in numbers],
            "original": [split[f"{1000 + first + number}"] for number in numbers],
        }
    )


@pytest.mark.parametrize(("prefix", "first"), [("near", 0), ("copy", NUMBER - 100)])
def test_no_second_entry_of_a_galaxy_crosses_the_splits(planted, prefix, first):
    partners = find_partners(read(planted[1]), prefix, first)
    assert (partners["planted"] == partners["original"]).all()
    assert set(partners["planted"]) == {"train", "validation", "test"}


def test_planted_entries_would_cross_if_each_stood_alone(planted):
    """So the test above can fail: by its own cell or id, many an entry stands elsewhere."""
    rows, artifact = planted
    split = read(artifact).set_index("galaxy_id")["split"]
    band = {name: int((rows.loc[name, "dec"] + 90) * 60) for name in ("1000", "near0")}
    assert band == {"1000": 5400, "near0": 5401}
    for prefix, first in (("near", 1000), ("copy", 1000 + NUMBER - 100)):
        names = [f"{prefix}{number}" for number in range(100)]
        originals = [f"{first + number}" for number in range(100)]
        own, theirs = ([is_in_test_alone(n, rows.loc[n]) for n in ns] for ns in (names, originals))
        found = [split[name] == "test" for name in names]
        assert own != theirs
        # The last cell by name decides, and any cell comes after an id.
        assert found == (own if prefix == "near" else theirs)


def is_in_test_alone(galaxy_id: str, row: pd.Series) -> bool:
    group = f"id:{galaxy_id}"
    if not np.isnan(row["ra"]):
        band = int((row["dec"] + 90) * 60)
        shrinkage = np.cos(np.radians((band + 0.5) / 60 - 90))
        group = f"sky:{band}:{int(row['ra'] * 60 * shrinkage)}"
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32 < 0.2


def test_what_is_the_same_is_counted_and_nothing_is_merged_within_a_release(planted):
    summary = planted[1].manifest["summary"]
    assert summary["kept"] == NUMBER + 200
    assert summary["crossmatch"] == {
        "pairs_by_position": 100,
        "pairs_by_id": 0,
        "pairs_by_image": 100,
        "crossmatched": 0,
        "contradictions": 0,
    }


def combined(tmp_path, first: pd.DataFrame, second: pd.DataFrame, **settings) -> RunConfig:
    sources = [
        write_release(tmp_path / name, rows) for name, rows in (("one", first), ("two", second))
    ]
    return parse_config(
        {
            "release": "class_table",
            "source": str(sources[0]),
            "combine": [{"release": "class_table", "source": str(sources[1]), **settings}],
        }
    )


def test_galaxies_of_two_releases_are_merged_by_position_and_contradictions_counted(
    spark, tmp_path, package_log
):
    first = draw_galaxies(1000)
    second = draw_galaxies(5000, ra_shift_degrees=30 + 1 * ARCSEC)  # 100 are also in the first
    second["class"] = second["class"].replace({"spiral": "S", "edge_on": "E"})
    second.loc[3, "class"] = "E"  # a spiral to the first release
    config = combined(tmp_path, first, second, class_names={"S": "spiral", "E": "edge_on"})
    artifact = clean(spark, config)
    summary = artifact.manifest["summary"]
    assert summary["rows_in"] == 2 * NUMBER
    assert summary["kept"] == 2 * NUMBER - 100
    assert summary["dropped"] == {"crossmatched": 99, "crossmatched_contradictory": 1}
    assert summary["crossmatch"]["crossmatched"] == 100
    assert (
        "100 rows are of galaxies that an earlier release lists, and 1 of them" in package_log.text
    )
    labels = read(artifact)
    assert set(labels["label"]) == {"spiral", "edge_on"}
    assert labels["galaxy_id"].is_unique
    assert set(labels["release"]) == {"class_table", "class_table_2"}
    shared = labels[labels["galaxy_id"].str.endswith(":1303")]
    assert shared["label"].tolist() == ["spiral"]  # the first release has the say
    quarantine = pd.read_parquet(artifact.path / "quarantine.parquet").set_index("galaxy_id")
    row = quarantine.loc["class_table_2:5003"]
    assert row["detail"] == "edge_on, but spiral as class_table:1303"


def test_an_id_counts_where_a_position_is_missing_and_not_against_one(spark, tmp_path):
    first, second = draw_galaxies(1000), draw_galaxies(1000, ra_shift_degrees=200)
    second.loc[:49, ["ra", "dec"]] = np.nan
    artifact = clean(spark, combined(tmp_path, first, second))
    same = artifact.manifest["summary"]["crossmatch"]
    assert (same["pairs_by_id"], same["crossmatched"], same["contradictions"]) == (50, 50, 0)
    split = read(artifact).set_index("galaxy_id")["split"]
    # Numbered alike and far apart: two galaxies, which still do not cross the splits.
    apart = [f"{1050 + number}" for number in range(100)]
    assert all(split[f"class_table:{n}"] == split[f"class_table_2:{n}"] for n in apart)


def test_a_galaxy_once_in_the_test_stays_there_when_a_release_is_added(spark, tmp_path):
    first = draw_galaxies(1000)
    second = draw_galaxies(5000, ra_shift_degrees=30 + 1.9 * ARCSEC)
    config = combined(tmp_path, first, second)
    alone = clean(spark, config.parts()[0])
    before = read(alone)
    both = read(clean(spark, config, holdout=find_latest_holdout()))
    was_test = set(before.loc[before["split"] == "test", "galaxy_id"])
    is_test = set(both.loc[both["split"] == "test", "galaxy_id"])
    assert was_test
    assert {f"class_table:{name}" for name in was_test} <= is_test
    lines = sorted(
        f"class_table:{row.galaxy_id}\t{row.label}\n"
        for row in before[before["split"] == "test"].itertuples()
    )
    assert alone.manifest["summary"]["test_set"] == {
        "galaxies": len(was_test),
        "sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
        "from_holdout": 0,
    }


def test_combined_settings_are_refused_by_name():
    table = {"release": "class_table", "source": "/a"}
    with pytest.raises(InputError, match=r"combine\.0\.relase: Extra inputs"):
        parse_config({**table, "combine": [{"relase": "x"}]})
    with pytest.raises(InputError, match=r"combine\.0: .*release 'galaxy_zoo_1' needs 'source'"):
        parse_config({**table, "combine": [{"release": "galaxy_zoo_1"}]})
    with pytest.raises(InputError, match="one release is simulated"):
        parse_config({"combine": [table]})


def test_running_numbers_without_positions_end_the_run(spark, tmp_path):
    first, second = draw_galaxies(1), draw_galaxies(1)
    second["class"] = second["class"].to_numpy()[::-1]
    for rows in (first, second):
        rows[["ra", "dec"]] = np.nan
    with pytest.raises(InputError, match=r"match by id alone, and the labels of 400 of them"):
        clean(spark, combined(tmp_path, first, second))


def test_a_place_that_many_share_is_none_and_positions_can_be_named(spark, tmp_path, package_log):
    rows = draw_galaxies(1000).rename(columns={"ra": "lon", "dec": "lat"})
    rows.loc[:99, ["lon", "lat"]] = 0.0
    rows.loc[100, "lon"] = -170.0  # counted from -180 to 180
    source = write_release(tmp_path / "source", rows)
    config = RunConfig(
        release="class_table",
        source=str(source),
        ra_column="lon",
        dec_column="lat",
        class_names={"elliptcal": "smooth"},
    )
    artifact = clean(spark, config)
    assert "100 galaxies share their exact position with more than 10 others" in package_log.text
    assert "Position known for 300 of 400 galaxies" in package_log.text
    assert "class_names names 'elliptcal', which does not occur" in package_log.text
    assert artifact.manifest["summary"]["placed"] == 300
    labels = read(artifact).set_index("galaxy_id")
    assert labels["ra_degrees"].isna().sum() == 100
    assert labels.loc["1100", "ra_degrees"] == pytest.approx(190.0)
    for galaxy_id in ("1000", "1050"):
        is_test = labels.loc[galaxy_id, "split"] == "test"
        assert is_test == is_in_test_alone(galaxy_id, pd.Series({"ra": np.nan}))


def test_a_named_position_that_is_not_there_is_refused(tmp_path):
    source = write_release(tmp_path / "source", draw_galaxies(1).head(5))
    config = RunConfig(release="class_table", source=str(source), ra_column="lon")
    with pytest.raises(InputError, match=r"lacks 1 column\(s\)\. Expected: lon"):
        locate_release(config)
