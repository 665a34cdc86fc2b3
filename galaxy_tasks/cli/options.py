"""The settings of RunConfig as command-line options, made from the same fields as the form."""

import contextlib
import functools
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args

import typer

from galaxy_tasks.config import (
    PRESETS,
    Preset,
    RunConfig,
    default_preset,
    form_schemas,
    parse_config,
)
from galaxy_tasks.errors import InputError

# Short ones, so that no option's name is cut where a terminal has 80 columns.
_METAVARS = {"array": "A,B", "string": "STR", "boolean": "Y/N", "integer": "N", "number": "N"}

PresetOption = Annotated[
    Preset | None,
    typer.Option(help="Settings to start from. Default: GALAXY_PRESET, else by GPU."),
]


def with_setting_options(
    **own_schemas: dict[str, Any],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command an option `--setting-name` for every setting.

    The command receives the given ones as a dict `settings`. RunConfig checks the values, not the
    option's type, so that form, REST API and command line report errors in the same words. The help
    shows the preset's values and the settings' descriptions, unless `own_schemas` has others.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = list(inspect.signature(command).parameters.values())
        kept = [parameter for parameter in own if parameter.name != "settings"]

        def wrapper(**values: Any) -> Any:
            rest = {n: v for n, v in values.items() if n not in RunConfig.model_fields}
            return command(**rest, settings=read_settings(values))

        parameters = [*kept, *_list_options(own_schemas)]
        wrapper.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
        wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
        return wrapper

    return decorate


def _list_options(own_schemas: Mapping[str, dict[str, Any]]) -> list[inspect.Parameter]:
    preset = _preset_to_show()
    return [
        _option(name, {**schema, **own_schemas[name]}, "")
        if name in own_schemas
        else _option(name, schema, preset)
        for name, schema in form_schemas(preset).items()
    ]


def read_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings among a command's parameters that were given, as RunConfig takes them.

    Raises:
        InputError: a setting that is an object, or a list of objects, is not valid JSON.
    """
    given = {n: v for n, v in values.items() if n in RunConfig.model_fields and v is not None}
    return {name: _read(name, text) for name, text in given.items()}


def read_values(name: str, text: str) -> list[Any]:
    """Return several values of a setting, split at commas; RunConfig checks them."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return [_read(name, part) if name in RunConfig.model_fields else part for part in parts]


def complete_settings(given: dict[str, Any], preset: Preset) -> dict[str, Any]:
    """Return all settings as JSON: the given ones, else the preset's, else the defaults.

    Raises:
        InputError: names each wrong setting.
    """
    return parse_config({**PRESETS[preset], **given}).model_dump(mode="json")


def _preset_to_show() -> Preset:
    """Return the preset whose values the help shows as defaults.

    A wrong GALAXY_PRESET is an error of the command that needs it, not of the help.
    """
    try:
        return default_preset()
    except InputError:
        return "full"


def _option(name: str, schema: dict[str, Any], preset: str) -> inspect.Parameter:
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=schema["description"]
        + _describe_choices(schema)
        + _describe_default(name, schema["default"], preset),
        metavar=_metavar(schema),
        rich_help_panel=schema["section"] or "Main settings",
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def _describe_choices(schema: dict[str, Any]) -> str:
    return f" One of {', '.join(map(str, schema['enum']))}." if "enum" in schema else ""


def _describe_default(name: str, default: Any, preset: str) -> str:
    """Return the default in words; `preset` is whose it may be, '' for no preset's."""
    if default in ("", {}, [], ()):
        return ""
    is_by_preset = preset and any(name in values for values in PRESETS.values())
    where = f" with preset {preset}" if is_by_preset else ""
    shown = ", ".join(default) if isinstance(default, list | tuple) else default
    return f" Default{where}: {shown}."


def _read(name: str, text: str) -> Any:
    """Return the text as RunConfig takes it: lists split at commas, numeric choices as numbers.

    Objects and lists of objects are JSON; a list of texts may be, for names with a comma. Any other
    text is taken literally, whatever it begins with: an image's name may be '{id}.jpg'.
    """
    field = RunConfig.model_fields[name]
    if name in _json_settings():
        try:
            return json.loads(text) if text.strip() else field.default
        except json.JSONDecodeError as error:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option} must be JSON ({error}). Received: {text}") from None
    if isinstance(field.default, tuple):
        return _split(text)
    by_text = {str(choice): choice for choice in get_args(field.annotation)}
    return by_text.get(text, text)


def _split(text: str) -> list[str]:
    with contextlib.suppress(json.JSONDecodeError):
        parts = json.loads(text)
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return parts
    return [part.strip() for part in text.split(",") if part.strip()]


def _metavar(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "ONE" if isinstance(schema["enum"][0], str) else "N"
    if _is_json(schema):
        return "JSON"
    return _METAVARS[schema["type"]]


@functools.cache
def _json_settings() -> set[str]:
    return {name for name, schema in form_schemas("full").items() if _is_json(schema)}


def _is_json(schema: dict[str, Any]) -> bool:
    return "object" in (schema.get("type"), schema.get("items", {}).get("type"))
