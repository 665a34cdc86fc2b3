"""The README names only what is there."""

import re
from pathlib import Path

from galaxy_tasks.config import RunConfig

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()


def test_files_and_commands_exist():
    linked = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    named = re.findall(r"`?(scripts/\w+|dags/|galaxy_tasks/|tests/|benchmarks/)`?", TEXT)
    assert linked
    assert named
    assert [path for path in {*linked, *named} if not (ROOT / path).exists()] == []


def test_options_are_settings_or_the_commands_own():
    own = {"--preset", "--model", "--help", "--once", "--port"}
    options = set(re.findall(r"--[a-z][a-z-]+", TEXT)) - own
    assert options
    settings = {f"--{name.replace('_', '-')}" for name in RunConfig.model_fields}
    assert options <= settings


def test_nothing_is_left_to_fill_in():
    assert "@@" not in TEXT
