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
from collections.abc import Mapping, Sequence
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
    def from_payload(payload: Mapping[str, Any]) -> "Announcement":
        """Return the announcement of a JSON form."""
        return Announcement(payload["name"], payload["settings"])


@dataclass(frozen=True)
class Turn:
    """Which announcement a run works on, as `take_turn` decides."""

    announcement: Announcement | None
    """None: others have taken all there are."""
    taken: dict[str, str]
    """The run that has taken an announcement, by the announcement's key, this one included."""
    are_more_waiting: bool


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
        if not path.is_file():
            raise InputError(f"{path} is no file.")
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: more than {_MOST_BYTES} bytes, which is no manifest.")
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, tomllib.TOMLDecodeError) as error:
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


def take_turn(
    announced: Sequence[Mapping[str, Any]], *, taken: Mapping[str, str], run_id: str
) -> Turn:
    """Return what this run works on: what it had taken before, else the oldest that nobody has.

    Airflow may start one run for several announcements, or none for the last of several that come
    at once. So a run does not work on what has started it but on the first that waits.

    Args:
        announced: the JSON forms of all announcements so far, the oldest first.
        taken: which run has taken which, by the announcements' keys.
        run_id: the run whose turn it is; a task of it that is tried again finds its own.
    """
    announcements = {one.key: one for one in map(Announcement.from_payload, announced)}
    own = [key for key in announcements if taken.get(key) == run_id]
    waiting = [key for key in announcements if key not in taken]
    chosen, *more = [*own, *waiting] or [None]
    if chosen is None:
        return Turn(None, dict(taken), are_more_waiting=False)
    return Turn(announcements[chosen], {**taken, chosen: run_id}, are_more_waiting=bool(more))


def _measure(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # removed since it was listed, or a link to nothing
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)
