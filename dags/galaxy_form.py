"""The trigger form: one field for each setting of a run."""

from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

from galaxy_tasks.config import Preset, form_schemas


def make_params(preset: Preset) -> ParamsDict:
    """Return the DAG's params, named as the settings, with the preset's values as defaults.

    A field keeps its setting's name as its label, so that form, API, command line and log use one
    word. Fields without a section stand on top.
    """
    return ParamsDict(
        {
            name: Param(**{key: value for key, value in schema.items() if _is_shown(key, value)})
            for name, schema in form_schemas(preset).items()
        }
    )


def _is_shown(key: str, value: object) -> bool:
    return key != "title" and (key, value) != ("section", "")
