"""The trigger form: one field for each setting of a run."""

from typing import Any

from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

from galaxy_tasks.presets import Preset, form_schemas


def make_params(preset: Preset) -> ParamsDict:
    """Return the DAG's params, named as the settings, with the preset's values as defaults.

    A field keeps its setting's name as its label, so that form, API, command line and log use one
    word. Fields without a section stand on top.
    """
    schemas = form_schemas(preset)
    return ParamsDict({name: Param(**_make_field(schema)) for name, schema in schemas.items()})


def _make_field(schema: dict[str, Any]) -> dict[str, Any]:
    field = {name: value for name, value in schema.items() if name != "title"}
    if not field["section"]:
        del field["section"]
    if field["default"] in ("", [], {}):  # the form demands an entry unless null is allowed too
        field["type"] = [field["type"], "null"]
    return field
