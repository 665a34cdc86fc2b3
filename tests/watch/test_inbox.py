"""Manifests in the inbox are read once they are whole; a problem with one is reported once."""

import pytest

from galaxy_tasks.errors import InputError
from galaxy_tasks.watch.inbox import Inbox, Manifest, read_manifest

MANIFEST = """
name = "Galaxy Zoo 1"

[settings]
release = "class_table"
source = "/data/galaxy_zoo_1"
ignored_classes = ["dont_know"]
"""
SETTINGS = {
    "release": "class_table",
    "source": "/data/galaxy_zoo_1",
    "ignored_classes": ["dont_know"],
}

FOLLOWED = 'name = "x"\nzenodo_concept = "7"\n[settings]\nrelease = '


def read_twice(inbox):
    """A file counts when it has not changed between two looks."""
    inbox.read()
    return inbox.read()


def test_a_manifest_holds_a_release_s_name_and_settings(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(MANIFEST)
    assert read_manifest(path) == Manifest("Galaxy Zoo 1", SETTINGS)


def test_the_same_manifest_is_the_same_event_wherever_it_lies(tmp_path):
    paths = [tmp_path / "one.toml", tmp_path / "copy.toml"]
    for path in paths:
        path.write_text(MANIFEST)
    first, second = (read_manifest(path).as_event() for path in paths)
    assert first.key == second.key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "cannot be read as TOML"),
        ('name = "x"\nsettings = 3', "expected a 'name'"),
        ("[settings]\nrelease = 'simulated'", "expected a 'name'"),
        ('name = "x"\nurl = "y"\n[settings]', "Received: name, settings, url"),
        ('name = "x"\nzenodo_concept = "10.5281/7"\n[settings]', "Received: '10.5281/7'"),
        (FOLLOWED + '"galaxy_zoo_desi"', "needs 'source', the folder with its images"),
        (FOLLOWED + '"galaxy_zoo_1"\nsource = "/a"', "'galaxy_zoo_1' has no file on Zenodo"),
        (FOLLOWED + '"class_table"\nsource = "/a"', "'class_table' has no file on Zenodo"),
        (FOLLOWED + '"galaxy_zoo_challenge"', "galaxy_zoo_decals, galaxy_zoo_desi"),
        ('name = "x"\nzenodo_concept = ["7"]\n[settings]', "number of a Zenodo record"),
        ('name = "x"\n[settings]\nepochs = 0', "epochs"),
        ('name = "x"\n[settings]\nepoch = 3', "epoch"),
        ('name = "x"\n[settings]\nrelease = "class_table"', "needs 'source'"),
        ("#" * 70_000, "has more than 65536 bytes"),
        ("x = " + "[" * 20_000, "cannot be read as TOML"),
        ("x = " + "1" * 5_000, "cannot be read as TOML"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_path(tmp_path, text, message):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"wrong\.toml") as caught:
        read_manifest(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("file_name", "text"),
    [
        ("wrong.toml", r'name = "x\u0000y\n[2026] INFO fake line"' + "\n[settings]"),
        ("wrong.toml", r'name = "x\u2028fake line"' + "\n[settings]"),
        ("wrong.toml", r'name = "x\u202Efake line"' + "\n[settings]"),
        ("wrong.toml", f'name = "{"x" * 201}"\n[settings]'),
        ("wrong.toml", 'name = " "\n[settings]'),
        ("wrong.toml", r'name = "x"' + "\n" + r'"a\nfake line" = 3' + "\n[settings]"),
        ("wrong.toml", r'name = "x"' + "\n[settings]\n" + r'"a\nfake line" = 3'),
        ("wrong.toml", 'name = "x"\nzenodo_concept = "7\\nfake line"\n[settings]'),
        ("wrong\nfake line.toml", "name = "),
        ("wrong\nfake line.toml", MANIFEST.replace("class_table", "simulate")),
        ("wrong\nfake line.toml", 'name = "x"\n[settings]\nepoch = 3'),
    ],
)
def test_a_refused_manifest_writes_no_line_of_its_own_into_the_log(tmp_path, file_name, text):
    path = tmp_path / file_name
    path.write_text(text)
    with pytest.raises(InputError, match="wrong") as caught:
        read_manifest(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith((str(tmp_path), f"'{tmp_path}", "  ")) for line in lines)
    assert all(line.isprintable() for line in lines)


