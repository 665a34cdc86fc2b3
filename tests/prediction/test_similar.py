"""Nearest galaxies are those of the smallest angle between their features."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from galaxy_tasks.errors import InputError
from galaxy_tasks.prediction.similar import find_similar

VECTORS = np.array([[1, 0], [2, 0.1], [0, 1], [-1, 0], [1, 1]], np.float16)
IDS = ["a", "b", "c", "d", "e"]


@pytest.fixture
def features(tmp_path):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 2)
    table = pa.table({"id": IDS, "path": [f"{one}.jpg" for one in IDS], "features": vectors})
    pq.write_table(table, tmp_path / "features.parquet", row_group_size=2)
    return tmp_path / "features.parquet"


def test_the_nearest_come_first_and_length_does_not_count(features):
    found = find_similar(features, "a", count=3)
    assert [one.galaxy_id for one in found] == ["a", "b", "e", "c"]
    assert [one.similarity for one in found] == pytest.approx([1, 0.9988, 0.7071, 0], abs=1e-3)
    assert found[1].path == "b.jpg"


def test_more_are_asked_for_than_there_are(features):
    assert len(find_similar(features, "d", count=99)) == 5


def test_what_is_not_there_is_refused(features, tmp_path):
    with pytest.raises(InputError, match="has no galaxy x"):
        find_similar(features, "x", count=1)
    pq.write_table(pa.table({"id": IDS}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="must have the columns id, path, features"):
        find_similar(tmp_path / "other.parquet", "a", count=1)
    (tmp_path / "text.parquet").write_text("x")
    with pytest.raises(InputError, match="is no readable Parquet file"):
        find_similar(tmp_path / "text.parquet", "a", count=1)
