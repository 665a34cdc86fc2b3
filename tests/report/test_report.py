import base64
import hashlib
import html
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from fixtures.chromium import needs_browser, open_browser
from fixtures.report_inputs import (
    CLASSES,
    SKILL,
    draw_galaxy,
    draw_tables,
    make_inputs,
    make_outcome,
    score_tables,
)

from galaxy_tasks.config import PRESETS, RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.challenge import Challenge, ChampionComparison
from galaxy_tasks.report.contents import MissingModel, RejectedFile
from galaxy_tasks.report.examples import ExampleGalaxy, ExplainedGalaxy
from galaxy_tasks.report.leaderboard import render_leaderboard
from galaxy_tasks.report.page import render_report
from galaxy_tasks.report.settings_table import format_command, list_settings


@pytest.fixture(scope="module")
def inputs():
    return make_inputs()


def change_evaluation(network, **changes):
    """Return a network with other evaluations of its trainings."""
    models = (replace(one, evaluation=replace(one.evaluation, **changes)) for one in network.models)
    return replace(network, models=tuple(models))


@pytest.fixture(scope="module")
def page(inputs):
    return render_report(inputs)


def test_the_page_names_every_model_class_and_reason(page, inputs):
    for name in (*SKILL, "resnet18", *CLASSES, *inputs.dropped, "100008.jpg"):
        assert name in page or name.replace("_", " ") in page, name
    assert inputs.outcome.selection.reason in page
    for key in ("9f31c0de22aa7b14", "NVIDIA H100 80GB HBM3", "12 min 34 s"):
        assert key in page


def test_the_page_shows_the_numbers_of_the_evaluation(page, inputs):
    for network in inputs.outcome.networks:
        score = network.macro_f1
        assert f"{score.value:.3f}<small>{score.low:.3f}–{score.high:.3f}</small>" in page
        assert f"<td>3<small>± {network.seed_deviation:.3f}</small></td>" in page
        for row in network.served.evaluation.confusion_matrix:
            assert all(f">{count:,}<" in page for count in row)


def test_every_pair_is_described_and_the_rule_is_stated(page, inputs):
    text = html.unescape(page)
    for first, second in itertools.combinations(SKILL, 2):
        assert any(first in line and second in line for line in re.findall("<li>.*?</li>", text))
    assert "at most 0.020 behind the best" in text
    assert "another seed can move" not in text


def test_the_votes_behind_a_label_are_shown_where_there_are_any(page, inputs):
    voted = [one for one in inputs.examples if one.agreement is not None]
    assert 0 < len(voted) < len(inputs.examples)
    assert page.count("<span>votes 83 %</span>") == len(voted)
    without = replace(
        inputs, examples=tuple(replace(one, agreement=None) for one in inputs.examples)
    )
    assert "Votes" not in render_report(without)


def test_the_command_that_makes_the_run_again_is_stated(page, inputs):
    assert format_command(inputs.config) in html.unescape(page)


def test_one_training_each_is_cautioned_against_at_the_top():
    page = html.unescape(render_report(make_inputs(seeds=(7,))))
    caution = page.index("this order may be the seed's doing")
    assert caution < page.index('id="leaderboard"')


