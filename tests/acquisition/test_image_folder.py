"""Every file of a folder or a zip is an image, known to be none, or refused with a reason."""

import os
import zipfile
from pathlib import Path

import pytest
from fixtures.class_table_inputs import class_table, write_release

from galaxy_tasks.acquisition.image_folder import list_images
from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.acquisition.prediction_table import name_columns
from galaxy_tasks.errors import InputError
from galaxy_tasks.storage import artifacts

IMAGES = ("1.jpg", "2.JPEG", "J000/3.png", "J001/deep/4.jpg")
OTHERS = (
    *(".DS_Store", "J000/.DS_Store", "J000/Thumbs.db", "desktop.ini", "._1.jpg", "notes.txt"),
    *("classes.csv", "votes.parquet", "SHA256SUMS", "1.jpg.md5", "README", "all.zip"),
)
HIDDEN_FOLDERS = ("__MACOSX/._1.jpg", ".thumbnails/1.jpg", "J000/@eaDir/3.jpg")
UNKNOWN = ("5.gif", "J000/noise")


def write_files(root: Path, paths=(*IMAGES, *OTHERS, *HIDDEN_FOLDERS, *UNKNOWN)) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


def pack(folder: Path) -> Path:
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*")):
            opened.write(path, path.relative_to(folder))
    return archive


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_every_file_is_accounted_for_by_the_same_rules(tmp_path, kind):
    folder = write_files(tmp_path / "images")
    listing = list_images(folder if kind == "folder" else pack(folder))
    assert sorted(listing.images) == ["1.jpg", "2.JPEG", "3.png", "4.jpg"]
    assert sorted(listing.refused) == sorted(UNKNOWN)
    assert "ends in none of .jpg, .jpeg, .png, .tif, .tiff, .webp" in listing.refused["5.gif"]
    unread = {"folder": ("__MACOSX/", ".thumbnails/", "J000/@eaDir/"), "zip": HIDDEN_FOLDERS}
    assert sorted(listing.ignored) == sorted([*OTHERS, *unread[kind]])
    assert listing.find_by_id() == {name.split(".")[0]: name for name in listing.images}
    assert listing.find_by_id("{id}.jpg") == {"1": "1.jpg", "4": "4.jpg"}


def test_of_images_of_one_id_the_jpeg_goes_before_the_png(tmp_path):
    names = ("3.png", "3.jpg", "1.jpeg", "2.PNG", "2.webp")
    expected = {"1": "1.jpeg", "2": "2.PNG", "3": "3.jpg"}
    assert list_images(write_files(tmp_path, names)).find_by_id() == expected


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_two_images_of_one_name_are_refused_by_naming_both(tmp_path, kind):
    folder = write_files(tmp_path / "cutouts", ("1.jpg", "2.jpg", "small/1.jpg", "small/2.jpg"))
    with pytest.raises(InputError, match=r"name: 1\.jpg and small/1\.jpg and 1 more such images"):
        list_images(folder if kind == "folder" else pack(folder))


ALIKE = [("A1.jpg", "low/a1.jpg"), ("1.jpg", "low/1.JPG"), ("a/\u00e9.jpg", "b/e\u0301.jpg")]


@pytest.mark.parametrize("names", ALIKE)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_names_that_a_mac_takes_for_one_are_two_images_of_one_name(tmp_path, kind, names):
    folder = write_files(tmp_path / "cutouts", names)
    with pytest.raises(InputError, match=f"one name: {names[0]} and {names[1]}"):
        list_images(folder if kind == "folder" else pack(folder))


def test_names_in_a_zip_are_read_as_macs_and_old_programs_write_them(tmp_path):
    archive = tmp_path / "mac.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("e\u0301toile.jpg", b"x")
        opened.writestr("b\u00fche.jpg", b"x")
    data = archive.read_bytes()
    for place in (6, 8):  # the flag for UTF-8, in each file's own header and in the directory
        start = b"PK\3\4" if place == 6 else b"PK\1\2"
        for part in data.split(start)[1:]:
            assert part[place - 3] & 8
            data = data.replace(part, part[: place - 3] + b"\0" + part[place - 2 :])
    data = data.replace("b\u00fche".encode(), b"b\x81he.")  # of one length: cp437, and a dot
    archive.write_bytes(data)
    assert sorted(list_images(archive).find_by_id()) == ["b\u00fche.", "\u00e9toile"]


