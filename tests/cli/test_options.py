"""The commands and options in README and getting-started are accepted by both commands."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from galaxy_tasks.cli import main
from galaxy_tasks.cli.options import complete_settings, read_settings
from galaxy_tasks.config import parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.standalone import __main__ as standalone

ROOT = Path(__file__).parents[2]
PAGES = "\n".join((ROOT / page).read_text() for page in ("README.md", "docs/getting-started.md"))
COMMANDS = {
    "galaxy-morphology run": typer.main.get_command(main.app).commands["run"],
    "scripts/run": typer.main.get_command(standalone.app),
}


ABLATE = typer.main.get_command(main.app).commands["ablate"]


def read(command: str, arguments: list[str]) -> dict:
    """Return the settings that a command would run with."""
    with COMMANDS[command].make_context(command, list(arguments)) as context:
        return read_settings(context.params)


def list_examples() -> list[str]:
    """Return the options of these pages that are given values."""
    commands = re.findall(r"^scripts/run (--[^#\n]*)", PAGES, flags=re.MULTILINE)
    quoted = re.findall(r"`(?:scripts/run )?(--[^`]+ [^`]+)`", PAGES)
    given = [text for text in (*commands, *quoted) if not re.search("--(help|vary)", text)]
    return [" ".join(text.split()) for text in given]


def test_the_pages_have_examples():
    examples = list_examples()
    assert "--image-name-pattern '{id}.jpg'" in examples
    assert "--release class_table --source ~/galaxies --image-size-px 112" in examples
    assert len(examples) > 8


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("example", list_examples())
def test_an_example_is_accepted(command, example):
    arguments = shlex.split(example)
    options = {word for word in arguments if word.startswith("--")} - {"--preset"}
    settings = read(command, arguments)
    assert {f"--{name.replace('_', '-')}" for name in settings} == options
    assert parse_config(complete_settings(settings, "quick"))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("image_name_pattern", "{id}.jpg", "{id}.jpg"),
        ("image_name_pattern", "[{id}].png", "[{id}].png"),
        ("source", "[data]/galaxies", "[data]/galaxies"),
        ("images_folder", "{new}", "{new}"),
        ("ignored_classes", "a, b", ["a", "b"]),
        ("ignored_classes", "[O III],{b}", ["[O III]", "{b}"]),
        ("ignored_classes", '["disturbed, merging", "b"]', ["disturbed, merging", "b"]),
        ("ignored_classes", "", []),
        ("median_size_px", "5", 5),
        ("class_names", '{"a": "b"}', {"a": "b"}),
        ("combine", '[{"release": "galaxy_zoo_2"}]', [{"release": "galaxy_zoo_2"}]),
    ],
)
def test_a_text_is_json_only_where_an_object_is_asked_for(name, text, expected):
    assert read_settings({name: text, "preset": "quick", "epochs": None}) == {name: expected}


@pytest.mark.parametrize("name", ["class_names", "combine"])
def test_an_object_that_is_not_json_is_refused(name):
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} must be JSON.*spiral=edge"):
        read_settings({name: "spiral=edge"})


def ablate(*arguments: str):
    return CliRunner().invoke(main.app, ["ablate", *arguments])


def test_the_example_of_an_ablation_is_accepted_by_its_parser():
    (example,) = re.findall(r"^\.venv/bin/galaxy-morphology ablate (.+\n.+)$", PAGES, flags=re.M)
    arguments = shlex.split(example.replace("\\\n", " "))
    with ABLATE.make_context("ablate", arguments) as context:
        assert context.params["vary"] == ["denoise_method=none,gaussian,median"]
        assert parse_config(complete_settings(read_settings(context.params), "quick"))


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        (["denoise_method"], "--vary takes SETTING=VALUE"),
        (["epochs=1,2", "epochs=3,4"], "--vary names 'epochs' twice"),
        (["class_names=a,b"], "'class_names' cannot be varied. Choose among"),
        (["image-size=64,80"], "'image_size' is not a setting. Did you mean 'image_size_px'?"),
        (["epochs=5"], "'epochs' needs a list of two values or more"),
    ],
)
def test_what_an_ablation_cannot_vary_is_said_before_any_work(vary, message, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY_HOME", str(tmp_path))
    result = ablate(*(part for text in vary for part in ("--vary", text)))
    assert message in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_the_help_of_an_ablation_shows_its_own_number_of_folds(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = " ".join(ablate("--help").output.split())
    assert re.search(r"--repeats .*?Default: 3\.", text)
