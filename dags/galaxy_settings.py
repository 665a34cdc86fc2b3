"""The trigger form, one field for each setting of a run, and how often a task is tried."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, RetryDecision, RetryPolicy
from airflow.sdk.definitions.param import ParamsDict

from galaxy_tasks.config import Preset, form_schemas
from galaxy_tasks.errors import InputError


def make_params(
    preset: Preset, *, first: Mapping[str, Param] | None = None, **defaults: Any
) -> ParamsDict:
    """Return a DAG's params: `first`, then the settings, with `defaults` or the preset's values.

    A field keeps its setting's name as its label, so that form, API, command line and log use one
    word. Fields without a section stand on top.
    """
    schemas = form_schemas(preset)
    for name, default in defaults.items():
        schemas[name]["default"] = default
    fields = {name: Param(**_make_field(schema)) for name, schema in schemas.items()}
    return ParamsDict({**(first or {}), **fields})


def _make_field(schema: dict[str, Any]) -> dict[str, Any]:
    # What is inside an object the form refuses without a reason; the first task gives one.
    left_out = ("title", "additionalProperties", "patternProperties")
    field = {name: value for name, value in schema.items() if name not in left_out}
    if schema.get("items", {}).get("type") == "object":
        field["items"] = {"type": "object"}
    if not field["section"]:
        del field["section"]
    if field["default"] in ("", [], {}):  # the form demands an entry unless null is allowed too
        field["type"] = [field["type"], "null"]
    return field


class FailOnBadData(RetryPolicy):
    """Fails a task at once where no retry can help, and leaves the rest to `retries`."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
    ) -> RetryDecision:
        """Return `fail` for an InputError, else the default."""
        if isinstance(exception, InputError):
            return RetryDecision.fail("Wrong data or settings: another try would fail alike.")
        return RetryDecision.default()


DEFAULT_ARGS: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": 2,
    "retry_policy": FailOnBadData(),
    "execution_timeout": timedelta(hours=6),
}
"""What every task has that says nothing else."""
