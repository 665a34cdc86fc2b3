import zipfile

import pytest

from galaxy_tasks.matching import MOST_COPIES
from galaxy_tasks.repeated_images import ImageName, hash_repeated_images


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


TAIL = bytes(600)
CONTENTS = {"a.jpg": b"x" + TAIL, "b.jpg": b"y" + TAIL, "copy.jpg": b"x" + TAIL, "short.jpg": b"x"}
NAMES = [*CONTENTS, "missing.jpg"]


@pytest.mark.parametrize("write", [write_images, write_zip])
def test_copies_of_an_image_are_found_by_content_alone(tmp_path, write):
    folder = write(tmp_path / "images.zip", CONTENTS)
    hashes = hash_repeated_images([ImageName(0, name) for name in NAMES], folders=[folder])
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
    hashes = hash_repeated_images(images, folders=folders)
    assert hashes[0] == hashes[2] != ""
    assert hashes[1] == hashes[3] == ""


@pytest.mark.parametrize(("count", "is_linked"), [(MOST_COPIES, True), (MOST_COPIES + 1, False)])
def test_an_image_with_very_many_names_is_a_stand_in(tmp_path, capsys, count, is_linked):
    folder = write_images(
        tmp_path / "images", {f"{number}.jpg": b"no image" for number in range(count)}
    )
    images = [ImageName(0, f"{number}.jpg") for number in range(count)]
    assert all(hash_repeated_images(images, folders=[folder])) is is_linked
    assert ("have the content of 0.jpg" in capsys.readouterr().out) is not is_linked