def test_a_name_of_many_alphabets_is_taken(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text('name = "Galaxy Zoo: Ångström – 星系動物園 (3″)"\n[settings]', encoding="utf-8")
    assert read_manifest(path).name == "Galaxy Zoo: Ångström – 星系動物園 (3″)"


@pytest.mark.parametrize("written", ['"8360384"', "8360384"])
def test_a_manifest_may_follow_a_concept_record(tmp_path, written):
    path = tmp_path / "one.toml"
    path.write_text(f'name = "DESI"\nzenodo_concept = {written}\n[settings]\n')
    assert read_manifest(path) == Manifest("DESI", {}, "8360384")


def test_what_a_record_lacks_may_come_from_a_folder(tmp_path):
    path = tmp_path / "one.toml"
    settings = 'release = "galaxy_zoo_desi"\nsource = "/data/desi"'
    path.write_text(f'name = "DESI"\nzenodo_concept = "8360384"\n[settings]\n{settings}\n')
    expected = {"release": "galaxy_zoo_desi", "source": "/data/desi"}
    assert read_manifest(path) == Manifest("DESI", expected, "8360384")


def test_a_file_counts_only_when_it_has_stopped_changing(tmp_path):
    inbox, path = Inbox(tmp_path), tmp_path / "one.toml"
    assert inbox.read() == ([], [])
    path.write_text(MANIFEST[:20])
    assert inbox.read() == ([], [])
    path.write_text(MANIFEST)
    assert inbox.read() == ([], [])
    assert inbox.read() == ([Manifest("Galaxy Zoo 1", SETTINGS)], [])


def test_a_problem_is_reported_once_and_again_after_a_change(tmp_path):
    inbox, path = Inbox(tmp_path), tmp_path / "wrong.toml"
    path.write_text("name = ")
    (problem,) = read_twice(inbox)[1]
    assert "wrong.toml" in problem
    assert inbox.read() == ([], [])
    path.write_text("name = 'still wrong'")
    assert len(read_twice(inbox)[1]) == 1


@pytest.mark.parametrize("is_removed", [False, True])
def test_why_a_manifest_is_refused_stands_beside_it_until_it_is_mended(tmp_path, is_removed):
    inbox, path = Inbox(tmp_path), tmp_path / "wrong.toml"
    path.write_text('name = "x"\n[settings]\nepoch = 3')
    (problem,) = read_twice(inbox)[1]
    note = tmp_path / "wrong.toml.refused.txt"
    assert note.read_text().strip() in problem
    assert "epoch" in note.read_text()
    if is_removed:
        path.unlink()
    else:
        path.write_text(MANIFEST)
    read_twice(inbox)
    assert not note.exists()


def test_a_wrong_manifest_does_not_keep_others_from_being_read(tmp_path):
    (tmp_path / "a.toml").write_text("name = ")
    (tmp_path / "b.toml").write_text(MANIFEST)
    manifests, problems = read_twice(Inbox(tmp_path))
    assert [one.name for one in manifests] == ["Galaxy Zoo 1"]
    assert len(problems) == 1


def test_what_is_no_file_is_reported_and_keeps_nothing_else_from_being_read(tmp_path):
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "one.toml").write_text(MANIFEST)
    manifests, problems = read_twice(Inbox(tmp_path))
    assert [one.name for one in manifests] == ["Galaxy Zoo 1"]
    assert len(problems) == 2


def test_a_missing_inbox_is_empty(tmp_path):
    assert read_twice(Inbox(tmp_path / "none")) == ([], [])


def test_a_note_that_is_no_text_is_written_anew(tmp_path):
    (tmp_path / "wrong.toml").write_text("name = ")
    note = tmp_path / "wrong.toml.refused.txt"
    note.write_bytes(b"\xff\xfe\xff")
    inbox = Inbox(tmp_path)
    inbox.read()
    inbox.read()
    assert "cannot be read as TOML" in note.read_text()
