"""Who must stay on one side of the split does, without Spark: the table of labels by itself."""

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from galaxy_tasks.config import RunConfig
from galaxy_tasks.label_table import COLUMNS, make_label_table
from galaxy_tasks.matching import LARGEST_SHARE, MOST_COPIES
from galaxy_tasks.splitting import is_name_in_test

TOTAL = 1500
MANY = MOST_COPIES + 1
CONFIG = RunConfig(release="class_table", source="anywhere")


def draw_rows(count: int = TOTAL) -> pd.DataFrame:
    """Galaxies of two classes, each alone in its cell on the sky and with an image of its own."""
    numbers = np.arange(count)
    rows = pd.DataFrame(
        {
            "release": "class_table",
            "release_index": 0,
            "galaxy_id": [f"g{number:05}" for number in numbers],
            "image_name": [f"{number}.png" for number in numbers],
            "ra_degrees": 5 + numbers * 0.2,
            "dec_degrees": 0.001,
            "label": np.where(numbers % 2, "spiral", "edge_on"),
            "image": [f"image {number}".encode() for number in numbers],
        }
    )
    return rows.assign(sky_group=[f"sky:5400:{number}" for number in numbers])


def label(folder, rows: pd.DataFrame, config: RunConfig = CONFIG):
    """Return the table that is made of these rows, the images of all releases in one folder."""
    folder.mkdir()
    for row in rows.itertuples():
        (folder / str(row.image_name)).write_bytes(row.image)  # pyright: ignore[reportArgumentType]
    names = [is_name_in_test(name, test_fraction=0.2) for name in rows["sky_group"]]
    table = pa.Table.from_pandas(rows.assign(is_test=names)[list(COLUMNS)], preserve_index=False)
    return make_label_table(table, config, image_folders=[folder] * 2)


def draw_picture() -> bytes:
    return cv2.imencode(".png", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()


def splits_of(made, ids) -> set[str]:
    table = made.labels.to_pandas().set_index("galaxy_id")
    return set(table.loc[list(ids), "split"])


@pytest.mark.parametrize(
    "shared",
    [
        {"image": draw_picture()},
        {"ra_degrees": 0.0, "dec_degrees": 0.0, "sky_group": "sky:5400:0"},
        {"image": draw_picture(), "ra_degrees": 0.0, "dec_degrees": 0.0, "sky_group": "sky:0:0"},
    ],
)
def test_more_than_ten_that_share_a_place_or_an_image_stay_on_one_side(tmp_path, shared, capsys):
    rows = draw_rows()
    is_planted = (rows.index % 100 == 50) & (rows.index < MANY * 100)
    planted = rows.loc[is_planted, "galaxy_id"].tolist()
    assert MOST_COPIES < len(planted) <= LARGEST_SHARE * TOTAL
    apart = label(tmp_path / "apart", rows)
    assert splits_of(apart, planted) >= {"train", "test"}
    for name, value in shared.items():
        rows.loc[is_planted, name] = value
    made = label(tmp_path / "shared", rows)
    assert len(splits_of(made, planted)) == 1
    assert made.summary["kept"] == TOTAL
    assert "stay on one side of the split" in capsys.readouterr().out


def test_a_picture_that_a_large_share_has_is_put_aside_with_its_reason(tmp_path, capsys):
    rows = draw_rows(400)
    rows.loc[:MOST_COPIES, "image"] = [draw_picture()] * MANY
    made = label(tmp_path / "images", rows)
    assert made.summary["kept"] == 400 - MANY
    dropped = made.dropped.to_pandas()
    assert dropped["galaxy_id"].tolist() == rows["galaxy_id"].head(MANY).tolist()
    assert set(dropped["reason"]) == {"stand_in_image"}
    assert "so that it shows none of its galaxies; they are dropped" in capsys.readouterr().out


def test_a_place_that_a_large_share_has_is_told_and_ties_nobody(tmp_path, capsys):
    rows = draw_rows(400)
    rows.loc[:99, ["ra_degrees", "dec_degrees"]] = 0.0
    rows.loc[:99, "sky_group"] = "sky:5400:0"
    made = label(tmp_path / "images", rows)
    assert splits_of(made, rows["galaxy_id"].head(100)) == {"train", "validation", "test"}
    assert made.summary["placed"] == 300
    assert "100 galaxies share their exact place" in (printed := capsys.readouterr().out)
    assert "more than 1% of all, as if it stood for none" in printed


def test_what_many_share_merges_no_galaxies_of_two_releases(tmp_path):
    rows = draw_rows()
    rows.loc[rows.index < MANY, ["ra_degrees", "dec_degrees"]] = 0.0
    rows.loc[rows.index < MANY, "sky_group"] = "sky:5400:0"
    rows.loc[rows.index < 5, "release_index"] = 1
    rows.loc[rows.index < 5, "release"] = "class_table_2"
    other = {"release": "class_table", "source": "anywhere else"}
    config = RunConfig(release="class_table", source="anywhere", combine=(other,))
    made = label(tmp_path / "images", rows, config)
    assert len(made.labels) == TOTAL
    assert made.summary["same_galaxy"]["merged"] == 0
    ids = [f"class_table_2:{name}" for name in rows["galaxy_id"].head(5)]
    assert len(splits_of(made, [*ids, "class_table:g00007"])) == 1
