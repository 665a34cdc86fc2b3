"""Writes docs/settings.md from RunConfig; with --check, only says whether it is up to date."""

import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from galaxy_tasks.config import PRESETS, RunConfig, form_schemas

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
INTRODUCTION = """\
# Settings

Every setting is a field of Airflow's trigger form, an option of `scripts/run` and
`galaxy-morphology run` (`image_size_px` becomes `--image-size-px`), and a key under `[settings]` in
a [release manifest](releases.md#when-a-new-release-lands). On the command line, the items of a
list are separated by commas, and objects are written as JSON.

The defaults below are those of the preset `full`. The preset `quick`, chosen where there is no
NVIDIA GPU, differs in these:

"""
FOOTER = """
This page is generated from `galaxy_tasks/config.py` by `scripts/lib/settings_page.py`.
"""
HEADER = "| setting | default | allowed | what it does |\n|---|---|---|---|\n"


def main() -> int:
    """Write or check the page; return the exit code."""
    page = make_page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page)
    elif not PAGE.is_file() or PAGE.read_text() != page:
        print("docs/settings.md is out of date. Run scripts/lib/settings_page.py.", file=sys.stderr)
        return 1
    return 0


def make_page() -> str:
    """Return the page as Markdown, with a table for each section of the trigger form."""
    schemas = form_schemas("full")
    order = list(dict.fromkeys(schema["section"] for schema in schemas.values()))
    names = sorted(schemas, key=lambda name: order.index(schemas[name]["section"]))
    tables = [
        f"\n## {section or 'Main settings'}\n\n{HEADER}"
        + "".join(make_row(name, schemas[name]) for name in group)
        for section, group in groupby(names, key=lambda name: schemas[name]["section"])
    ]
    quick = "".join(f"- `{name}`: {show(value)}\n" for name, value in PRESETS["quick"].items())
    return INTRODUCTION + quick + "".join(tables) + FOOTER


def make_row(name: str, schema: dict[str, Any]) -> str:
    """Return the table row of a setting."""
    description = RunConfig.model_fields[name].description or ""
    cells = [f"`{name}`", show(schema["default"]), describe_allowed(schema), description]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def describe_allowed(schema: dict[str, Any]) -> str:
    """Return the allowed values in words."""
    item = schema.get("items", {})
    if choices := schema.get("enum") or item.get("enum"):
        return ("list of " if item else "") + ", ".join(f"`{choice}`" for choice in choices)
    if item:
        return "list of objects" if item["type"] == "object" else "list of names"
    if "minimum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    return {"string": "text", "boolean": "`true`, `false`"}.get(schema["type"]) or "object"


def show(value: Any) -> str:
    """Return a value as the command line takes it; empty where there is none."""
    if value in ("", (), [], {}):
        return ""
    text = ",".join(value) if isinstance(value, list | tuple) else str(value)
    return f"`{text.lower() if isinstance(value, bool) else text}`"


if __name__ == "__main__":
    sys.exit(main())
