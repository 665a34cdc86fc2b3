"""Who must stay on one side of the split does, without Spark: the table of labels by itself."""

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels.crossmatch import LARGEST_SHARE, MOST_COPIES, measure_chance
from galaxy_tasks.labels.holdout import read_holdout
from galaxy_tasks.labels.split import is_name_in_test
from galaxy_tasks.labels.table import COLUMNS, make_label_table

TOTAL = 1500
MANY = MOST_COPIES + 1
CONFIG = RunConfig(release="class_table", source="anywhere")
COMBINED = RunConfig(
    release="class_table",
    source="anywhere",
    combine=({"release": "class_table", "source": "anywhere else"},),  # pyright: ignore[reportArgumentType]
)


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
    table = pa.Table.from_pandas(
        rows.assign(is_test=names, agreement=np.nan)[list(COLUMNS)], preserve_index=False
    )
    return make_label_table(table, config, image_folders=[folder] * 2, holdout=read_holdout(None))


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
def test_more_than_ten_that_share_a_place_or_an_image_stay_on_one_side(
    tmp_path, shared, package_log
):
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
    assert "stay on one side of the split" in package_log.text


def test_a_picture_that_a_large_share_has_is_put_aside_with_its_reason(tmp_path, package_log):
    rows = draw_rows(400)
    rows.loc[:MOST_COPIES, "image"] = [draw_picture()] * MANY
    made = label(tmp_path / "images", rows)
    assert made.summary["kept"] == 400 - MANY
    dropped = made.dropped.to_pandas()
    assert dropped["galaxy_id"].tolist() == rows["galaxy_id"].head(MANY).tolist()
    assert set(dropped["reason"]) == {"placeholder_image"}
    assert "so that it is a placeholder; they are dropped" in package_log.text


def test_one_picture_in_place_of_every_image_is_told(tmp_path):
    rows = draw_rows(60).assign(image=draw_picture())
    with pytest.raises(InputError, match=r"the images of all 60 are placeholders, like 0\.png"):
        label(tmp_path / "images", rows)


def test_a_place_that_a_large_share_has_is_told_and_ties_nobody(tmp_path, package_log):
    rows = draw_rows(400)
    rows.loc[:99, ["ra_degrees", "dec_degrees"]] = 0.0
    rows.loc[:99, "sky_group"] = "sky:5400:0"
    made = label(tmp_path / "images", rows)
    assert splits_of(made, rows["galaxy_id"].head(100)) == {"train", "validation", "test"}
    assert made.summary["placed"] == 300
    assert "100 galaxies share their exact position" in package_log.text
    assert "it is treated as a placeholder" in package_log.text


def test_what_many_share_merges_no_galaxies_of_two_releases(tmp_path):
    rows = draw_rows()
    rows.loc[rows.index < MANY, ["ra_degrees", "dec_degrees"]] = 0.0
    rows.loc[rows.index < MANY, "sky_group"] = "sky:5400:0"
    rows.loc[rows.index < 5, "release_index"] = 1
    rows.loc[rows.index < 5, "release"] = "class_table_2"
    made = label(tmp_path / "images", rows, COMBINED)
    assert len(made.labels) == TOTAL
    assert made.summary["crossmatch"]["crossmatched"] == 0
    ids = [f"class_table_2:{name}" for name in rows["galaxy_id"].head(5)]
    assert len(splits_of(made, [*ids, "class_table:g00007"])) == 1


def number_two_releases(count: int, spirals: float, *, wrong: float | None) -> pd.DataFrame:
    """Two releases without positions whose ids are the same numbers.

    `wrong` is the share of labels that are another in the second; None: all are drawn anew.
    """
    random = np.random.default_rng(5)

    def draw():
        return np.where(random.random(count) < spirals, "spiral", "edge_on")

    first = draw_rows(count).assign(ra_degrees=np.nan, dec_degrees=np.nan, label=draw())
    first["sky_group"] = "id:" + first["galaxy_id"]
    second = first.assign(
        release="class_table_2",
        release_index=1,
        image_name="second " + first["image_name"],
        image=[b"second " + image for image in first["image"]],
    )
    if wrong is None:
        second["label"] = draw()
    else:
        is_wrong = random.random(count) < wrong
        second.loc[is_wrong, "label"] = second.loc[is_wrong, "label"].map(
            {"spiral": "edge_on", "edge_on": "spiral"}
        )
    return pd.concat([first, second], ignore_index=True)


@pytest.mark.parametrize("spirals", [0.5, 0.9, 0.97])
def test_running_numbers_are_not_believed_however_unlike_the_classes_are(tmp_path, spirals):
    rows = number_two_releases(1000, spirals, wrong=None)
    with pytest.raises(InputError, match=r"1,000 galaxies .* the ids of class_table_2 seem to be"):
        label(tmp_path / "images", rows, COMBINED)


@pytest.mark.parametrize("spirals", [0.5, 0.9])
@pytest.mark.parametrize("wrong", [0.0, 0.04])
def test_ids_are_believed_where_labels_bear_it_out(tmp_path, spirals, wrong):
    rows = number_two_releases(1000, spirals, wrong=wrong)
    made = label(tmp_path / "images", rows, COMBINED)
    assert made.summary["crossmatch"]["crossmatched"] == 1000


def test_chance_is_what_shares_make_of_it():
    first, second = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 2])
    assert measure_chance(first, second) == pytest.approx(0.75 * 0.25 + 0.25 * 0.5)
