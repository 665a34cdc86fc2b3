"""The page of an ablation: what was found, readable on a phone, with nothing from elsewhere."""

import re
from dataclasses import replace

import pytest
from fixtures.chromium import needs_browser, open_browser

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.ablation import HeldOutScore, compare_all
from galaxy_tasks.report.ablation import render_ablation, render_table

METHODS = ("none", "gaussian", "non_local_means")
LOSSES = {"none": 0.3, "gaussian": 0.2, "non_local_means": 0.301}


@pytest.fixture(scope="module")
def scores():
    return [
        HeldOutScore(
            {"denoise_method": method, "training_fraction": fraction},
            architecture,
            fold,
            f"fold {fold}",
            int(1000 * fraction),
            loss=LOSSES[method] * fraction**-0.3 + 0.002 * ((fold + METHODS.index(method)) % 3),
            macro_f1=1
            - LOSSES[method] * fraction**-0.3 / 2
            - 0.003 * ((fold + METHODS.index(method)) % 3),
            accuracy=0.9,
        )
        for method in METHODS
        for fraction in (0.25, 1.0)
        for architecture in ("alexnet", "resnet18")
        for fold in range(3)
    ]


@pytest.fixture(scope="module")
def found(scores):
    return compare_all(scores, ["denoise_method", "training_fraction"], alpha=0.05)


def test_the_table_says_which_value_is_better_and_which_cannot_be_told_apart(found):
    text = render_table(found)
    assert "denoise_method: values against none, each trained 12 times" in text
    assert "alexnet, resnet18; 3 folds, 2 combinations of the other settings" in text
    assert "gaussian is better than none: the loss differs by −0.1258." in text
    assert "non_local_means and none cannot be told apart by loss; a difference of" in text
    assert "to the power of −0.30" in text
    assert "If that law goes on, 2,000 instead of 1,000 give loss" in text


def test_where_the_loss_shows_nothing_a_sentence_says_what_macro_f1_shows(scores):
    luckless = [replace(one, loss=0.3 + 0.01 * (index % 7)) for index, one in enumerate(scores)]
    text = render_table(compare_all(luckless, ["denoise_method"], alpha=0.05))
    assert "gaussian and none cannot be told apart by loss" in text
    assert "The macro-F1 of gaussian is higher: it differs by +0.0629." in text
    assert "The macro-F1 of non_local_means" not in text


def test_the_page_holds_everything_by_itself_and_each_drawing_has_a_text(found, scores):
    page = render_ablation(found, scores, RunConfig())
    assert not re.search(r'(src|srcset|href)="(?!data:|#)', page)
    described = re.findall(r'<img [^>]*alt="([^"]+)"', page)
    # Three scores of two settings, and three learning curves.
    assert len(described) == page.count("<img ") == 9
    assert "Simulated data" in page
    assert "<td>−0.1258<small>" in page


@needs_browser
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_sticks_out_of_the_page(found, scores, tmp_path, width):
    path = tmp_path / "ablation.html"
    path.write_text(render_ablation(found, scores, RunConfig()))
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        sizes = page.evaluate("[...document.querySelectorAll('img')].map(i => i.clientWidth)")
    assert min(sizes) >= 300  # drawn so large that the text in them can be read
