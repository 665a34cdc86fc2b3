"""The settings of a run as the report lists them: each beside its preset and its meaning."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from galaxy_tasks.config import PRESETS, ReleaseSettings, RunConfig, find_changes


@dataclass(frozen=True)
class Setting:
    """One line of the table."""

    name: str
    section: str
    value: str
    default: str
    """Of the preset that the run is nearest to."""
    meaning: str
    is_changed: bool


def list_settings(config: RunConfig) -> list[Setting]:
    """Return the settings of a run, section by section, in the order of the trigger form."""
    preset, changed = find_changes(config)
    start, listed = RunConfig(**PRESETS[preset]), []
    for name, field in RunConfig.model_fields.items():
        value, extra = getattr(config, name), field.json_schema_extra
        section = extra.get("section") if isinstance(extra, dict) else None
        listed.append(
            Setting(
                name=name,
                section=str(section or "Main"),
                value=_format_value(value),
                default=_format_value(getattr(start, name)),
                meaning=field.description or "",
                is_changed=name in changed,
            )
        )
    sections = list(dict.fromkeys(one.section for one in listed))
    return sorted(listed, key=lambda one: sections.index(one.section))


def format_command(config: RunConfig) -> str:
    """Return the command that makes a run of these settings again, on one line."""
    preset, changed = find_changes(config)
    words = ["galaxy-morphology", "run", "--preset", preset]
    for name, value in changed.items():
        words += [f"--{name.replace('_', '-')}", _format_argument(value)]
    return shlex.join(words)


def _format_argument(value: Any) -> str:
    """Return a value as the option takes it: lists split at commas, unless JSON is clearer."""
    if isinstance(value, tuple) and all(isinstance(one, str) and "," not in one for one in value):
        return ",".join(value)
    if isinstance(value, tuple | dict | bool):
        return json.dumps(value, default=lambda one: one.model_dump(exclude_defaults=True))
    return str(value)


def _format_value(value: Any) -> str:
    if isinstance(value, ReleaseSettings):
        return json.dumps(value.model_dump(mode="json", exclude_defaults=True))
    if isinstance(value, tuple):
        return ", ".join(map(_format_value, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {part}" for key, part in value.items()) or "none"
    return "empty" if value == "" else str(value)
