"""How scores, durations, names and settings are written for people, in the log and on the page."""

import json
from typing import Any

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation import Estimate
from galaxy_tasks.release_settings import ReleaseSettings


def describe_settings(config: RunConfig) -> list[dict[str, Any]]:
    """Return for each setting its name, section, value, default, meaning and is_changed."""
    described = []
    for name, field in RunConfig.model_fields.items():
        value, default = getattr(config, name), field.default
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        described.append(
            {
                "name": name,
                "section": extra.get("section") or "Main",
                "value": _show_setting(value),
                "default": _show_setting(default),
                "meaning": field.description,
                "is_changed": value != default,
            }
        )
    return described


def show_estimate(estimate: Estimate) -> str:
    """Return the value and its interval, as in 0.912 [0.897, 0.926]."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def show_duration(seconds: float) -> str:
    """Return a duration in the two largest units that matter, as in 4 min 05 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def show_words(name: str) -> str:
    """Return a name as prose has it: blanks for underscores."""
    return name.replace("_", " ")


def _show_setting(value: Any) -> str:
    if isinstance(value, ReleaseSettings):
        return json.dumps(value.model_dump(mode="json", exclude_defaults=True))
    if isinstance(value, tuple):
        return ", ".join(_show_setting(part) for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {one}" for key, one in value.items()) or "none"
    return "empty" if value == "" else str(value)
