"""The settings of RunConfig as command-line options, made from the same fields as the form."""

import inspect
import json
from collections.abc import Callable
from typing import Annotated, Any, get_args

import typer

from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.presets import PRESETS, Preset, default_preset, form_schemas


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
        names = RunConfig.model_fields
        given = {n: v for n, v in values.items() if n in names and v is not None}
        rest = {n: v for n, v in values.items() if n not in names}
        return command(**rest, settings={n: _read(n, v) for n, v in given.items()})

    wrapper.__signature__ = inspect.Signature([*kept, *options])  # pyright: ignore[reportFunctionMemberAccess]
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    return wrapper


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

    Objects, and lists of them, are JSON.
    """
    field = RunConfig.model_fields[name]
    if text.lstrip().startswith(("{", "[")):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"--{name.replace('_', '-')} is no JSON ({error}): {text}") from None
    if isinstance(field.default, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    by_text = {str(choice): choice for choice in get_args(field.annotation)}
    return by_text.get(text, text)


def _metavar(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "|".join(str(choice) for choice in schema["enum"])
    if schema["type"] == "object" or schema.get("items", {}).get("type") == "object":
        return "JSON"
    return "A,B,…" if schema["type"] == "array" else schema["type"].upper()


def _show(default: Any) -> str:
    if isinstance(default, list | tuple):
        return ",".join(default) or "none"
    return str(default) if default not in ("", {}) else "empty"
