"""Manifests that announce a release: small TOML files in a folder that Airflow watches.

A manifest says what the release is called and with which settings it is trained on:

    name = "Galaxy Zoo 1, images of 2026-11"

    [settings]
    release = "class_table"
    source = "/data/galaxy_zoo_1"
    ignored_classes = ["dont_know"]

Settings that it leaves out are those of the trigger form.
"""

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from galaxy_tasks.config import parse_config
from galaxy_tasks.errors import InputError

SUFFIX = ".toml"
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Announcement:
    """A release that is there to be trained on."""

    name: str
    settings: dict[str, Any]
    """Names and values of RunConfig."""

    @property
    def key(self) -> str:
        """16 hexadecimal digits that follow from name and settings, wherever they were written."""
        text = json.dumps([self.name, self.settings], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def as_payload(self) -> dict[str, Any]:
        """Return the JSON form, which `from_payload` reads."""
        return {"name": self.name, "settings": self.settings}

    @staticmethod
    def from_payload(payload: dict[str, Any]) -> "Announcement":
        """Return the announcement of a JSON form."""
        return Announcement(payload["name"], payload["settings"])


@dataclass
class Folder:
    """The folder that manifests are dropped into, and what is known of its files."""

    path: Path
    _sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _told: dict[Path, str] = field(default_factory=dict)

    def read(self) -> tuple[list[Announcement], list[str]]:
        """Return what is announced, in the order of the files' names, and what is wrong since then.

        A file counts once it has not changed between two calls: a copy may be under way. What is
        wrong with a file is returned once, and again when it has changed.
        """
        found, problems = [], []
        sizes = {path: _measure(path) for path in sorted(self.path.glob(f"*{SUFFIX}"))}
        for path, size in sizes.items():
            if self._sizes.get(path) != size:
                self._told.pop(path, None)
                continue
            try:
                found.append(read_announcement(path))
            except InputError as error:
                if self._told.get(path) != str(error):
                    problems.append(str(error))
                self._told[path] = str(error)
        self._sizes = sizes
        return found, problems


def read_announcement(path: Path) -> Announcement:
    """Return what a manifest announces.

    Raises:
        InputError: it is no TOML, lacks a name, or has settings that RunConfig refuses.
    """
    try:
        text = path.read_bytes()[: _MOST_BYTES + 1]
        if len(text) > _MOST_BYTES:
            raise InputError(f"{path}: more than {_MOST_BYTES} bytes, which is no manifest.")
        document = tomllib.loads(text.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as TOML: {error}") from None
    unknown = sorted(set(document) - {"name", "settings"})
    name, settings = document.get("name"), document.get("settings")
    if unknown or not isinstance(name, str) or not name or not isinstance(settings, dict):
        raise InputError(
            f"{path}: expected a 'name' (text) and a table [settings], and nothing else. "
            f"Received: {', '.join(sorted(document)) or 'nothing'}"
        )
    try:
        parse_config(settings)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return Announcement(name, settings)


def choose_announcement(
    payloads: Sequence[dict[str, Any]],
) -> tuple[Announcement | None, list[Announcement]]:
    """Return the first announcement of the events that started a run, and those that wait.

    Airflow starts one run for all events that have come since the last; each announcement once,
    in the order they came.
    """
    announced = {one.key: one for one in map(Announcement.from_payload, _flatten(payloads))}
    first, *others = [*announced.values()] or [None]
    return first, [one for one in others if one]


def _flatten(payloads: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for payload in payloads for one in payload["announcements"]]


def _measure(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:  # removed since it was listed
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)
