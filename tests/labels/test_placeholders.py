import zipfile

import cv2
import numpy as np
import pyarrow as pa
import pytest

from galaxy_tasks.labels.crossmatch import MOST_COPIES
from galaxy_tasks.labels.placeholders import (
    ImageName,
    find_copies,
    fingerprint_images,
    hash_repeated_images,
)


def write_images(folder, contents):
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def write_zip(path, contents):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def hash_images(images, folders):
    fingerprints = fingerprint_images(images, folders=folders)
    return hash_repeated_images(images, folders=folders, fingerprints=fingerprints)


TAIL = bytes(600)
CONTENTS = {"a.jpg": b"x" + TAIL, "b.jpg": b"y" + TAIL, "copy.jpg": b"x" + TAIL, "short.jpg": b"x"}
NAMES = [*CONTENTS, "missing.jpg"]


@pytest.mark.parametrize("write", [write_images, write_zip])
def test_copies_of_an_image_are_found_by_content_alone(tmp_path, write):
    folder = write(tmp_path / "images.zip", CONTENTS)
    hashes = hash_images([ImageName(0, name) for name in NAMES], [folder])
    assert hashes[0] == hashes[2] != ""
    assert len(hashes[0]) == 64
    assert [hashes[index] for index in (1, 3, 4)] == ["", "", ""]


def test_a_copy_is_found_between_a_folder_and_a_zip(tmp_path):
    folders = [
        write_images(tmp_path / "images", {"a.jpg": b"x" + TAIL, "b.jpg": b"y" + TAIL}),
        write_zip(tmp_path / "images.zip", {"other.jpg": b"x" + TAIL, "own.jpg": b"z" + TAIL}),
    ]
    images = [ImageName(0, "a.jpg"), ImageName(0, "b.jpg")]
    images += [ImageName(1, "other.jpg"), ImageName(1, "own.jpg")]
    hashes = hash_images(images, folders)
    assert hashes[0] == hashes[2] != ""
    assert hashes[1] == hashes[3] == ""


def make_table(names):
    return pa.table({"release_index": [0] * len(names), "image_name": names})


@pytest.mark.parametrize("write", [write_images, write_zip])
@pytest.mark.parametrize(
    ("total", "is_dropped"), [(MOST_COPIES * 100, True), (MOST_COPIES * 100 + 100, False)]
)
def test_many_alike_are_dropped_where_they_are_a_large_share_and_tied_else(
    tmp_path, package_log, write, total, is_dropped
):
    many = MOST_COPIES + 1
    picture = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    names = [f"{number}.png" for number in range(total)]
    folder = write(
        tmp_path / "images.zip",
        {n: picture if i < many else f"image {n}".encode() for i, n in enumerate(names)},
    )
    found = find_copies(make_table(names), image_folders=[folder])
    assert found.is_placeholder.tolist() == [i < many and is_dropped for i in range(total)]
    assert len(set(found.hashes[:many])) == 1
    assert (found.hashes[0] == "") is is_dropped
    assert set(found.hashes[many:]) == {""}
    outcome = "it is a placeholder" if is_dropped else "stay on one side of the split"
    assert "11 images have the content of 0.png" in package_log.text
    assert outcome in package_log.text


def test_what_is_no_image_is_left_to_the_preparation_however_often_it_is_there(
    tmp_path, package_log
):
    names = [f"{number}.jpg" for number in range(50)]
    folder = write_images(tmp_path / "images", dict.fromkeys(names, b"<html>not found"))
    found = find_copies(make_table(names), image_folders=[folder])
    assert not found.is_placeholder.any()
    assert set(found.hashes) == {""}
    assert "it is not an image, and will be rejected" in package_log.text