def test_the_page_loads_nothing_from_anywhere(page):
    assert "http" not in page.replace("http-equiv", "")
    loads = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert loads
    assert [load for load in loads if not load.startswith(("data:", "#"))] == []
    assert "@import" not in page
    (policy,) = re.findall('http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    for tag in ("style", "script"):  # the page's own, and no other
        (own,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in html.unescape(policy)
    assert policy.startswith("default-src 'none'; img-src data:; ")


def test_every_image_and_drawing_has_a_text_alternative(page, inputs):
    described = re.findall(r'<img [^>]*alt="([^"]+)"', page)
    num_images = len(inputs.examples) + 2 * len(inputs.explained) + 2 * len(SKILL) + 1
    assert len(described) == page.count("<img ") == num_images
    shown = len(inputs.examples) + len(inputs.explained)
    assert len([text for text in described if text.startswith("Galaxy ")]) == shown
    assert "resnet50: Loss by epoch" in described


def test_simulated_data_is_said_to_be_simulated(page, inputs):
    assert 'class="badge">Simulated data' in page
    observed = parse_config({"release": "class_table", "source": "galaxies"})
    assert 'class="badge"' not in render_report(replace(inputs, config=observed))


@pytest.mark.parametrize(("holdout", "is_told"), [("ignore", True), ("join", False)])
def test_a_run_that_ignored_the_holdout_says_so(inputs, holdout, is_told):
    config = inputs.config.model_copy(update={"holdout": holdout})
    page = render_report(replace(inputs, config=config))
    assert ("never becomes champion" in page) == is_told


def test_names_from_user_tables_cannot_inject_markup(inputs):
    evil = "<script>alert(1)</script>"
    galaxy = ExampleGalaxy('"><img src=x>', draw_galaxy(seed=1), evil, evil, 0.9)
    nowhere = np.zeros((112, 112), np.uint8)
    explained = ExplainedGalaxy(evil, draw_galaxy(seed=1), nowhere, evil, evil)
    networks = tuple(
        change_evaluation(one, classes=(evil, *CLASSES[1:])) for one in inputs.outcome.networks
    )
    page = render_report(
        replace(
            inputs,
            outcome=replace(inputs.outcome, networks=networks),
            examples=(galaxy,),
            explained=(explained,),
            dropped={evil: 1},
            rejected_images=(RejectedFile(evil, evil),),
            missing_models=(MissingModel("resnet18", "failed", evil),),
        )
    )
    assert "<script>alert" not in page
    assert page.count("<script") == 1  # its own
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10


def test_changed_settings_are_told_from_defaults(inputs):
    settings = {setting.name: setting for setting in list_settings(inputs.config)}
    assert set(settings) == set(RunConfig.model_fields)
    changed = {name for name, setting in settings.items() if setting.is_changed}
    assert changed == {"epochs", "image_size_px"}
    assert (settings["epochs"].value, settings["epochs"].default) == ("30", "60")


def test_each_group_of_settings_stands_once_and_a_preset_is_no_change():
    quick = list_settings(parse_config({**PRESETS["quick"], "epochs": 3}))
    changed = [(one.name, one.value, one.default) for one in quick if one.is_changed]
    assert changed == [("epochs", "3", "8")]
    sections = [name for name, _ in itertools.groupby(quick, key=lambda one: one.section)]
    assert len(sections) == len(set(sections)) > 3


def test_a_run_with_one_model_and_nothing_else_makes_a_page(inputs):
    networks, selection = score_tables({"alexnet": draw_tables(seeds=(7,))["alexnet"]})
    bare = replace(
        inputs,
        outcome=make_outcome(networks, selection, references=()),
        missing_models=(),
        histories={},
        examples=(),
        explained=(),
        class_counts={},
        dropped={},
        rejected_images=(),
        num_rows=0,
        artifacts={},
        hardware={},
        packages={},
        times_s={},
    )
    page = render_report(bare)
    assert "only trained network" in page
    assert "None: every image could be read." in page


def test_what_the_champion_may_have_learned_from_is_stated(inputs):
    challenge = Challenge(
        champion_architecture="alexnet",
        champion_release="galaxy_zoo_2",
        champion_published="2026-11-24T03:00:00Z",
        champion_evaluation="e",
        champion_model="m",
        is_same_model=False,
        num_test=40,
        num_unseen=30,
        num_without_place=30,
        num_uncertain=30,
        may_know="it has galaxies of another",
        num_common=0,
        classes=(),
        are_kinds=False,
        champion=None,
        challenger=None,
        comparison=None,
        verdict="They cannot be compared.",
    )
    outcome = replace(inputs.outcome, champion=ChampionComparison(challenge, None))
    page = html.unescape(render_report(replace(inputs, outcome=outcome)))
    assert "may have learned from some of them: it has galaxies of another." in page
    assert "For 30 galaxies a position is missing" in page
    same = replace(challenge, is_same_model=True, verdict="They are one.")
    outcome = replace(inputs.outcome, champion=ChampionComparison(same, None))
    page = html.unescape(render_report(replace(inputs, outcome=outcome)))
    assert "They are one." in page
    assert "may have learned from some of them" not in page  # nothing rests on them


def test_an_example_that_is_no_image_is_refused(inputs):
    grey = replace(inputs.examples[0], image=np.zeros((8, 8), dtype=np.uint8))
    with pytest.raises(InputError, match=r"uint8 \(height, width, 3\).*\(8, 8\)"):
        render_report(replace(inputs, examples=(grey,)))


def test_the_leaderboard_marks_the_winner_and_lists_what_is_missing(inputs):
    failed = MissingModel("resnet152", "failed", "out of memory")
    table = render_leaderboard(inputs.outcome, (failed,))
    lines = table.splitlines()
    assert lines[0].startswith("Leaderboard on 451 test galaxies")
    marked = [line for line in lines if line.startswith("*")]
    assert [line.split()[1] for line in marked] == [inputs.outcome.selection.winner]
    assert "   resnet152: failed (out of memory)" in lines
    assert lines[5].startswith("-  most common class")
    scores = [float(re.findall(r"0\.\d{3}", line)[0]) for line in lines[2:5]]
    assert scores == sorted(scores, reverse=True)
    assert "23,600,000  37 min 42 s     1,480" in table


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


def open_page(browser, page, folder, *, width, scheme):
    """Return the page's width in pixels, its background, and what the console said."""
    (folder / "report.html").write_text(page)
    tab = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    messages = []
    tab.on("console", lambda message: messages.append(message.text))
    tab.goto((folder / "report.html").as_uri())
    page_width = tab.evaluate("document.documentElement.scrollWidth")
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.close()
    return page_width, background, messages


@needs_browser
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out_of_the_page(browser, page, tmp_path, width):
    page_width, _, messages = open_page(browser, page, tmp_path, width=width, scheme="light")
    assert page_width == width
    assert messages == []


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_keeps_people_from_reading_the_page(browser, page, tmp_path, width, scheme):
    (tmp_path / "report.html").write_text(page)
    tab = browser.new_page(
        viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True
    )
    tab.goto((tmp_path / "report.html").as_uri())
    results = Axe().run(tab)
    tab.close()
    assert [
        (one["id"], [node["target"] for node in one["nodes"]][:5])
        for one in results.response["violations"]
        if one["impact"] in ("serious", "critical")
    ] == []


@needs_browser
def test_a_click_on_a_title_sorts_a_table_and_another_turns_it_round(browser, page, tmp_path):
    (tmp_path / "report.html").write_text(page)
    tab = browser.new_page()
    tab.goto((tmp_path / "report.html").as_uri())
    table = tab.get_by_role("region", name="Leaderboard")

    def read_scores() -> list[float]:
        cells = table.locator("tbody tr:has(td:nth-child(9)) td:nth-child(2)").all_inner_texts()
        return [float(cell.split()[0]) for cell in cells]

    before = read_scores()
    title = table.get_by_role("button", name="macro-F1", exact=True)
    title.press("Enter")
    assert read_scores() == sorted(before)
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    title.click()
    assert read_scores() == sorted(before, reverse=True)
    # What is written in units of its own sorts by what it is: 9 min before 2 h, 600 M before 1 G.
    for column, name in ((7, "multiply-adds"), (8, "training")):
        table.get_by_role("button", name=name).click()
        cells = table.locator(f"tbody tr:has(td:nth-child(9)) > :nth-child({column + 1})")
        values = [float(value) for one in cells.all() if (value := one.get_attribute("data-value"))]
        assert values == sorted(values), (name, values)
        assert len(values) >= len(SKILL)
    table.get_by_role("button", name="network").click()
    assert table.locator("th[aria-sort]").count() == 1
    # A training without a model has no scores, and stays last.
    assert "not chosen in the form" in table.locator("tbody tr").last.inner_text()
    tab.close()


@needs_browser
def test_the_tab_key_reaches_all_that_can_be_used_and_shows_where_it_is(browser, page, tmp_path):
    (tmp_path / "report.html").write_text(page)
    tab = browser.new_page(viewport={"width": 390, "height": 844})
    tab.goto((tmp_path / "report.html").as_uri())
    tab.evaluate(
        """() => {
            const all = document.querySelectorAll("a[href], button, summary, [tabindex='0']");
            window.usable = [...all].filter(element => element.checkVisibility());
        }"""
    )
    count = tab.evaluate("usable.length")
    reached = []
    for _ in range(count):
        tab.keyboard.press("Tab")
        reached.append(
            tab.evaluate(
                """() => [
                    usable.indexOf(document.activeElement),
                    getComputedStyle(document.activeElement).outlineStyle !== "none",
                ]"""
            )
        )
    assert reached == [[position, True] for position in range(count)]

    board = tab.get_by_role("region", name="Leaderboard")
    board.focus()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("element => element.scrollLeft > 0", arg=board.element_handle())
    tab.close()


@needs_browser
def test_a_screen_reader_finds_its_way_by_landmarks_headings_and_names(browser, page, tmp_path):
    (tmp_path / "report.html").write_text(page)
    tab = browser.new_page()
    tab.goto((tmp_path / "report.html").as_uri())
    tree = tab.locator("html").aria_snapshot()
    for landmark in ("banner", "navigation", "main", "contentinfo"):
        assert len(re.findall(rf"^\s*- {landmark}\b", tree, re.M)) == 1, landmark
    levels = [int(level) for level in re.findall(r"- heading .*\[level=(\d)\]", tree)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))
    assert not re.findall(r"^\s*- (?:img|region|button|link)(?::|$)", tree, re.M)  # without a name
    tab.close()


@needs_browser
def test_long_names_do_not_stick_out_of_a_phone(browser, inputs, tmp_path):
    long = "averyverylongname" * 6
    classes = tuple(f"{name}{long}" for name in CLASSES)
    networks = tuple(change_evaluation(one, classes=classes) for one in inputs.outcome.networks)
    changed = replace(
        inputs,
        outcome=replace(inputs.outcome, networks=networks),
        examples=(ExampleGalaxy(long, draw_galaxy(seed=1), long, long, 0.9),),
        missing_models=(MissingModel("resnet18", "failed", long),),
        dropped={long: 3},
        artifacts={long: long},
        hardware={"training": long},
        times_s={long: 3.0},
        written=long,
    )
    page = render_report(changed)
    assert open_page(browser, page, tmp_path, width=390, scheme="light")[0] == 390


@needs_browser
@pytest.mark.parametrize("width", [390, 1440])
def test_no_name_is_broken_within_a_word(browser, page, tmp_path, width):
    (tmp_path / "report.html").write_text(page)
    tab = browser.new_page(viewport={"width": width, "height": 844})
    tab.goto((tmp_path / "report.html").as_uri())
    lines = tab.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("#provenance ~ .cards th")].map(
            cell => {
                const range = document.createRange();
                range.selectNodeContents(cell);
                return [cell.textContent, range.getClientRects().length];
            }))"""
    )
    tab.close()
    words = {name: count for name, count in lines.items() if " " not in name}
    assert words.keys() >= {"labels", "images", "densenet121", "training", "tensorflow"}
    assert set(words.values()) == {1}


@needs_browser
def test_the_page_follows_the_readers_dark_scheme(browser, page, tmp_path):
    light = open_page(browser, page, tmp_path, width=390, scheme="light")[1]
    dark = open_page(browser, page, tmp_path, width=390, scheme="dark")[1]
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(17, 21, 28)")


@needs_browser
@pytest.mark.parametrize(("num_networks", "num_classes"), [(3, 5), (9, 12)])
def test_printed_on_a4_no_column_is_lost(browser, inputs, tmp_path, num_networks, num_classes):
    classes = tuple(f"{CLASSES[n % 5]}_{n}" for n in range(num_classes))
    one = inputs.outcome.networks[0]
    scores = one.served.evaluation.class_scores
    one = change_evaluation(
        one,
        classes=classes,
        class_scores=tuple(
            replace(scores[n % 5], morphology=classes[n]) for n in range(num_classes)
        ),
        confusion_matrix=((1234,) * num_classes,) * num_classes,
    )
    names = [one.architecture, *(f"densenet20{n}" for n in range(1, num_networks))]
    networks = tuple(replace(one, architecture=name) for name in names)
    selection = replace(inputs.outcome.selection, winner=one.architecture)
    outcome = replace(inputs.outcome, networks=networks, selection=selection)
    page = render_report(replace(inputs, outcome=outcome))
    (tmp_path / "report.html").write_text(page)
    tab = browser.new_page(viewport={"width": 703, "height": 1032})  # A4 without its margins
    tab.emulate_media(media="print")
    tab.goto((tmp_path / "report.html").as_uri())
    rights = tab.evaluate(
        "[...document.querySelectorAll('table')].map(t => t.getBoundingClientRect().right)"
    )
    tab.close()
    assert len(rights) >= 4 + num_networks
    assert max(rights) <= 703
