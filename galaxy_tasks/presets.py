"""Sets of settings for a GPU and for a processor, and the trigger form with one as its defaults."""

import os
from pathlib import Path
from typing import Any, Literal

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError

Preset = Literal["full", "quick"]

PRESETS: dict[Preset, dict[str, Any]] = {
    "full": {},
    "quick": {
        "architectures": ("alexnet", "resnet18", "densenet121"),
        "image_size_px": 64,
        "epochs": 8,
        "warmup_epochs": 1.0,
    },
}
"""Settings that differ from the defaults: 'full' suits a GPU, 'quick' a processor."""


def default_preset() -> Preset:
    """Return GALAXY_PRESET if set, else 'full' with an NVIDIA GPU, else 'quick'."""
    named = os.environ.get("GALAXY_PRESET", "")
    if named:
        if named not in PRESETS:
            raise InputError(
                f"GALAXY_PRESET must be one of {', '.join(PRESETS)}. Received: {named!r}"
            )
        return named
    return "full" if Path("/dev/nvidiactl").exists() else "quick"


def form_schemas(preset: Preset) -> dict[str, dict[str, Any]]:
    """Return for each setting the JSON schema of its field in the trigger form, with its default.

    The default is the preset's, and the description ends with the bounds. Keys follow RunConfig's
    order, which is the order of the form.
    """
    document = RunConfig.model_json_schema()
    schemas = document["properties"]
    for schema in schemas.values():
        # A field stands alone in the form, where a reference to the document leads nowhere.
        if reference := schema.get("items", {}).get("$ref"):
            schema["items"] = document["$defs"][reference.rpartition("/")[2]]
    for name, value in PRESETS[preset].items():
        schemas[name]["default"] = list(value) if isinstance(value, tuple) else value
    for schema in schemas.values():
        schema["description"] = schema["description"].removesuffix(".") + _describe_bounds(schema)
    return schemas


def _describe_bounds(schema: dict[str, Any]) -> str:
    bounds = [schema.get(name) for name in ("minimum", "maximum")]
    return "." if None in bounds else f" ({bounds[0]} to {bounds[1]})."
