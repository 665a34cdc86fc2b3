"""What one run has in the test, later runs have there, too."""

import numpy as np
import pandas as pd
import pytest
from fixtures.combining_inputs import ARCSEC, draw_galaxies, write_release
from typer.testing import CliRunner

from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.cli.holdout import holdout_app
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels.holdout import (
    COLUMNS,
    extend_holdout,
    find_held,
    forget_entry,
    list_entries,
    name_published_ids,
    read_holdout,
)
from galaxy_tasks.pipeline.clean_labels import clean_labels
from galaxy_tasks.pipeline.preprocess_images import preprocess_images
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.latest_holdout import find_latest_holdout


def clean(spark, config, holdout):
    return clean_labels(config, locate_release(config), holdout=holdout, spark=spark)


def read_test(artifact) -> set[str]:
    labels = pd.read_parquet(artifact.path / "labels.parquet")
    return set(labels.loc[labels["split"] == "test", "galaxy_id"])


def class_table(source, **settings) -> RunConfig:
    return RunConfig(release="class_table", source=str(source), **settings)


@pytest.fixture(scope="module")
def runs(spark, tmp_path_factory):
    """A release without positions; the same images with positions and other ids, thrice."""
    folder = tmp_path_factory.mktemp("holdout")
    rows = draw_galaxies(1000)
    rows["image"] = [f"image {name}".encode() for name in rows["id"]]
    first = write_release(folder / "first", rows.assign(ra=np.nan, dec=np.nan))
    second = write_release(folder / "second", rows.assign(id="new" + rows["id"]))
    # Two arcseconds further north is another row of cells; neither id nor image is the same.
    third = rows.assign(id="far" + rows["id"], dec=rows["dec"] + 1.9 * ARCSEC)
    third = write_release(folder / "third", third.drop(columns="image"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GALAXY_HOME", str(folder / "runs"))
        configs = {
            "first": class_table(first),
            "second": class_table(second),
            "ignoring": class_table(second, holdout="ignore"),
            "third": class_table(third),
        }
        holdouts, made = {}, {}
        for name, config in configs.items():
            holdouts[name] = find_latest_holdout()
            made[name] = clean(spark, config, holdouts[name])
        yield configs, holdouts, made


def test_what_was_in_the_test_by_its_id_stays_there_when_it_gets_a_position(runs):
    made = runs[2]
    first, second, alone = (read_test(made[name]) for name in ("first", "second", "ignoring"))
    held = {f"new{name}" for name in first}
    assert held - alone  # by their positions alone they would be elsewhere
    assert second == alone | held
    assert made["second"].manifest["summary"]["test_set"]["from_holdout"] == len(held - alone)
    assert made["first"].manifest["summary"]["test_set"]["from_holdout"] == 0


def test_what_was_in_the_test_by_its_cell_stays_there_across_the_border_of_a_cell(runs):
    second, third = (read_test(runs[2][name]) for name in ("second", "third"))
    assert {name.replace("new", "far") for name in second} < third


def test_labels_name_the_holdout_that_they_were_made_with(runs):
    _, holdouts, made = runs
    named = {name: labels.manifest["made_from"]["holdout"] for name, labels in made.items()}
    assert holdouts["first"] is None
    assert named["first"] is named["ignoring"] is None
    assert named["second"] == holdouts["second"].key != named["third"] == holdouts["third"].key


def test_each_holdout_extends_the_one_before_and_the_latest_has_all_test_galaxies(runs):
    latest = read_holdout(find_latest_holdout())
    before = read_holdout(runs[1]["third"])
    assert len(before.merge(latest, on=list(COLUMNS))) == len(before) < len(latest)
    assert not list((artifacts.home() / "holdouts").glob(".draft-*"))


def test_a_step_that_is_repeated_finds_its_labels_and_adds_no_holdout(spark, runs):
    configs, holdouts, made = runs
    latest = find_latest_holdout()
    for name, config in configs.items():
        assert clean(spark, config, holdouts[name]) == made[name]
    assert find_latest_holdout() == latest
    assert extend_holdout(made["first"], configs["first"]) == latest


def test_labels_that_come_out_alike_with_a_later_holdout_have_the_same_content(spark, runs):
    configs, _, made = runs
    again = clean(spark, configs["third"], find_latest_holdout())
    assert again.key != made["third"].key
    contents = [labels.manifest["summary"]["content"] for labels in (again, made["third"])]
    assert contents[0] == contents[1]
    others = {labels.manifest["summary"]["content"] for labels in made.values()}
    assert len(others) == 4


def test_other_settings_keep_the_test_and_log_how_much_of_it(spark, runs, caplog):
    config = runs[0]["first"].model_copy(update={"split_seed": 7})
    artifact = clean(spark, config, find_latest_holdout())
    before = read_test(runs[2]["first"])
    assert before < read_test(artifact)
    count = artifact.manifest["summary"]["test_set"]["from_holdout"]
    assert count == len(read_test(artifact) - before) > 0
    assert f"Kept in the test: {count:,} galaxies" in caplog.text


def test_the_next_step_takes_the_labels_that_it_is_given(runs):
    """As far as it gets: these images are none."""
    configs, _, made = runs
    config = configs["second"].model_copy(update={"image_workers": 1})
    files = locate_release(config).as_dict()
    with pytest.raises(InputError, match=r"Too many images are refused: 100\.00%"):
        preprocess_images(
            config.model_dump(mode="json"), files, labels=made["second"].as_reference()
        )


def test_a_run_leaves_a_trace_only_where_it_joins(spark, runs, tmp_path, monkeypatch, caplog):
    source = runs[0]["first"].source
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    for holdout, says in (("ignore", "The holdout is ignored"), ("respect", "Bound by the")):
        clean(spark, class_table(source, holdout=holdout), None)
        assert says in caplog.text
        assert find_latest_holdout() is None
        assert list_entries() == {}


def test_what_a_run_added_can_be_forgotten(spark, runs, tmp_path, monkeypatch):
    """A trial with half of all galaxies after a usual run: forgetting it restores the holdout."""
    source = runs[0]["first"].source
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    clean(spark, class_table(source), None)
    before = find_latest_holdout()
    clean(spark, class_table(source, test_fraction=0.5), before)
    first, trial = list_entries()
    assert len(read_holdout(find_latest_holdout())) > 1.5 * len(read_holdout(before))
    asked = CliRunner().invoke(holdout_app, ["forget", trial], input="n\n")
    assert asked.exit_code == 1
    assert list(list_entries()) == [first, trial]
    assert trial in CliRunner().invoke(holdout_app, ["list"]).stdout
    assert CliRunner().invoke(holdout_app, ["forget", trial, "--yes"]).exit_code == 0
    assert find_latest_holdout() == before
    with pytest.raises(InputError, match=f"no entry '{trial}'. Its entries: {first}"):
        forget_entry(trial)
    forget_entry(first)
    assert find_latest_holdout() is None


def test_simulated_galaxies_are_never_held_out(runs):
    latest = find_latest_holdout()
    assert extend_holdout(runs[2]["first"], RunConfig()) == latest


def test_before_the_first_run_nothing_is_held_out(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    assert find_latest_holdout() is None
    assert list(read_holdout(None).columns) == list(COLUMNS)
    assert read_holdout(None).empty


def table(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"ra_degrees": float})


def test_a_galaxy_is_identified_by_position_image_or_the_id_of_a_published_release():
    holdout = table(
        ("", 10.0, 0.0, ""),
        ("", 20.0, 0.0, ""),
        ("", np.nan, np.nan, "5:abc"),
        ("galaxy_zoo_2  7", np.nan, np.nan, ""),
    )
    galaxies = table(
        ("", 10.0, 1.9 * ARCSEC, ""),
        ("", 20.0, 2.1 * ARCSEC, ""),
        ("", np.nan, np.nan, "5:abc"),
        ("galaxy_zoo_2  7", 200.0, 1.0, "6:abc"),
        ("galaxy_zoo_1  7", 200.0, 2.0, ""),
        ("", np.nan, np.nan, ""),
    )
    found = find_held(galaxies, holdout, radius_arcsec=2.0)
    assert found.tolist() == [True, False, True, True, False, False]


def test_ids_of_a_table_of_ones_own_name_nothing():
    releases = [
        RunConfig(release="galaxy_zoo_2", source="a"),
        RunConfig(release="class_table", source="b", id_column="objid"),
    ]
    assert name_published_ids([("7", 0), ("7", 1)], releases) == ["galaxy_zoo_2  7", ""]
