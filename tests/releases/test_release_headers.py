"""Headers that differ are read where it is known how, and else refused with the difference."""

from pathlib import Path

import pandas as pd
import pytest
from fixtures.release_headers import GZ2_COLUMNS, HEADERS, MODERN, TREES, list_decals
from fixtures.release_inputs import PUBLISHED, SHARED, build_source, find_spelling, needs_shared

from galaxy_tasks.acquisition.catalogue import plan_catalogue
from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.acquisition.tables import read_table_header
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.schema import VoteScheme


def write_header(folder: Path, name: str, header: list[str]) -> RunConfig:
    (folder / "header.csv").write_text(",".join(header) + "\n")
    return RunConfig(release=name, source=str(folder), catalogue_file="header.csv")


def plan(config: RunConfig) -> dict[str, str]:
    return plan_catalogue(config, Path(config.source, config.catalogue_file)).columns


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_release_knows_the_published_answers_and_no_other(name):
    assert [sorted(tree) for tree in RELEASES[name].trees] == [sorted(one) for one in TREES[name]]
    release = RELEASES[name]
    fractions = [c for c in HEADERS[name] if c.endswith(release.fraction_suffixes)]
    answers = {release.find_answer(column) for column in fractions}
    assert set(release.trees[0].values()) <= answers


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_column_that_a_release_asks_for_is_published(tmp_path, name):
    columns = plan(write_header(tmp_path, name, HEADERS[name]))
    assert set(columns.values()) <= set(HEADERS[name])
    assert {"galaxy_id", "ra", "dec"} - columns.keys() <= (
        {"ra", "dec"} if name == "galaxy_zoo_challenge" else set()
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_header_in_other_case_and_order_with_more_columns_is_read(tmp_path, name):
    header = ["note", *(column.upper() for column in reversed(HEADERS[name]))]
    columns = plan(write_header(tmp_path, name, header))
    assert {own.upper() for own in columns.values()} == set(columns.values())


def test_both_tables_of_decals_and_its_schemas_names_are_read(tmp_path):
    header = list_decals(MODERN)
    assert plan(write_header(tmp_path, "galaxy_zoo_decals", header))[
        "how-rounded_round_fraction"
    ] == ("how-rounded_round_fraction")
    header = [column.removesuffix("-votes") for column in HEADERS["galaxy_zoo_decals"]]
    columns = plan(write_header(tmp_path, "galaxy_zoo_decals", header))
    assert columns["how-rounded_round_fraction"] == "how-rounded_completely_fraction"
    assert columns["disk-edge-on_total-votes"] == "disk-edge-on_total"


@pytest.mark.parametrize("spelling", ["gz2class", "gz2_class", "GZ2_CLASS"])
@pytest.mark.parametrize("name", ["galaxy_zoo_2", "galaxy_zoo_2_main"])
def test_the_shorthand_column_is_found_in_every_known_spelling(tmp_path, name, spelling):
    config = write_header(tmp_path, name, ["dr7objid", spelling])
    assert plan(config.model_copy(update={"scheme": "gz2_class"}))["gz2_class"] == spelling


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_renamed_column_is_refused_with_what_is_missing_and_what_is_nearest(tmp_path, name):
    scheme = RELEASES[name].schemes["clean5"]
    assert isinstance(scheme, VoteScheme)
    lost = find_spelling(RELEASES[name], HEADERS[name], scheme.fraction_columns[-1])
    header = [f"{column}s" if column == lost else column for column in HEADERS[name]]
    config = write_header(tmp_path, name, header)
    with pytest.raises(InputError, match=r"lacks 1 column\(s\)\. Expected: ") as caught:
        plan(config)
    message = str(caught.value)
    assert lost in message.partition("Found: ")[0]
    assert f"Nearest to what is missing: {lost}s for {lost}" in message


def test_another_releases_header_is_refused_without_a_guess(tmp_path):
    config = write_header(tmp_path, "galaxy_zoo_desi", HEADERS["galaxy_zoo_1"])
    with pytest.raises(InputError, match=r"lacks 9 column\(s\)\. Expected: dr8_id, ") as caught:
        plan(config)
    assert "Nearest" not in str(caught.value)


def test_the_columns_that_make_an_images_name_are_asked_for_before_spark_starts(tmp_path):
    config = build_source(tmp_path, "galaxy_zoo_euclid", galaxies=5, table="t.csv")
    table = pd.read_csv(tmp_path / config.catalogue_file).drop(columns="tile_index")
    table.to_csv(tmp_path / config.catalogue_file, index=False)
    with pytest.raises(InputError, match=r"lacks 1 column\(s\)\. Expected: tile_index"):
        locate_release(config)


def list_official_columns(file: str) -> list[str]:
    """Return the first words of a description's lines, from the line that begins the table."""
    lines = (SHARED / file).read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.split()[:1] in (["name"], ["Name"]))
    return [line.split()[0] for line in lines[start + 1 :] if line.split() and line[0] != "-"]


@needs_shared
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("galaxy_zoo_2", "columns_gz2_hart16.txt"),
        ("galaxy_zoo_2_main", "columns_zoo2MainSpecz.txt"),
        ("galaxy_zoo_hubble", "columns_gz_hubble_main.tsv"),
        ("galaxy_zoo_candels", "columns_gz_candels_table2.txt"),
    ],
)
def test_the_official_description_has_every_column_that_we_know(tmp_path, name, file):
    official = list_official_columns(file)
    # The description says gz2class where the published header says gz2_class.
    expected = ["gz2class" if column == "gz2_class" else column for column in HEADERS[name]]
    assert set(expected) - set(official) == set()
    plan(write_header(tmp_path, name, official))
    # And the vocabulary knows every column of votes that the description has.
    release = RELEASES[name]
    fractions = [c for c in official if c.endswith(release.fraction_suffixes)]
    assert [c for c in fractions if release.find_answer(c) is None] == []
    assert len(fractions) >= 100


@needs_shared
def test_the_real_catalogue_is_planned_by_its_real_header():
    catalogue = SHARED / "gz2_catalogue_288rows.csv"
    config = RunConfig(release="galaxy_zoo_2", source="x", minimum_votes=20)
    columns = plan_catalogue(config, catalogue).columns
    assert len(columns) == 3 + 8 + 10  # id and position, fractions, counts
    assert set(GZ2_COLUMNS) <= set(read_table_header(catalogue).columns)
