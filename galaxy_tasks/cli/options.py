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


def with_setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with an option `--setting-name` for every setting.

    The command receives them as `settings`, a dict of those given. Values are checked by RunConfig
    and not by the option's type, so that form, REST API and command line refuse in the same words.
    """
    own = list(inspect.signature(command).parameters.values())
    kept = [parameter for parameter in own if parameter.name != "settings"]
    preset = _preset_to_show()
    options = [_option(name, schema, preset) for name, schema in form_schemas(preset).items()]

    def wrapper(**values: Any) -> Any:
        rest = {n: v for n, v in values.items() if n not in RunConfig.model_fields}
        return command(**rest, settings=read_settings(values))

    wrapper.__signature__ = inspect.Signature([*kept, *options])  # pyright: ignore[reportFunctionMemberAccess]
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    return wrapper


def read_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings among a command's parameters, those given, as RunConfig takes them.

    Raises:
        InputError: a setting that is an object, or a list of them, is no JSON.
    """
    given = {n: v for n, v in values.items() if n in RunConfig.model_fields and v is not None}
    return {name: _read(name, text) for name, text in given.items()}


def complete_settings(given: dict[str, Any], preset: Preset) -> dict[str, Any]:
    """Return all settings as JSON: those given, else the preset's, else the defaults.

    Raises:
        InputError: names each wrong setting.
    """
    return parse_config({**PRESETS[preset], **given}).model_dump(mode="json")


def _preset_to_show() -> Preset:
    """Return the preset whose values the help shows as defaults.

    A wrong GALAXY_PRESET is refused when a command needs it, and not while its options are made.
    """
    try:
        return default_preset()
    except InputError:
        return "full"


def _option(name: str, schema: dict[str, Any], preset: Preset) -> inspect.Parameter:
    where = f" with preset {preset}" if any(name in values for values in PRESETS.values()) else ""
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        help=f"{schema['description']} Default{where}: {_show(schema['default'])}.",
        metavar=_metavar(schema),
        rich_help_panel=schema["section"] or "Main settings",
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def _read(name: str, text: str) -> Any:
    """Return the text as RunConfig takes it: lists parted, numbers of a choice as numbers.

    Objects, and lists of them, are JSON; a list of texts may be, for names with a comma. Any other
    text stands for itself, whatever it begins with: an image's name may be '{id}.jpg'.
    """
    field = RunConfig.model_fields[name]
    if name in _json_settings():
        try:
            return json.loads(text) if text.strip() else field.default
        except json.JSONDecodeError as error:
            raise InputError(f"--{name.replace('_', '-')} is no JSON ({error}): {text}") from None
    if isinstance(field.default, tuple):
        return _part(text)
    by_text = {str(choice): choice for choice in get_args(field.annotation)}
    return by_text.get(text, text)


def _part(text: str) -> list[str]:
    with contextlib.suppress(json.JSONDecodeError):
        parts = json.loads(text)
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return parts
    return [part.strip() for part in text.split(",") if part.strip()]


def _metavar(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "|".join(str(choice) for choice in schema["enum"])
    if _is_json(schema):
        return "JSON"
    return "A,B,…" if schema["type"] == "array" else schema["type"].upper()


@functools.cache
def _json_settings() -> set[str]:
    return {name for name, schema in form_schemas("full").items() if _is_json(schema)}


def _is_json(schema: dict[str, Any]) -> bool:
    return "object" in (schema.get("type"), schema.get("items", {}).get("type"))


def _show(default: Any) -> str:
    if isinstance(default, list | tuple):
        return ",".join(default) or "none"
    return str(default) if default not in ("", {}) else "empty"
