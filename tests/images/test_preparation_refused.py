"""Images that are refused are listed with their reason, and too many of them fail."""

import re

import numpy as np
import pandas as pd
import pytest
from fixtures.preparation_inputs import contents, encode, make_galaxies, prepare, spoil

from galaxy_tasks.errors import InputError


def test_refused_images_leave_no_gap_and_are_listed_with_their_reason(tmp_path, caplog):
    galaxies = make_galaxies(tmp_path / "in", 150)
    prepare(tmp_path / "whole", galaxies, tmp_path / "in")
    expected = spoil(tmp_path / "in")
    summary = prepare(tmp_path / "out", galaxies, tmp_path / "in", max_rejected_fraction=0.05)
    rejected = pd.read_parquet(tmp_path / "out" / "rejected.parquet")
    assert list(rejected.columns) == ["galaxy_id", "source_file", "reason", "detail"]
    found = {int(row.galaxy_id[5:]): row.reason for row in rejected.itertuples()}
    assert found == expected
    assert summary.rejected_by_reason == dict.fromkeys(sorted(expected.values()), 1)
    assert summary.prepared == 144
    kept = [number for number in range(150) if number not in expected]
    manifest = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert [int(galaxy_id[5:]) for galaxy_id in manifest["galaxy_id"]] == kept
    images = np.load(tmp_path / "out" / "images.npy", mmap_mode="r")
    assert (images == np.load(tmp_path / "whole" / "images.npy")[kept]).all()
    contents(tmp_path / "out")
    assert "150 = 144 prepared + 6 refused (empty 1, missing 1, " in caplog.text


def test_too_many_refused_images_fail_with_the_list_and_go_on_once_they_are_mended(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 150)
    spoil(tmp_path / "in")
    with pytest.raises(InputError) as caught:
        prepare(tmp_path / "out", galaxies, tmp_path / "in", max_rejected_fraction=0.01)
    message = str(caught.value)
    assert "4.00%" in message
    assert "allows 1.00%" in message
    assert "6 of 150" in message
    assert "587720000003  3.jpg  empty" in message
    for number in (3, 70, 71, 72, 149):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(encode(number))
    # Images that were fine are not looked at again: this one would be missed.
    (tmp_path / "in" / "5.jpg").rename(tmp_path / "5.jpg")
    (tmp_path / "in" / "130.jpg").rename(tmp_path / "130.jpg")
    with pytest.raises(InputError) as caught:
        prepare(tmp_path / "out", galaxies, tmp_path / "in", max_rejected_fraction=0.01)
    # 5 and 130 are in the chunks of 3 and 149, which are done again.
    assert "3 of 150" in str(caught.value)
    prepare(tmp_path / "out", galaxies, tmp_path / "in", max_rejected_fraction=0.02)
    contents(tmp_path / "out")  # the list of the failed attempts is no part of what is published


def test_the_message_has_the_first_twenty_refused_images_and_a_file_has_all(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 60)
    for number in range(45):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="and 25 more") as caught:
        prepare(tmp_path / "out", galaxies, tmp_path / "in", max_rejected_fraction=0.5)
    assert len(re.findall(r"empty: ", str(caught.value))) == 20
    named = re.search(r"All 45 are listed in (.*rejected\.csv)", str(caught.value))
    assert named
    listed = pd.read_csv(named[1], dtype=str)
    assert list(listed.columns) == ["galaxy_id", "source_file", "reason", "detail"]
    assert set(listed["source_file"]) == {f"{number}.jpg" for number in range(45)}
    assert set(listed["reason"]) == {"empty"}


def test_a_class_that_loses_all_images_of_a_split_fails(tmp_path):
    galaxies = make_galaxies(tmp_path / "in", 90)
    lost = galaxies["label"].eq("spiral") & galaxies["split"].eq("test")
    for name in galaxies.loc[lost, "image_name"]:
        (tmp_path / "in" / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"No image is left .*: spiral \(test\)"):
        prepare(tmp_path / "out", galaxies, tmp_path / "in", max_rejected_fraction=1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="split"), "Missing: split"),
        (lambda table: pd.concat([table, table.head(1)]), "Each galaxy_id may occur once"),
        (lambda table: table.assign(label=None), "empty values: {'label': 6}"),
        (lambda table: table.head(0), "has 0 rows"),
    ],
)
def test_a_malformed_table_is_refused_and_the_message_says_why(tmp_path, change, message):
    galaxies = make_galaxies(tmp_path / "in", 6)
    with pytest.raises(InputError, match=re.escape(message)):
        prepare(tmp_path / "out", change(galaxies), tmp_path / "in")
