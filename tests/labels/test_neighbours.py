"""No galaxy that a model learns from stands in the cutout of one that it is tested on."""

import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy import units
from astropy.coordinates import SkyCoord, search_around_sky

from galaxy_tasks.config import RunConfig
from galaxy_tasks.labels.holdout import read_holdout
from galaxy_tasks.labels.neighbours import find_reach_arcsec, find_sides
from galaxy_tasks.labels.table import COLUMNS, make_label_table

ARCSEC = 1 / 3600
ARCMINUTE = 60.0
OWN = RunConfig(release="class_table", source="anywhere")
COMBINED = RunConfig(
    release="class_table",
    source="anywhere",
    combine=({"release": "class_table", "source": "anywhere else"},),  # pyright: ignore[reportArgumentType]
)
RANDOM_SEED = 5


def name_cell(ra: float, dec: float) -> str:
    """Return the cell of a position, by the rule of `split.locate_rows`."""
    band = int(np.floor((dec + 90) * 60))
    shrinkage = np.cos(np.radians((band + 0.5) / 60 - 90))
    return f"sky:{band}:{int(np.floor(ra * 60 * shrinkage))}"


def make_rows(ra: np.ndarray, dec: np.ndarray, *, release_index: int = 0) -> pd.DataFrame:
    numbers = np.arange(len(ra))
    ra = ra % 360
    cells = [name_cell(*place) for place in zip(ra, dec, strict=True)]
    heads = [hashlib.sha256(cell.encode()).hexdigest()[:8] for cell in cells]
    return pd.DataFrame(
        {
            "release": ("class_table", "class_table_2")[release_index],
            "release_index": release_index,
            "galaxy_id": [f"{release_index}-{number}" for number in numbers],
            "image_name": [f"{release_index}-{number}.png" for number in numbers],
            "sky_group": cells,
            "ra_degrees": ra,
            "dec_degrees": dec,
            "label": np.where(numbers // 7 % 2, "spiral", "edge_on"),
            "is_test": [int(head, 16) / 2**32 < 0.2 for head in heads],
        }
    )


def step(ra: np.ndarray, dec: np.ndarray, *, arcsec: float, angle: np.ndarray):
    """Return positions so far from these, at an angle in radians."""
    places = SkyCoord(ra, dec, unit="deg").directional_offset_by(
        angle * units.rad, arcsec * units.arcsec
    )
    return places.ra.deg, places.dec.deg


def draw_pairs(count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Pairs 4 arcseconds apart across the border of a cell, at all latitudes and at both poles."""
    random = np.random.default_rng(RANDOM_SEED)
    dec = np.linspace(-90, 90, count)
    ra = np.where(np.arange(count) % 10, random.uniform(0, 360, count), 0.0)  # some at 0
    band = np.clip(np.round((dec + 90) * 60), 1, 180 * 60 - 1) / 60 - 90
    is_row = np.arange(count) % 2 == 0  # every other pair crosses from row to row
    centre = np.where(is_row, band, dec)
    first = step(ra, centre, arcsec=2, angle=np.where(is_row, 0, np.pi / 2))
    second = step(ra, centre, arcsec=2, angle=np.where(is_row, np.pi, -np.pi / 2))
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


def draw_chains(count: int = 8000) -> tuple[np.ndarray, np.ndarray]:
    """Chains of three to ten galaxies 50 arcseconds apart, each chain alone."""
    random = np.random.default_rng(RANDOM_SEED)
    start = np.arange(count) * 0.4
    ra, dec = start % 360, -60 + start // 360 * 15
    places, angle = [(ra, dec)], random.uniform(0, 2 * np.pi, count)
    for length in range(2, 11):
        is_longer = 3 + np.arange(count) % 8 >= length
        ra, dec = step(ra, dec, arcsec=50, angle=angle)
        places.append((ra[is_longer], dec[is_longer]))
    return tuple(np.concatenate(axis) for axis in zip(*places, strict=True))  # pyright: ignore[reportReturnType]


def draw_field(count: int, side_degrees: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(RANDOM_SEED)
    return 150 + random.random(count) * side_degrees, 2 + random.random(count) * side_degrees


def label(folder, rows: pd.DataFrame, config: RunConfig):
    """Return the table that is made of these rows, whose images cannot be read."""
    folder.mkdir(exist_ok=True)
    table = pa.Table.from_pandas(rows.assign(agreement=np.nan)[list(COLUMNS)], preserve_index=False)
    return make_label_table(table, config, image_folders=[folder] * 2, holdout=read_holdout(None))


def count_split_pairs(made, *, reach_arcsec: float) -> int:
    """Return how many pairs within reach have one galaxy in the test and one not, by astropy."""
    labels = made.labels.to_pandas()
    is_test = (labels["split"] == "test").to_numpy()
    places = SkyCoord(labels["ra_degrees"], labels["dec_degrees"], unit="deg")
    reach = reach_arcsec * units.arcsec
    return len(search_around_sky(places[is_test], places[~is_test], reach)[0])


def measure_share(made, total: int) -> float:
    """Return the test's share of all galaxies, those included that were quarantined for it."""
    return made.summary["test_set"]["galaxies"] / total


@pytest.mark.parametrize("draw", [draw_pairs, draw_chains])
def test_what_is_within_reach_stands_on_one_side_and_none_is_lost(tmp_path, draw):
    rows = make_rows(*draw())
    made = label(tmp_path, rows, OWN)
    assert count_split_pairs(made, reach_arcsec=ARCMINUTE) == 0
    assert made.summary["kept"] == len(rows)
    assert measure_share(made, len(rows)) == pytest.approx(0.2, abs=0.01)


def test_the_pairs_would_be_split_if_each_galaxy_went_by_its_cell():
    """So the test above can fail."""
    rows = make_rows(*draw_pairs())
    first, second = np.split(rows["is_test"].to_numpy(), 2)
    assert np.count_nonzero(first != second) > 400


def test_two_releases_in_one_run_are_separated_alike(tmp_path):
    """The second release has each pair's other galaxy, and an entry of the first one."""
    ra, dec = draw_pairs()
    one, other = np.split(np.arange(len(ra)), 2)
    again = step(ra[one], dec[one], arcsec=0.5, angle=np.zeros(len(one)))
    rows = pd.concat(
        [
            make_rows(ra[one], dec[one]),
            make_rows(
                np.concatenate([ra[other], again[0]]),
                np.concatenate([dec[other], again[1]]),
                release_index=1,
            ),
        ],
        ignore_index=True,
    )
    # An entry of the same galaxy has the same label.
    rows.loc[rows.index[-len(one) :], "label"] = rows["label"].head(len(one)).to_numpy()
    made = label(tmp_path, rows, COMBINED)
    assert made.summary["crossmatch"]["crossmatched"] == len(one)
    assert count_split_pairs(made, reach_arcsec=ARCMINUTE) == 0
    assert made.summary["kept"] == 2 * len(one)
    assert measure_share(made, 2 * len(one)) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    ("release", "most_near"), [("class_table", 0.7), ("galaxy_zoo_candels", 0.3)]
)
def test_in_a_field_as_dense_as_candels_what_is_near_the_test_is_quarantined(
    tmp_path, package_log, release, most_near
):
    """62 galaxies to a square arcminute, in a field of 0.44 square degrees."""
    rows = make_rows(*draw_field(2 * 49_555, np.sqrt(2 * 0.22)))
    config = OWN.model_copy(update={"release": release})
    reach_arcsec = find_reach_arcsec([release])
    made = label(tmp_path, rows, config)
    assert count_split_pairs(made, reach_arcsec=reach_arcsec) == 0
    assert measure_share(made, len(rows)) == pytest.approx(0.2, abs=0.01)
    dropped = made.dropped.to_pandas()
    assert set(dropped["reason"]) == {"near_test"}
    assert made.summary["kept"] + len(dropped) == len(rows)
    assert 0 < len(dropped) / len(rows) < most_near
    assert f"{len(dropped):,} galaxies" in package_log.text
    assert float(dropped["detail"].str.extract(r"^([\d.]+) arcseconds from 0-\d+$")[0].max()) <= (
        reach_arcsec
    )


def test_a_galaxy_without_a_position_is_near_none(tmp_path):
    rows = make_rows(*draw_field(500, 0.2))
    rows.loc[::2, ["ra_degrees", "dec_degrees"]] = np.nan
    rows.loc[::2, "sky_group"] = "id:" + rows["galaxy_id"]
    made = label(tmp_path, rows, OWN)
    near = made.dropped.to_pandas()
    assert set(near["galaxy_id"]) <= set(rows["galaxy_id"][1::2])
    assert len(near)


@pytest.mark.parametrize("lone_cell", ["first", "last"])
def test_a_lone_galaxy_beside_a_crowd_is_in_its_chain_whichever_cell_is_first(lone_cell):
    """The members of the crowd have 16 nearer neighbours; only the lone one finds them."""
    random = np.random.default_rng(3)
    crowd = 10 + random.uniform(-1, 1, (40, 2)) * ARCSEC
    far = np.stack([random.uniform(20, 300, 9000), random.uniform(-60, 60, 9000)], axis=1)
    rows = pd.DataFrame(
        np.vstack([[[10.0, 10.0 - 50 * ARCSEC]], crowd, far]), columns=["ra_degrees", "dec_degrees"]
    )
    lone = {"first": "a", "last": "c"}[lone_cell]
    rows["sky_group"] = [lone, *["b"] * 40, *[f"d{n}" for n in range(9000)]]
    same = np.arange(len(rows))
    table = pa.Table.from_pandas(rows)
    groups = find_sides(table, same=same, reach_arcsec=ARCMINUTE).groups
    assert len(set(groups[:41])) == 1
