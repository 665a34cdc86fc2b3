"""What one run has had in the test, later runs have there, too, and each finds its labels again."""

import numpy as np
import pandas as pd
import pytest
from fixtures.combining_inputs import ARCSEC, draw_galaxies, write_release

from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels.holdout import (
    COLUMNS,
    find_kept,
    find_labels,
    name_published_ids,
    read_holdout,
)
from galaxy_tasks.pipeline.clean_labels import clean_labels
from galaxy_tasks.pipeline.preprocess_images import preprocess_images
from galaxy_tasks.storage import artifacts


def clean(spark, config):
    return clean_labels(config, locate_release(config), spark=spark)


def read_test(artifact) -> set[str]:
    labels = pd.read_parquet(artifact.path / "labels.parquet")
    return set(labels.loc[labels["split"] == "test", "galaxy_id"])


def class_table(source, **settings) -> RunConfig:
    return RunConfig(release="class_table", source=str(source), **settings)


@pytest.fixture(scope="module")
def runs(spark, tmp_path_factory):
    """A release without positions; the same images with positions and other ids, thrice."""
    folder = tmp_path_factory.mktemp("earlier")
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
            "ignoring": class_table(second, holdout="ignore"),
            "second": class_table(second),
            "third": class_table(third),
        }
        made = {}
        for name in ("first", "second", "ignoring", "third"):
            made[name] = clean(spark, configs[name])
        yield configs, made


def test_what_was_in_the_test_by_its_id_stays_there_when_it_gets_a_position(runs):
    first, second, alone = (read_test(runs[1][name]) for name in ("first", "second", "ignoring"))
    kept = {f"new{name}" for name in first}
    assert kept - alone  # by their places alone they would be elsewhere
    assert second == alone | kept
    summary = runs[1]["second"].manifest["summary"]["test_set"]
    assert summary["kept_from_earlier"] == len(kept - alone)
    assert runs[1]["first"].manifest["summary"]["test_set"]["kept_from_earlier"] == 0


def test_what_was_in_the_test_by_its_cell_stays_there_across_the_border_of_a_cell(runs):
    second, third = (read_test(runs[1][name]) for name in ("second", "third"))
    assert {name.replace("new", "far") for name in second} < third


def test_the_key_tells_what_was_kept_and_nothing_where_nothing_was(runs):
    manifests = {name: artifact.manifest for name, artifact in runs[1].items()}
    digests = {name: one["made_from"]["kept_in_test"] for name, one in manifests.items()}
    assert digests["first"] == digests["ignoring"] == ""
    assert len(digests["second"]) == len(digests["third"]) == 16
    for artifact in runs[1].values():
        assert artifacts.key_of(artifact.manifest["made_from"]) == artifact.key


def test_each_run_again_finds_its_labels_whatever_was_published_since(spark, runs, capsys):
    configs, made = runs
    for name, config in configs.items():
        assert find_labels(config, locate_release(config)) == made[name]
        assert clean(spark, config) == made[name]
        assert capsys.readouterr().out == f"Labels are there already: {made[name].path}\n"
    assert not list((artifacts.home() / "labels").glob(".draft-*"))


def test_the_next_step_finds_labels_that_keep_a_test(runs):
    """As far as it gets: these images are none."""
    config = runs[0]["second"].model_copy(update={"image_workers": 1})
    files = locate_release(config).as_dict()
    with pytest.raises(InputError, match=r"Too many images are refused: 100\.00%"):
        preprocess_images(config.model_dump(mode="json"), files)


def test_other_settings_keep_the_test_and_say_how_much_of_it(spark, runs, capsys):
    config = runs[0]["first"].model_copy(update={"seed": 7})
    artifact = clean(spark, config)
    before = read_test(runs[1]["first"])
    assert before < read_test(artifact)
    count = artifact.manifest["summary"]["test_set"]["kept_from_earlier"]
    assert count == len(read_test(artifact) - before) > 0
    assert f"Kept in the test: {count:,} galaxies" in capsys.readouterr().out


def test_damaged_and_older_labels_are_passed_over(runs, capsys):
    whole = read_holdout()
    assert list(whole.columns) == list(COLUMNS)
    assert set(whole["published_id"]) == {""}
    path = runs[1]["third"].path / "labels.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:100])
    try:
        assert len(read_holdout()) < len(whole)
        assert "is not known again" in capsys.readouterr().out
        manifest = runs[1]["third"].path / "manifest.json"
        text = manifest.read_text()
        manifest.write_text(text[:100])
        read_holdout()
        assert "its manifest is damaged" in capsys.readouterr().out
        manifest.write_text(text)
    finally:
        path.write_bytes(content)
    labels = pd.read_parquet(path).drop(columns="image_print")  # as before this was recorded
    labels.to_parquet(path)
    assert len(read_holdout()) == len(whole)
    path.write_bytes(content)


def test_without_any_earlier_run_there_is_nothing_to_keep(tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    assert list(read_holdout().columns) == list(COLUMNS)
    assert read_holdout().empty


def table(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"ra_degrees": float})


def test_a_galaxy_is_known_again_by_place_image_or_the_id_of_a_published_release():
    earlier = table(
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
    found = find_kept(galaxies, earlier, radius_arcsec=2.0)
    assert found.tolist() == [True, False, True, True, False, False]


def test_ids_of_anybodys_table_name_nothing():
    releases = [
        {"release": "galaxy_zoo_2", "id_column": ""},
        {"release": "class_table", "id_column": "objid"},
    ]
    assert name_published_ids([("7", 0), ("7", 1)], releases) == ["galaxy_zoo_2  7", ""]
