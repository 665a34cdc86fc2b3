"""Ids meet their images, or the error says why none does."""

from pathlib import Path

import pytest
from fixtures.class_table_inputs import class_table

from galaxy_tasks.acquisition.id_matching import find_images
from galaxy_tasks.acquisition.image_folder import ImageListing
from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError

FIRST = 587722981741363294
IDS = [str(FIRST + number) for number in range(3)]


def write_source(folder, *, images, rows, header="id,class"):
    (folder / "images").mkdir()
    for name in images:
        (folder / "images" / f"{name}.jpg").write_bytes(name.encode())
    (folder / "t.csv").write_text("\n".join([header, *(f"{row},spiral" for row in rows)]))
    return class_table(folder)


@pytest.mark.parametrize(
    ("images", "rows", "reason"),
    [
        (IDS, [f"{float(each):.5E}" for each in IDS], "been through floating point"),
        (IDS, [*(f"{float(each):.5E}" for each in IDS), "12"], "been through floating point"),
        (IDS, [each[:15] + "000" for each in IDS], "had kept their first 15 digits"),
        (["000123", "000124"], ["123", "124"], "differ in leading zeros"),
        (["NGC7", "NGC8"], ["ngc7", "ngc8"], "upper and lower case"),
        (["J12+34", "J12+35"], ["J12_34", "J12_35"], "punctuation"),
        (["gz_123_r", "gz_124_r"], ["123", "124"], r"'image_name_pattern' to 'gz_\{id\}_r\.jpg'"),
        (["123", "124"], ["x", "y"], "ids and the images of one release"),
        # Parts of long ids by chance: '12{id}67' is no pattern.
        (["123467", "124567", "129967"], [*"abc", "34", "45"], "ids and the images of one"),
    ],
)
def test_ids_that_meet_no_image_are_shown_beside_images_with_the_reason(
    tmp_path, images, rows, reason
):
    config = write_source(tmp_path, images=images, rows=rows)
    with pytest.raises(InputError, match=reason) as caught:
        locate_release(config)
    message = str(caught.value)
    assert all(repr(each) in message for each in rows[:3])
    assert all(f"{each}.jpg" in message for each in images[:3])


def test_the_column_that_names_images_is_named_where_another_was_read(tmp_path):
    rows = [f"{number},{each}" for number, each in enumerate(IDS)]
    config = write_source(tmp_path, images=IDS, rows=rows, header="id,objid,class")
    with pytest.raises(InputError, match="Column 'objid' has names of images: set 'id_column'"):
        locate_release(config)


@pytest.mark.parametrize("form", ["{}.jpg", "images/{}.jpg", "'{}", "{}.0"])
def test_what_is_certainly_no_part_of_an_id_is_left_out(tmp_path, form):
    config = write_source(tmp_path, images=["123", "124"], rows=[form.format(n) for n in (123, 9)])
    assert locate_release(config).images == str(tmp_path / "images")


def test_of_two_folders_the_one_with_the_ids_is_taken(tmp_path, caplog):
    config = write_source(tmp_path, images=["123", "124"], rows=["123", "124"])
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "histogram.png").write_bytes(b"a plot")
    caplog.set_level("INFO")
    assert locate_release(config).images == str(tmp_path / "images")
    assert "Of images, plots only images has images of the catalogue's ids." in caplog.messages
    (tmp_path / "plots" / "123.jpg").write_bytes(b"small")
    with pytest.raises(InputError, match="Found with images: images, plots"):
        locate_release(config)


def test_a_mapping_that_leads_to_no_image_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "000007.jpg").write_bytes(b"an image")
    (tmp_path / "gz2_hart16.csv").write_text("dr7objid,gz2_class\n1,Er\n")
    (tmp_path / "gz2_filename_mapping.csv").write_text("objid,sample,asset_id\n1,original,7\n")
    config = RunConfig(release="galaxy_zoo_2", source=str(tmp_path), scheme="gz2_class")
    with pytest.raises(InputError, match=r"'asset_id' .*mapping\.csv .*leading zeros"):
        locate_release(config)
    (tmp_path / "images" / "7.jpg").write_bytes(b"an image")
    assert locate_release(config).images == str(tmp_path / "images")


def test_of_images_whose_ids_come_out_alike_the_one_of_that_name_is_used(caplog):
    names = ["123.0.jpg", "123.jpg", "124.jpg"]
    listing = ImageListing(root=Path("images"), images={name: name for name in names})
    assert find_images(listing, "") == {"123": "123.jpg", "124": "124.jpg"}
    assert "123.jpg and 123.0.jpg" in caplog.text


def test_the_home_of_somebody_unknown_is_named(tmp_path):
    config = RunConfig(release="class_table", source="~nobody-of-this-name/galaxies")
    with pytest.raises(InputError, match="home of an unknown user: ~nobody-of-this-name"):
        locate_release(config)
