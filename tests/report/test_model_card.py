"""The card says what a model is, for whom, how good and how to make it again."""

import json
import shlex

import pytest
from fixtures.published_runs import publish_run
from fixtures.report_inputs import CLASSES, make_inputs
from fixtures.trained_inputs import make_record

from galaxy_tasks.cli.options import complete_settings, read_settings
from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.report.model_card import render_model_card
from galaxy_tasks.report.settings_table import format_command

ONE = {"architectures": ("resnet18",)}


@pytest.fixture(scope="module")
def inputs():
    return make_inputs()


def render(inputs, config: RunConfig) -> str:
    record = make_record(config, classes=CLASSES)
    key = inputs.outcome.networks[0].models[0].key
    return render_model_card(inputs, record, model_key=key)


def test_it_has_data_scores_and_limits(inputs):
    config = RunConfig(release="galaxy_zoo_2", source="/data/gz2", seed=7)
    card = render(inputs, config)
    assert card.startswith("# resnet18, seed 7\n\n")
    assert "Willett" in card or "Hart" in card
    assert "Licence of the catalogue:" in card
    scores = inputs.outcome.networks[0].models[0].evaluation
    for one in scores.class_scores:
        assert f"| {one.support:,} | {one.precision.value:.3f}" in card
    assert f"| macro-F1 | {scores.macro_f1.value:.3f} |" in card
    for heading in ("Data", "Intended use and limits", "Probabilities", "Cost", "How to reproduce"):
        assert f"\n## {heading}\n" in card
    assert "Code version 0.1.0, with keras 3.15.1, tensorflow 2.21.0; this is" in card
    assert "Simulated" not in card
    assert "Simulated galaxies" in render(inputs, RunConfig())


def test_it_tells_what_the_model_started_from(inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    first = publish_run("1", RunConfig(release="galaxy_zoo_1", source="/data"))["model"]
    second = publish_run("2", RunConfig(start_from=first.key, **ONE))["model"]
    card = render(inputs, RunConfig(start_from=second.key, **ONE))
    assert (
        f"It started from resnet18 {second.key}, trained on 1,000 galaxies of simulated. That "
        f"model started from resnet18 {first.key}, trained on 1,000 galaxies of galaxy_zoo_1 "
        "(data). No "
    ) in card
    assert "It started from" not in render(inputs, RunConfig())


def test_its_tables_are_whole_markdown_tables(inputs):
    blocks = render(inputs, RunConfig()).split("\n\n")
    tables = [block.splitlines() for block in blocks if block.startswith("|")]
    assert [len(table) for table in tables] == [2 + 4, 2 + len(CLASSES)]
    for table in tables:
        assert len({line.count("|") for line in table}) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"release": "class_table", "source": "/data/my galaxies", "has_flips": False},
        {"architectures": ("resnet18", "densenet121"), "learning_rate": 0.0005},
        {"release": "class_table", "source": "/d", "ignored_classes": ("a, b", "c"), "seed": 3},
        {"release": "class_table", "source": "/d", "class_names": {"it's": "spiral"}},
        {
            **{"release": "galaxy_zoo_1", "source": "/d"},
            "combine": ({"release": "galaxy_zoo_hubble", "source": "/h"},),
        },
    ],
)
def test_its_command_makes_the_same_settings_again(settings):
    config = parse_config(settings)
    program, command, *words = shlex.split(format_command(config))
    assert (program, command) == ("galaxy-morphology", "run")
    options = {
        name.removeprefix("--").replace("-", "_"): value
        for name, value in zip(words[::2], words[1::2], strict=True)
    }
    preset = options.pop("preset")
    given = read_settings(options)
    assert parse_config(complete_settings(given, preset)) == config, json.dumps(given)  # pyright: ignore[reportArgumentType]
