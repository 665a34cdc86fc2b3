"""The settings of a run as the report lists them: each beside its default and its meaning."""

import json
from dataclasses import dataclass
from typing import Any

from galaxy_tasks.config import ReleaseSettings, RunConfig


@dataclass(frozen=True)
class Setting:
    """One line of the table."""

    name: str
    section: str
    value: str
    default: str
    meaning: str
    is_changed: bool


def list_settings(config: RunConfig) -> list[Setting]:
    """Return the settings of a run in the order of the trigger form."""
    listed = []
    for name, field in RunConfig.model_fields.items():
        value, extra = getattr(config, name), field.json_schema_extra
        section = extra.get("section") if isinstance(extra, dict) else None
        listed.append(
            Setting(
                name=name,
                section=str(section or "Main"),
                value=_format_value(value),
                default=_format_value(field.default),
                meaning=field.description or "",
                is_changed=value != field.default,
            )
        )
    return listed


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
