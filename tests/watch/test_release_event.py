"""A release event is known by its name and settings, and says what is new about it."""

import pytest

from galaxy_tasks.watch.release_event import ReleaseEvent

SETTINGS = {
    "release": "class_table",
    "source": "/data/galaxy_zoo_1",
    "ignored_classes": ["dont_know"],
}


def make_key(settings, *, name="one"):
    return ReleaseEvent(name, settings).key


@pytest.mark.parametrize(
    "written",
    [
        {"seed": 2026},
        {"learning_rate": 0.001, "weights": "none", "combine": []},
        {"source": "/data/galaxy_zoo_1", "class_names": {}},
    ],
)
def test_writing_out_a_default_makes_no_other_event(written):
    assert make_key(SETTINGS | written) == make_key(SETTINGS)
    assert make_key({"weight_decay": 1}) == make_key({"weight_decay": 1.0})
    other = {"release": "class_table", "source": "/data/b"}
    assert make_key(SETTINGS | {"combine": [other]}) == make_key(
        SETTINGS | {"combine": [other | {"minimum_votes": 20}]}
    )


def test_a_setting_that_changes_the_run_makes_another_event():
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


def test_stored_settings_that_are_no_more_still_have_a_key():
    assert make_key({"release": "galaxy_zoo_0", "colour": "red"}) != make_key({})


def version(record, files, *, name="Euclid", called="2"):
    return ReleaseEvent(name, {"zenodo_record": record}, called, files)


def test_a_version_is_known_by_its_record_and_not_by_what_it_is_called():
    first = version("7", {}, called="1.0")
    assert first.key == version("7", {"a.csv": "0"}, called="1.0 (corrected)").key
    assert first.key != version("8", {}, called="1.0").key
    assert ReleaseEvent.from_payload(first.as_payload()) == first
    assert first.title == "Euclid, version 1.0 (Zenodo record 7)"
    assert version("7", {}, called="").title == "Euclid (Zenodo record 7)"


def test_the_files_that_differ_from_the_version_before_are_named():
    first = version("7", {"a.csv": "1", "b.csv": "1", "c.csv": "1"}, called="1")
    other = version("9", {"z.csv": "1"}, name="DESI")
    second = version("8", {"a.csv": "1", "b.csv": "2", "d.csv": "1"})
    described = (
        "Euclid, version 2 (Zenodo record 8) (files changed: b.csv; new: d.csv; removed: c.csv)"
    )
    assert second.describe([first, other]) == described
    assert second.describe([first, other, second, version("9", {})]) == described
    assert first.describe([]) == first.title
    again = version("10", first.files, called="3")
    assert again.describe([first, other]).endswith("(files unchanged)")


def test_what_a_publisher_writes_adds_no_line_to_the_log():
    first = version("7", {"a.csv": "1"}, called="1")
    second = version("8", {"a.csv": "1", "b\nfake line": "2"}, called="2\nfake line")
    described = second.describe([first])
    assert described.isprintable()
    assert "version '2\\nfake line' (Zenodo record 8) (files new: 'b\\nfake line')" in described
