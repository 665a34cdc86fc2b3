"""The HTML templates: what they are given beside a page's content."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from galaxy_tasks.formatting import (
    format_duration,
    format_millions,
    format_multiply_adds,
    format_name,
    format_p_value,
    format_signed,
)


@dataclass(frozen=True)
class Palette:
    """The colours of a page and of its curves."""

    text: str
    rule: str
    training: str
    validation: str
    macro_f1: str


LIGHT = Palette("#1c2330", "#dde1e7", "#79839a", "#0a66a8", "#c04a00")
DARK = Palette("#e4e8ef", "#2e3744", "#8d98ab", "#62b3ec", "#f29248")


def make_environment(**filters: Callable[..., Any]) -> jinja2.Environment:
    """Return the templates of this folder, which escape what they are given, with more filters."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(light=LIGHT, dark=DARK)
    environment.filters.update(
        words=format_name,
        duration=format_duration,
        p_value=format_p_value,
        signed=format_signed,
        millions=format_millions,
        multiply_adds=format_multiply_adds,
        digest=_digest,
        **filters,
    )
    return environment


def _digest(text: str, tag: str) -> str:
    """Return a style's or script's hash as a Content-Security-Policy has it."""
    content = text.strip().removeprefix(f"<{tag}>").removesuffix(f"</{tag}>")
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
