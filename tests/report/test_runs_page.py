"""The page of all runs links to reports, marks champions, and holds names from anybody's tables."""

import re
from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from fixtures.chromium import needs_browser, open_browser

from galaxy_tasks.report.runs import ChampionLine, RunLine, Score, list_runs_as_text, render_runs

RUN = RunLine(
    evaluation="0123456789abcdef",
    published="2026-11-24T09:15:20Z",
    release="Galaxy Zoo 2",
    winner="resnet50",
    macro_f1=Score(0.81, 0.74, 0.88),
    accuracy=Score(0.92, 0.89, 0.94),
    num_galaxies=12_345,
    test_set="beefcafe" * 8,
    challenger="densenet121 seed 2",
    decision="It is shown to be better.",
    is_champion=False,
)
CHAMPION = ChampionLine(
    name="five classes of SDSS",
    number=3,
    architecture="resnet50",
    release="Galaxy Zoo 2",
    evaluation="fedcba9876543210",
    promoted="2026-11-23T20:40:00Z",
    reason="It is shown to be better.",
    approver="Ada",
)
EVIL = "<script>alert(1)</script><img src=x>"


def test_each_run_leads_to_its_report_and_the_champion_is_marked():
    runs = [RUN, replace(RUN, evaluation=CHAMPION.evaluation, is_champion=True)]
    page = render_runs(runs, [CHAMPION])
    links = re.findall(r'href="([^"]+)"', page)
    reports = [f"evaluations/{one}/report.html" for one in (CHAMPION.evaluation, RUN.evaluation)]
    assert [link for link in links if link.startswith("evaluations/")] == [
        *(reports[0], reports[1], reports[0])
    ]
    assert page.count("densenet121 seed 2, <strong>champion</strong>") == 1
    assert "2026-11-24 09:15" in page
    assert "0.740–0.880" in page
    assert "12,345<small>beefcafe</small>" in page
    assert "It is shown to be better. By Ada." in page


def test_before_the_first_run_the_page_says_so():
    page = render_runs([], [])
    assert "No run has ended yet." in page
    assert "There is no champion yet." in page


def test_names_from_user_tables_cannot_inject_markup_into_the_list_of_runs():
    runs = [replace(RUN, release=EVIL, winner=EVIL, challenger=EVIL, decision=EVIL)]
    champions = [replace(CHAMPION, name=EVIL, release=EVIL, reason=EVIL, approver=EVIL)]
    page = render_runs(runs, champions)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 8


def test_the_text_has_a_line_a_run_and_marks_the_champion():
    lines = list_runs_as_text([RUN, replace(RUN, winner="alexnet", is_champion=True)]).splitlines()
    marked = ["densenet121 seed 2 (champion)" in line for line in lines]
    assert marked == [False, False, True]
    assert "0.810 [0.740, 0.880]" in lines[1]
    assert lines[0].index("winner") == lines[2].index("alexnet")


@needs_browser
@pytest.mark.parametrize("width", [390, 1440])
def test_the_list_of_runs_can_be_read_on_any_screen(tmp_path, width):
    long = "averyverylongname" * 6
    runs = [RUN, replace(RUN, release=long, challenger=long, decision=long)]
    (tmp_path / "runs.html").write_text(render_runs(runs, [CHAMPION, replace(CHAMPION, name=long)]))
    with open_browser() as browser:
        tab = browser.new_page(viewport={"width": width, "height": 844}, bypass_csp=True)
        tab.goto((tmp_path / "runs.html").as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        violations = Axe().run(tab).response["violations"]
    assert [one["id"] for one in violations if one["impact"] in ("serious", "critical")] == []