def test_linked_folders_and_files_are_followed_and_loops_are_not(tmp_path):
    elsewhere = write_files(tmp_path / "disk2", ("7.jpg", "deep/8.jpg"))
    folder = write_files(tmp_path / "images", ("near/1.jpg",))
    (folder / "survey").symlink_to(elsewhere)
    (folder / "again").symlink_to(folder / "near")
    (folder / "near" / "up").symlink_to(folder)
    (folder / "9.jpg").symlink_to(elsewhere / "7.jpg")
    (folder / "10.jpg").symlink_to(tmp_path / "gone.jpg")
    (folder / "11.jpg").symlink_to("11.jpg")
    os.mkfifo(folder / "12.jpg")
    listing = list_images(folder)
    assert sorted(listing.images) == ["1.jpg", "7.jpg", "8.jpg", "9.jpg"]
    assert len(listing.ignored) == 2  # the second way to `near`, and the way up
    assert sorted(listing.refused) == ["10.jpg", "11.jpg", "12.jpg"]
    assert listing.refused["10.jpg"] == "a link to nothing"
    assert listing.refused["12.jpg"] == "not a regular file"


def test_results_of_this_project_are_no_images_of_a_release(tmp_path, monkeypatch):
    source = write_files(tmp_path / "source", ("1.jpg", "runs/releases/0a/images/2.jpg"))
    monkeypatch.setenv("GALAXY_HOME", str(source / "runs"))
    listing = list_images(source)
    assert (list(listing.images), listing.ignored) == (["1.jpg"], ("runs/",))
    assert list(list_images(source / "runs").images) == ["2.jpg"]


def test_what_another_home_published_is_no_part_of_a_source(tmp_path, monkeypatch):
    source = write_files(tmp_path / "source", ("1.jpg", "mine/2.jpg", "mine/manifest.json"))
    monkeypatch.setenv("GALAXY_HOME", str(source / "old"))
    with artifacts.open_draft("releases", {"seed": 1}) as draft:
        write_files(draft.path, ("images/1.jpg",))
        published = draft.publish({}).path
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path / "runs"))
    listing = list_images(source)
    assert sorted(listing.images) == ["1.jpg", "2.jpg"]
    assert f"{published.relative_to(source)}/" in listing.ignored


def test_the_table_that_predict_wrote_is_no_catalogue(tmp_path, caplog):
    source = write_release(tmp_path / "source")
    catalogue = locate_release(class_table(source)).catalogue
    for name in ("classes.csv", "classes2.csv"):
        header = ",".join(name_columns(["spiral", "round"]))
        (source / name).write_text(f"{header}\n1,1.jpg,spiral,0.9,0.1,class_table,\n")
    assert locate_release(class_table(source)).catalogue == catalogue
    assert any("predict` wrote it: classes.csv, classes2.csv" in m for m in caplog.messages)
    named = locate_release(class_table(source, catalogue_file="classes.csv"))
    assert named.catalogue == str(source / "classes.csv")


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no readable folder or zip: No such file"):
        list_images(tmp_path / "none")


def test_only_images_make_the_content_whatever_folders_they_are_in(tmp_path):
    source = write_release(tmp_path / "source")
    content = locate_release(class_table(source)).content
    for name in ("notes.txt", ".DS_Store", "more.csv", "odd.gif"):
        (source / "pictures" / name).write_text("x")
    (source / "__MACOSX").mkdir()
    (source / "__MACOSX" / "._1.jpg").write_bytes(b"x")
    assert locate_release(class_table(source)).content == content
    (source / "pictures" / "nested").mkdir()
    (source / "pictures" / "1.jpg").rename(source / "pictures" / "nested" / "1.jpg")
    assert locate_release(class_table(source)).content == content
    (source / "pictures" / "2.jpg").write_bytes(b"two")
    assert locate_release(class_table(source)).content != content


def test_images_beside_the_table_include_those_of_the_folders_there(tmp_path):
    source = write_release(tmp_path / "source")
    (source / "2.jpg").write_bytes(b"two")
    assert locate_release(class_table(source)).images == str(source)
    (source / "1.jpg").write_bytes(b"small")
    with pytest.raises(InputError, match=r"images of one name: 1\.jpg and pictures/1\.jpg"):
        locate_release(class_table(source))
    named = locate_release(class_table(source, images_folder="pictures"))
    assert named.images == str(source / "pictures")


def test_a_setting_may_name_images_and_table_outside_the_source_folder(tmp_path):
    source = write_release(tmp_path / "source")
    (source / "pictures").rename(tmp_path / "elsewhere")
    (source / "labels.csv").rename(tmp_path / "mine.csv")
    found = locate_release(
        class_table(source, images_folder="../elsewhere", catalogue_file=str(tmp_path / "mine.csv"))
    )
    assert (found.images, found.catalogue) == (
        str(tmp_path / "elsewhere"),
        str(tmp_path / "mine.csv"),
    )
