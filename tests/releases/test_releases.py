"""A release is found on disk by its own names, or what is missing is told."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.class_table_inputs import class_table, write_release

from galaxy_tasks.acquisition.catalogue import plan_catalogue
from galaxy_tasks.acquisition.image_folder import list_images
from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases.catalogues.galaxy_zoo_2 import GALAXY_ZOO_2

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the real data in {SHARED}")


@needs_shared
@pytest.mark.parametrize(
    ("name", "catalogue", "images"),
    [
        ("galaxy_zoo_challenge", "training_classes.csv", "images_training_rev1"),
        ("galaxy_zoo_1", "labels.csv", "images"),
    ],
)
def test_class_tables_of_the_real_data_are_found_by_their_folder(name, catalogue, images):
    found = locate_release(class_table(SHARED / name))
    assert Path(found.catalogue).relative_to(SHARED / name) == Path(catalogue)
    assert Path(found.images).relative_to(SHARED / name) == Path(images)
    assert found.mapping == ""


@needs_shared
def test_columns_of_the_real_catalogue_are_found_in_their_other_spelling():
    catalogue = SHARED / "catalogues" / "gz2_catalogue_288rows.csv"
    config = RunConfig(release="galaxy_zoo_2", source="x", scheme="gz2_class")
    assert plan_catalogue(config, catalogue).columns == {
        "galaxy_id": "OBJID",
        "ra": "ra",
        "dec": "dec",
        "gz2_class": "GZ2_CLASS",
    }


def test_both_spellings_of_the_shorthand_column_are_read(tmp_path):
    config = RunConfig(release="galaxy_zoo_2", source="x", scheme="gz2_class")
    for spelling in ("gz2_class", "gz2class"):
        (tmp_path / "t.csv").write_text(f"dr7objid,{spelling}\n")
        columns = plan_catalogue(config, tmp_path / "t.csv").columns
        assert columns == {"galaxy_id": "dr7objid", "gz2_class": spelling}


def test_vote_counts_are_needed_only_for_a_minimum(tmp_path):
    fractions = [c for c in GALAXY_ZOO_2.schemes["clean5"].fraction_columns]
    (tmp_path / "t.csv").write_text(",".join(["dr7objid", *fractions]) + "\n")
    config = RunConfig(release="galaxy_zoo_2", source="x", minimum_votes=0)
    assert len(plan_catalogue(config, tmp_path / "t.csv").columns) == 1 + len(fractions)
    with pytest.raises(InputError, match="a01_smooth_count"):
        plan_catalogue(RunConfig(release="galaxy_zoo_2", source="x"), tmp_path / "t.csv")


def test_galaxy_zoo_2_is_located_with_its_mapping(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "7.jpg").write_bytes(b"x")
    (tmp_path / "gz2_filename_mapping.csv").write_text("objid,sample,asset_id\n1,original,7\n")
    (tmp_path / "gz2_hart16.csv.gz").write_bytes(gzip.compress(b"dr7objid,gz2_class\n1,Er\n"))
    config = RunConfig(release="galaxy_zoo_2", source=str(tmp_path), scheme="gz2_class")
    found = locate_release(config)
    assert Path(found.catalogue).name == "gz2_hart16.csv.gz"
    assert Path(found.mapping).name == "gz2_filename_mapping.csv"


def test_content_changes_with_a_row_and_with_an_image_but_not_with_the_place(tmp_path):
    first = locate_release(class_table(write_release(tmp_path / "a")))
    second = locate_release(class_table(write_release(tmp_path / "b")))
    assert first.content == second.content
    (tmp_path / "a" / "pictures" / "1.jpg").write_bytes(b"other size")
    (tmp_path / "b" / "labels.csv").write_text("id,class\n1,edge_on\n")
    contents = {locate_release(class_table(tmp_path / name)).content for name in "ab"}
    assert len(contents | {first.content}) == 3


def test_all_names_of_a_class_table_are_settings(tmp_path):
    folder = write_release(tmp_path / "s", table="mine.csv", header="name,kind")
    (folder / "empty").mkdir()
    (folder / "pictures" / "x_1_y.png").write_bytes(b"x")
    config = class_table(
        folder,
        catalogue_file="mine.csv",
        images_folder="pictures",
        id_column="name",
        class_column="kind",
        image_name_pattern="x_{id}_y.png",
    )
    found = locate_release(config)
    plan = plan_catalogue(config, Path(found.catalogue))
    assert plan.columns == {"galaxy_id": "name", "kind": "kind"}
    listing = list_images(Path(found.images))
    assert listing.find_by_id(plan.release.image_name_pattern) == {"1": "x_1_y.png"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"catalogue_file": "no.csv"}, r"no\.csv does not exist. Found: labels\.csv, pictures/"),
        ({"images_folder": "no"}, "lacks the image folder no"),
        ({"id_column": "no"}, "Expected: no. Found: id, class"),
        ({"class_column": "no"}, "Expected: no. Found: id, class"),
        (
            {"image_name_pattern": "{id}.tif"},
            r"No image is named like '\{id\}\.tif'.*Images: 1\.jpg",
        ),
        ({"image_name_pattern": "x.jpg"}, r"must hold '\{id\}' once"),
        ({"catalogue_file": "pictures/1.jpg"}, "must end in one of .csv"),
    ],
)
def test_what_is_missing_is_named_beside_what_is_there(tmp_path, settings, message):
    folder = write_release(tmp_path / "s")
    with pytest.raises(InputError, match=message):
        locate_release(class_table(folder, **settings))


def test_a_release_names_the_files_it_looked_for(tmp_path):
    (tmp_path / "other.csv").touch()
    config = RunConfig(release="galaxy_zoo_challenge", source=str(tmp_path))
    with pytest.raises(
        InputError, match=r"Looked for: training_solutions_rev1\.csv.*Found: other\.csv"
    ):
        locate_release(config)


def test_a_scheme_that_the_votes_do_not_allow_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("GalaxyID\n")
    config = RunConfig(release="galaxy_zoo_challenge", source="x", scheme="gz2_class")
    with pytest.raises(InputError, match="Set 'scheme' to one of: clean5"):
        plan_catalogue(config, tmp_path / "t.csv")


def test_several_class_tables_are_listed(tmp_path):
    folder = write_release(tmp_path / "s")
    (folder / "more.csv").write_text("id,class\n")
    (folder / "votes.csv").write_text("id,votes\n")
    with pytest.raises(InputError, match=r"several tables.*Found: labels\.csv, more\.csv"):
        locate_release(class_table(folder))


def test_several_image_folders_are_listed(tmp_path):
    folder = write_release(tmp_path / "s")
    (folder / "more").mkdir()
    (folder / "more" / "1.jpg").touch()
    with pytest.raises(InputError, match="Found with images: more, pictures"):
        locate_release(class_table(folder))


def test_a_truncated_gzip_file_is_found_before_spark_starts(tmp_path):
    folder = write_release(tmp_path / "s")
    (folder / "labels.csv").unlink()
    rows = "".join(f"{number},spiral\n" for number in range(50_000))
    packed = gzip.compress(f"id,class\n{rows}".encode())
    (folder / "labels.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"labels\.csv\.gz is a damaged or truncated gzip"):
        locate_release(class_table(folder))


def test_floating_point_ids_of_parquet_are_refused(tmp_path):
    table = pa.table({"id": [587722981741363294.0], "class": ["spiral"]})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match="cannot represent ids of 18 digits"):
        plan_catalogue(class_table(tmp_path), tmp_path / "t.parquet")
