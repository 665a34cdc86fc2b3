"""Manifests in a folder become announcements, each once, and wrong ones are told."""

import pytest

from galaxy_tasks.errors import InputError
from galaxy_tasks.watch.inbox import Announcement, Folder, Manifest, read_manifest

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


def read_twice(folder):
    """A file counts when it has not changed between two looks."""
    folder.read()
    return folder.read()


def test_a_manifest_announces_a_release_with_its_settings(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(MANIFEST)
    assert read_manifest(path) == Manifest("Galaxy Zoo 1", SETTINGS)


def test_the_same_manifest_is_the_same_announcement_wherever_it_lies(tmp_path):
    paths = [tmp_path / "one.toml", tmp_path / "copy.toml"]
    for path in paths:
        path.write_text(MANIFEST)
    manifests = map(read_manifest, paths)
    first, second = (Announcement(one.name, one.settings) for one in manifests)
    assert first.key == second.key
    assert first.key != Announcement("Galaxy Zoo 1", {**SETTINGS, "epochs": 9}).key


def make_key(settings, *, name="one"):
    return Announcement(name, settings).key


@pytest.mark.parametrize(
    "written",
    [
        {"seed": 2026},
        {"learning_rate": 0.001, "weights": "none", "combine": []},
        {"source": "/data/galaxy_zoo_1", "class_names": {}},
    ],
)
def test_a_setting_that_says_what_holds_anyway_makes_no_other_announcement(written):
    assert make_key(SETTINGS | written) == make_key(SETTINGS)
    assert make_key({"weight_decay": 1}) == make_key({"weight_decay": 1.0})
    other = {"release": "class_table", "source": "/data/b"}
    assert make_key(SETTINGS | {"combine": [other]}) == make_key(
        SETTINGS | {"combine": [other | {"minimum_votes": 20}]}
    )


def test_a_setting_that_changes_the_run_makes_another_announcement():
    other = {"release": "class_table", "source": "/data/b"}
    differing = [
        {},
        {"seed": 1},
        {"combine": [other]},
        {"combine": [other | {"scheme": "as_given"}]},
    ]
    keys = {make_key(SETTINGS | settings) for settings in differing}
    assert len(keys | {make_key(SETTINGS, name="two")}) == 5


def test_a_setting_of_a_preset_counts_though_it_is_one_machines_default():
    assert make_key({"epochs": 60}) != make_key({}), "left out, it may be 8"
    assert make_key({"warmup_epochs": 1}) == make_key({"warmup_epochs": 1.0})


def test_settings_that_are_no_more_still_have_a_key():
    old = Announcement("one", {"release": "galaxy_zoo_0", "colour": "red"})
    assert old.key == old.old_key != make_key({})


@pytest.mark.parametrize(
    ("text", "told"),
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
        ("#" * 70_000, "more than 65536 bytes"),
        ("x = " + "[" * 20_000, "cannot be read as TOML"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_path(tmp_path, text, told):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"wrong\.toml") as caught:
        read_manifest(path)
    assert told in str(caught.value)


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
    folder, path = Folder(tmp_path), tmp_path / "one.toml"
    assert folder.read() == ([], [])
    path.write_text(MANIFEST[:20])
    assert folder.read() == ([], [])
    path.write_text(MANIFEST)
    assert folder.read() == ([], [])
    assert folder.read() == ([Manifest("Galaxy Zoo 1", SETTINGS)], [])


def test_a_problem_is_told_once_and_again_after_a_change(tmp_path):
    folder, path = Folder(tmp_path), tmp_path / "wrong.toml"
    path.write_text("name = ")
    (problem,) = read_twice(folder)[1]
    assert "wrong.toml" in problem
    assert folder.read() == ([], [])
    path.write_text("name = 'still wrong'")
    assert len(read_twice(folder)[1]) == 1


def test_a_wrong_manifest_does_not_keep_others_from_being_read(tmp_path):
    (tmp_path / "a.toml").write_text("name = ")
    (tmp_path / "b.toml").write_text(MANIFEST)
    announced, problems = read_twice(Folder(tmp_path))
    assert [one.name for one in announced] == ["Galaxy Zoo 1"]
    assert len(problems) == 1


def test_what_is_no_file_is_told_and_keeps_nothing_else_from_being_read(tmp_path):
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "one.toml").write_text(MANIFEST)
    announced, problems = read_twice(Folder(tmp_path))
    assert [one.name for one in announced] == ["Galaxy Zoo 1"]
    assert len(problems) == 2


def test_a_missing_folder_announces_nothing(tmp_path):
    assert read_twice(Folder(tmp_path / "none")) == ([], [])


def version(record, files, *, name="Euclid", called="2"):
    return Announcement(name, {"zenodo_record": record}, called, files)


def test_a_version_is_known_by_its_record_and_not_by_what_it_is_called():
    first = version("7", {}, called="1.0")
    assert first.key == version("7", {"a.csv": "0"}, called="1.0 (corrected)").key
    assert first.key != version("8", {}, called="1.0").key
    assert Announcement.from_payload(first.as_payload()) == first
    assert first.title == "Euclid, version 1.0 (Zenodo record 7)"
    assert version("7", {}, called="").title == "Euclid (Zenodo record 7)"


def test_what_an_older_program_has_announced_is_still_known():
    old = {"name": "Galaxy Zoo 1", "settings": SETTINGS}
    assert Announcement.from_payload(old) == Announcement("Galaxy Zoo 1", SETTINGS)


def test_the_files_that_differ_from_the_version_before_are_named():
    first = version("7", {"a.csv": "1", "b.csv": "1", "c.csv": "1"}, called="1")
    other = version("9", {"z.csv": "1"}, name="DESI")
    second = version("8", {"a.csv": "1", "b.csv": "2", "d.csv": "1"})
    told = "Euclid, version 2 (Zenodo record 8) (files changed: b.csv; new: d.csv; gone: c.csv)"
    before = [one.as_payload() for one in (first, other)]
    assert second.describe(before) == told
    assert second.describe([*before, second.as_payload(), version("9", {}).as_payload()]) == told
    assert first.describe([]) == first.title
    again = version("10", first.files, called="3")
    assert again.describe(before).endswith("(files as they were)")


def test_what_a_publisher_writes_adds_no_line_to_the_log():
    first = version("7", {"a.csv": "1"}, called="1")
    second = version("8", {"a.csv": "1", "b\nfake line": "2"}, called="2\nfake line")
    told = second.describe([first.as_payload()])
    assert told.isprintable()
    assert "version '2\\nfake line' (Zenodo record 8) (files new: 'b\\nfake line')" in told
