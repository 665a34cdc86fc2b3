"""The whole step, on a table with something of everything."""

import json
from pathlib import Path

import pandas as pd
import pytest

from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.clean_labels import clean_labels, main
from galaxy_tasks.pipeline.process import read_result


def write_source(folder: Path, lines: list[str], *, images: int = 120) -> Path:
    (folder / "images").mkdir(parents=True)
    for number in range(images):
        (folder / "images" / f"{number}.jpeg").write_bytes(b"x")
    (folder / "labels.csv").write_text("id,class\n" + "\n".join(lines) + "\n")
    return folder


def good_lines(galaxies: int = 100) -> list[str]:
    return [f"{number},{('edge_on', 'spiral')[number % 2]}" for number in range(galaxies)]


def class_table(folder: Path, **settings) -> RunConfig:
    return RunConfig(release="class_table", source=str(folder), **settings)


def clean(spark, config: RunConfig):
    return clean_labels(config, locate_release(config), spark=spark)


def read_labels(artifact) -> pd.DataFrame:
    return pd.read_parquet(artifact.path / "labels.parquet").set_index("galaxy_id")


def test_where_the_split_fails_the_error_says_what_was_dropped_before(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    source = write_source(tmp_path / "source", good_lines())
    told = r"Only one class is left, edge_on.* Dropped before: 50 as ignored_class \(1: spiral, "
    with pytest.raises(InputError, match=told):
        clean(spark, class_table(source, ignored_classes=("spiral",)))


def test_every_row_is_kept_or_quarantined_with_its_reason(spark, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    dropped = ["100,dont_know", "101,spiral", "101,edge_on", "1,spiral", ",spiral", "500,spiral"]
    source = write_source(tmp_path / "source", good_lines() + dropped)
    config = class_table(source, ignored_classes=("dont_know", "never_there"))
    artifact = clean(spark, config)
    summary = artifact.manifest["summary"]
    assert summary["rows_in"] == 106
    assert summary["kept"] == 100
    assert summary["dropped"] == {
        "missing_value": 1,
        "contradictory": 2,
        "ignored_class": 1,
        "duplicate": 1,
        "no_image": 1,
    }
    labels = read_labels(artifact)
    assert list(labels.columns) == [
        *("image_name", "label", "label_index", "split"),
        *("own_id", "release", "release_index", "ra_degrees", "dec_degrees", "image_fingerprint"),
        *("agreement", "group"),
    ]
    assert json.loads((artifact.path / "classes.json").read_text()) == ["edge_on", "spiral"]
    assert (labels["label_index"] == (labels["label"] == "spiral")).all()
    assert (labels["image_name"] == labels.index + ".jpeg").all()
    counts = labels.groupby(["label", "split"]).size().unstack().to_dict("index")
    assert summary["classes"] == counts
    assert sum(sum(splits.values()) for splits in summary["classes"].values()) == 100
    quarantine = pd.read_parquet(artifact.path / "quarantine.parquet")
    assert set(quarantine.loc[quarantine.reason == "ignored_class", "image_name"]) == {"100.jpeg"}
    assert list(quarantine.columns) == ["galaxy_id", "image_name", "reason", "detail"]
    assert "ignored_classes names 'never_there', which does not occur" in caplog.text
    assert "  dropped: contradictory                     2\n" in caplog.text
    files = {path.name.split("-")[0] for path in artifact.path.rglob("*") if path.is_file()}
    assert files == {"manifest.json", "classes.json", "labels.parquet", "_SUCCESS", "part"}


def test_the_same_settings_return_the_labels_that_are_there(
    spark, tmp_path, monkeypatch, package_log
):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    config = class_table(write_source(tmp_path / "source", good_lines()))
    first = clean(spark, config)
    package_log.clear()
    assert clean(spark, config) == first
    assert package_log.messages[-1] == f"Already there, nothing to do: {first.path}"
    assert "Labels of release" not in package_log.text


def test_order_of_rows_changes_nothing_and_the_seed_only_validation(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    forwards = write_source(tmp_path / "a", good_lines())
    backwards = write_source(tmp_path / "b", good_lines()[::-1])
    first = read_labels(clean(spark, class_table(forwards)))
    assert read_labels(clean(spark, class_table(backwards))).equals(first)
    reseeded = read_labels(clean(spark, class_table(forwards, split_seed=1)))
    assert ((reseeded["split"] == "test") == (first["split"] == "test")).all()
    assert (reseeded["split"] != first["split"]).any()


def test_galaxy_zoo_2_images_are_found_through_the_mapping(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    (tmp_path / "images").mkdir()
    base = 587722981741363000
    catalogue, mapping = ["dr7objid,ra,dec,gz2class"], ["objid,sample,asset_id"]
    for number in range(60):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(b"x")
        catalogue.append(f"{base + number},{number},0.5,{('Er', 'SBb2m(o)')[number % 2]}")
        mapping.append(f"{base + number},original,{number}")
    catalogue += [f"{base + 60},1,1,A", f"{base + 61},1,1,Er", f"{base + 62},1,1,Er"]
    mapping += [f"{base + 60},original,5", f"{base + 61},original,999"]
    (tmp_path / "zoo2MainSpecz.csv").write_text("\n".join(catalogue))
    (tmp_path / "gz2_filename_mapping.csv").write_text("\n".join(mapping))
    config = RunConfig(release="galaxy_zoo_2", source=str(tmp_path), scheme="gz2_class")
    artifact = clean(spark, config)
    assert artifact.manifest["summary"]["dropped"] == {"artifact": 1, "no_image": 2}
    labels = read_labels(artifact)
    assert len(labels) == 60
    assert tuple(labels.loc[f"{base + 7}", ["image_name", "label"]]) == ("7.jpg", "barred_spiral")
    quarantine = pd.read_parquet(artifact.path / "quarantine.parquet").set_index("galaxy_id")
    assert quarantine.loc[f"{base + 60}", "image_name"] == "5.jpg"


def test_labels_without_a_galaxy_left_say_where_all_rows_went(spark, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    lines = ["900,spiral", "901,edge_on", "5,"]
    config = class_table(write_source(tmp_path / "source", lines))
    with pytest.raises(
        InputError,
        match=r"left of 3 rows.*2 as no_image \(90\d: .*1 as missing_value \(5: class is empty",
    ):
        clean(spark, config)
    assert not list((tmp_path / "runs" / "labels").glob("*/manifest.json"))


def test_a_column_that_cannot_be_read_is_an_error_and_a_cell_is_quarantined(
    spark, tmp_path, monkeypatch
):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    lines = [f"{line},{number},-0:30:00" for number, line in enumerate(good_lines())]
    lines[7] = "7,spiral,seven,-0.5"
    source = write_source(tmp_path / "source", lines)
    table = source / "labels.csv"
    table.write_text(table.read_text().replace("id,class", "id,class,RA,Dec", 1))
    artifact = clean(spark, class_table(source))
    assert artifact.manifest["summary"]["dropped"] == {"unreadable": 1}
    quarantine = pd.read_parquet(artifact.path / "quarantine.parquet")
    assert quarantine["detail"].tolist() == ["ra=seven"]
    # Nothing is known of a galaxy without a position; one that is written otherwise is no such.
    table.write_text(table.read_text().replace("-0:30:00", "S0.5"))
    with pytest.raises(
        InputError,
        match=r"1 column.* more than 5% of the rows\. 'Dec': 99 of 100 rows, such as 'S0\.5'\. "
        r"Expected: degrees from -90 to 90",
    ):
        clean(spark, class_table(source))


def test_the_application_ends_with_65_and_leaves_its_error_where_a_setting_is_wrong(tmp_path):
    result = tmp_path / "result.json"
    settings = ("--settings", '{"epochs": 0}', "--release-files", "{}")
    with pytest.raises(SystemExit) as caught:
        main([*settings, "--result", str(result)])
    assert caught.value.code == 65
    with pytest.raises(InputError, match=r"Settings were refused:\n  epochs: "):
        read_result(result)
