"""Real galaxies: a run on one release, then the announcement of another, which is compared."""

import json
from pathlib import Path

import pytest
from announcing import announce, list_own_runs, wait_for_runs
from browsing import needs_browser, open_browser
from harness import DAG_ID, DATA

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the real data in {DATA}"),
]
SETTINGS = {"release": "class_table", "architectures": ["resnet18"], "image_size_px": 32}
CHALLENGE = SETTINGS | {
    "source": str(DATA / "galaxy_zoo_challenge"),
    "ignored_classes": ["not_in_clean_sample"],
    "epochs": 1,
}
GALAXY_ZOO_1 = SETTINGS | {
    "source": str(DATA / "galaxy_zoo_1"),
    "ignored_classes": ["dont_know", "merger"],
    "class_names": {"spiral_clockwise": "spiral", "spiral_anticlockwise": "spiral"},
    "epochs": 1,
}


@pytest.fixture(scope="module")
def first(standalone):
    """A run on the challenge's galaxies, started by hand."""
    run_id = standalone.client.trigger(DAG_ID, CHALLENGE)
    assert standalone.wait_for_end(run_id, timeout_s=900) == "success"
    return run_id


@pytest.fixture(scope="module")
def second(standalone, first):
    """The run that the manifest of Galaxy Zoo 1 has started by itself."""
    before = list_own_runs(standalone)
    announce(standalone, name="Galaxy Zoo 1", file_name="galaxy_zoo_1.toml", **GALAXY_ZOO_1)
    (run_id,) = wait_for_runs(standalone, len(before) + 1)[len(before) :]
    assert standalone.wait_for_end(run_id, timeout_s=900) == "success"
    return run_id


def read_results(standalone, run_id):
    return json.loads(Path(standalone.result("evaluate", run_id)["results"]).read_text())


def test_the_report_compares_both_winners_on_what_neither_has_learned_from(standalone, second):
    found = read_results(standalone, second)["challenge"]
    assert found["champion_release"] == "class_table (galaxy_zoo_challenge)"
    assert found["num_without_place"] == found["num_unseen"]  # neither table has positions
    # Elliptical beside the three smooth classes: they meet as one kind.
    assert found["classes"] == ["edge_on", "smooth", "spiral"]
    assert found["num_common"] == found["num_unseen"] == found["num_test"] > 200
    assert found["verdict"] in standalone.log("evaluate", second).replace("\n", " ")


def test_the_report_says_what_changed(standalone, second):
    drift = read_results(standalone, second)["drift"]
    classes = {one["name"]: (one["then"], one["now"]) for one in drift["classes"]}
    assert classes["spiral"] == (1061, 246 + 237)
    assert classes["elliptical"] == (0, 811)
    assert drift["then_sizes"] == {"424×424": 2253}
    assert drift["now_sizes"] == {"423×423": 811 + 549 + 246 + 237}


@needs_browser
def test_the_report_shows_it_in_the_browser(standalone, second):
    with open_browser() as browser:
        page = browser.new_page()
        page.goto(Path(standalone.result("evaluate", second)["report"]).as_uri())
        page.get_by_role("heading", name="Against the champion").wait_for()
        page.get_by_role("heading", name="Drift since the champion's release").wait_for()
        assert page.get_by_role("region", name="Challenger and champion").is_visible()


def test_the_same_manifest_again_starts_nothing(standalone, second):
    before = list_own_runs(standalone)
    announce(standalone, name="Galaxy Zoo 1", file_name="once_more.toml", **GALAXY_ZOO_1)
    announce(standalone, name="marker", file_name="z_marker.toml", bootstrap_samples=170)
    runs = wait_for_runs(standalone, len(before) + 1)  # the marker's: the folder was read again
    assert standalone.wait_for_end(runs[-1]) == "success"
    assert list_own_runs(standalone) == runs
    assert len(runs) == len(before) + 1
    assert "Release: marker" in standalone.log("choose_release", runs[-1])
