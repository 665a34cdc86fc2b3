import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation import compare_models, evaluate_probabilities
from galaxy_tasks.examples import ExampleGalaxy, choose_examples
from galaxy_tasks.report import (
    MissingModel,
    RejectedImage,
    ReportInputs,
    describe_settings,
    render_leaderboard,
    render_report,
    show_duration,
)
from galaxy_tasks.selection import Candidate, choose_winner

CLASSES = (
    "completely_round_smooth",
    "in_between_smooth",
    "cigar_shaped_smooth",
    "edge_on",
    "spiral",
)
LABELS = np.repeat(np.arange(5), [96, 94, 8, 41, 212])
SKILL = {"alexnet": 0.8, "resnet50": 0.92, "densenet121": 0.9}
NUM_PARAMETERS = {"alexnet": 58_300_000, "resnet50": 23_600_000, "densenet121": 7_040_000}
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))


def draw_probabilities(skill, *, seed):
    random = np.random.default_rng(seed)
    is_right = random.random(len(LABELS)) < skill
    calls = np.where(is_right, LABELS, random.integers(0, 5, len(LABELS)))
    table = random.dirichlet(np.full(5, 0.6), len(LABELS)) * 0.45
    table[np.arange(len(LABELS)), calls] += 0.55
    return table


def draw_history(skill):
    return [
        {
            "epoch": epoch,
            "loss": 1.6 * 0.9**epoch + 0.2,
            "val_loss": 1.6 * 0.9**epoch + 0.3 + 0.002 * epoch,
            "accuracy": skill * (1 - 0.8**epoch),
            "val_accuracy": skill * (1 - 0.82**epoch) - 0.01,
            "val_macro_f1": skill * (1 - 0.85**epoch) - 0.05 - 0.02 * (epoch % 3),
            "learning_rate": 1e-3,
            "images_per_s": 1480.0,
            "seconds": 4.1,
        }
        for epoch in range(1, 31)
    ]


def draw_galaxy(*, seed):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:112j, -1:1:112j]
    light = np.exp(-3 * np.hypot(x, y * random.uniform(1, 4))) + random.normal(0.06, 0.02, x.shape)
    return (np.clip(light[..., None] * [1, 0.9, 0.75], 0, 1) * 255).astype(np.uint8)


def make_inputs(**changes) -> ReportInputs:
    tables = {name: draw_probabilities(skill, seed=7) for name, skill in SKILL.items()}
    common = {"labels": LABELS, "bootstrap_samples": 300, "seed": 1}
    candidates = tuple(
        Candidate(
            evaluation=evaluate_probabilities(table, architecture=name, classes=CLASSES, **common),
            num_parameters=NUM_PARAMETERS[name],
            training_s=754.0,
            images_per_s=1480.0,
            key=f"5d2c{name}",
            path=f"models/5d2c{name}",
        )
        for name, table in tables.items()
    )
    selection = choose_winner(
        candidates,
        compare=lambda first, second: compare_models(
            tables[first.architecture],
            tables[second.architecture],
            first=first.architecture,
            second=second.architecture,
            **common,
        ),
    )
    table = tables[selection.winner]
    rows = choose_examples(table, labels=LABELS, num_each=12)
    examples = tuple(
        ExampleGalaxy(
            galaxy_id=f"58772295{row:06}",
            image=draw_galaxy(seed=row),
            label=CLASSES[LABELS[row]],
            prediction=CLASSES[table[row].argmax()],
            probability=float(table[row].max()),
        )
        for row in (*rows.right, *rows.wrong)
    )
    train = dict(zip(CLASSES, (325, 318, 25, 140, 722), strict=True))
    inputs = ReportInputs(
        config=RunConfig(epochs=30, image_size_px=112, architectures=tuple(SKILL)),  # pyright: ignore[reportArgumentType]
        selection=selection,
        candidates=candidates,
        missing_models=(MissingModel("resnet18", "skipped", "not chosen in the form"),),
        histories={name: draw_history(skill) for name, skill in SKILL.items()},
        examples=examples,
        num_rows=60_369,
        class_counts={"train": train, "validation": dict.fromkeys(CLASSES, 50), "test": train},
        dropped={"no_image_file": 57_636, "class_ignored": 480},
        rejected_images=(RejectedImage("100008.jpg", "truncated: 2,131 of 14,002 bytes"),),
        artifacts={"labels": "9f31c0de22aa7b14", "images": "0c55e1aa9b7d0f02"},
        hardware={"training": "NVIDIA H100 80GB HBM3", "processor": "16 cores"},
        times_s={"clean_labels": 21.4, "preprocess_images": 9.7, "train_resnet": 754.0},
        code_version="0.1.0",
        written="2026-11-23 20:40 UTC",
    )
    return replace(inputs, **changes)


@pytest.fixture(scope="module")
def inputs():
    return make_inputs()


@pytest.fixture(scope="module")
def page(inputs):
    return render_report(inputs)


def test_the_page_names_every_model_class_and_reason(page, inputs):
    for name in (*SKILL, "resnet18", *CLASSES, *inputs.dropped, "100008.jpg"):
        assert name in page or name.replace("_", " ") in page, name
    assert inputs.selection.reason in page
    for key in ("9f31c0de22aa7b14", "NVIDIA H100 80GB HBM3", "12 min 34 s"):
        assert key in page


def test_the_page_shows_the_numbers_of_the_evaluation(page, inputs):
    for candidate in inputs.candidates:
        score = candidate.evaluation.macro_f1
        assert f"{score.value:.3f}<small>{score.low:.3f}–{score.high:.3f}</small>" in page
        for row in candidate.evaluation.confusion_matrix:
            assert all(f">{count:,}<" in page for count in row)


def test_the_page_loads_nothing_from_anywhere(page):
    assert "http" not in page
    loads = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)', page)
    assert loads
    assert {(one or two)[:5] for one, two in loads} <= {"data:"} | {
        (one or two)[:5] for one, two in loads if (one or two).startswith("#")
    }
    assert "<script" not in page
    assert "@import" not in page


def test_every_image_and_drawing_has_a_text_alternative(page, inputs):
    images = re.findall(r"<img [^>]*>", page)
    assert len(images) == len(inputs.examples)
    assert all(re.search(r'alt="Galaxy \d+: [^"]+"', image) for image in images)
    drawings = re.findall(r"<svg [^>]*>", page)
    assert len(drawings) == 2 * len(SKILL)
    assert all('role="img"' in one and "by epoch" in one for one in drawings)


def test_simulated_data_is_said_to_be_simulated(page, inputs):
    assert 'class="badge">Simulated data' in page
    observed = RunConfig(release="class_table", source="galaxies")
    assert 'class="badge"' not in render_report(replace(inputs, config=observed))


def test_names_from_user_tables_cannot_inject_markup(inputs):
    evil = "<script>alert(1)</script>"
    galaxy = ExampleGalaxy('"><img src=x>', draw_galaxy(seed=1), evil, evil, 0.9)
    candidates = tuple(
        replace(one, evaluation=replace(one.evaluation, classes=(evil, *CLASSES[1:])))
        for one in inputs.candidates
    )
    page = render_report(
        replace(
            inputs,
            candidates=candidates,
            examples=(galaxy,),
            dropped={evil: 1},
            rejected_images=(RejectedImage(evil, evil),),
            missing_models=(MissingModel("resnet18", "failed", evil),),
        )
    )
    assert "<script" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10


def test_changed_settings_are_told_from_defaults(inputs):
    described = {one["name"]: one for one in describe_settings(inputs.config)}
    assert list(described) == list(RunConfig.model_fields)
    changed = {name for name, one in described.items() if one["is_changed"]}
    assert changed == {"epochs", "image_size_px"}
    assert (described["epochs"]["value"], described["epochs"]["default"]) == ("30", "60")


def test_a_run_with_one_model_and_nothing_else_makes_a_page(inputs):
    alone = inputs.candidates[:1]
    selection = choose_winner(alone, compare=lambda first, second: pytest.fail("one model"))
    bare = replace(
        inputs,
        candidates=alone,
        selection=selection,
        missing_models=(),
        histories={"alexnet": [{"epoch": 1, "loss": float("nan")}]},
        examples=(),
        class_counts={},
        dropped={},
        rejected_images=(),
        num_rows=0,
        artifacts={},
        hardware={},
        times_s={},
    )
    page = render_report(bare)
    assert "only trained model" in page
    assert "None: every image was read." in page


def test_an_example_that_is_no_image_is_refused(inputs):
    grey = replace(inputs.examples[0], image=np.zeros((8, 8), dtype=np.uint8))
    with pytest.raises(InputError, match=r"uint8 \(height, width, 3\).*\(8, 8\)"):
        render_report(replace(inputs, examples=(grey,)))


def test_the_leaderboard_marks_the_winner_and_lists_what_is_missing(inputs):
    failed = MissingModel("resnet152", "failed", "out of memory")
    table = render_leaderboard(inputs.selection, inputs.candidates, (failed,))
    lines = table.splitlines()
    assert lines[0].startswith("Leaderboard on 451 test galaxies")
    marked = [line for line in lines if line.startswith("*")]
    assert [line.split()[1] for line in marked] == [inputs.selection.winner]
    assert "   resnet152: failed (out of memory)" in lines
    scores = [float(re.findall(r"0\.\d{3}", line)[0]) for line in lines[2:5]]
    assert scores == sorted(scores, reverse=True)
    assert "23,600,000  12 min 34 s     1,480" in table


def test_examples_take_the_classes_in_turn():
    labels = np.array([0, 0, 0, 1, 1, 1])
    table = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8], [0.8, 0.2], [0.6, 0.4]])
    rows = choose_examples(table, labels=labels, num_each=3)
    assert rows.right == (2, 3, 0)  # of class 0 the one of middling confidence first
    assert rows.wrong == (4, 5)  # the surest mistake first
    assert choose_examples(table, labels=labels, num_each=1).wrong == (4,)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(4.25, "4.2 s"), (125, "2 min 05 s"), (3599.6, "1 h 00 min"), (7260, "2 h 01 min")],
)
def test_durations_read_as_people_say_them(seconds, shown):
    assert show_duration(seconds) == shown


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_of_the_page(page, tmp_path, width, height, scheme):
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.is_file():
        pytest.skip(f"no Chromium at {CHROMIUM}; set CHROMIUM to its place")
    (tmp_path / "report.html").write_text(page)
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        messages = []
        tab.on("console", lambda message: messages.append(message.text))
        tab.goto((tmp_path / "report.html").as_uri())
        page_width = tab.evaluate("document.documentElement.scrollWidth")
        tab.screenshot(path=tmp_path / "page.png", full_page=True)
        browser.close()
    assert page_width == width
    assert messages == []
