"""Manifests that announce releases: small TOML files in a folder that Airflow watches.

A manifest says what the release is called and with which settings it is trained on:

    name = "Galaxy Zoo 1, images of 2026-11"

    [settings]
    release = "class_table"
    source = "/data/galaxy_zoo_1"
    ignored_classes = ["dont_know"]

Settings that it leaves out are those of the trigger form. With `zenodo_concept = "8360384"` it
announces, instead of itself, every version that Zenodo publishes of that concept record; `source`
is then the folder with what the record lacks, such as the images.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from galaxy_tasks.config import PRESETS, parse_config
from galaxy_tasks.errors import InputError, show

SUFFIX = ".toml"
_MOST_BYTES = 64 * 1024
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Announcement:
    """A release that is there to be trained on."""

    name: str
    settings: dict[str, Any]
    """Names and values of RunConfig."""
    version: str = ""
    """What the publisher calls this version; empty where there are none."""
    files: dict[str, str] = field(default_factory=dict)
    """MD5 of the version's files by their names, where the publisher gives them."""

    @property
    def key(self) -> str:
        """16 hexadecimal digits that follow from name and settings, however they were written.

        A setting that says what holds anyway does not count; one of a preset, whose default
        depends on the machine, always does.
        Of a version only the record's id counts, which is among the settings: a publisher may
        rename a version, and nobody shall train again for that.
        """
        return _hash(self.name, _list_differing(self.settings))

    @property
    def old_key(self) -> str:
        """The key by the settings as they were written, the only one in earlier versions."""
        return _hash(self.name, self.settings)

    @property
    def title(self) -> str:
        """The name, with the version and the record where there are any."""
        version = f", version {show(self.version)}" if self.version else ""
        record = self.settings.get("zenodo_record")
        return show(self.name) + version + (f" (Zenodo record {show(record)})" if record else "")

    def as_payload(self) -> dict[str, Any]:
        """Return the JSON form, which `from_payload` reads."""
        details = {"version": self.version, "files": self.files}
        return {"name": self.name, "settings": self.settings, **details}

    @staticmethod
    def from_payload(payload: Mapping[str, Any]) -> "Announcement":
        """Return the announcement of a JSON form."""
        return Announcement(
            payload["name"],
            payload["settings"],
            payload.get("version", ""),
            payload.get("files", {}),
        )

    def describe(self, announced: Sequence[Mapping[str, Any]]) -> str:
        """Return the title, and which files differ from the version announced before it."""
        others = [one for one in map(Announcement.from_payload, announced) if one.files]
        keys = [one.key for one in others]
        earlier = others[: keys.index(self.key)] if self.key in keys else others
        before = next((one for one in reversed(earlier) if one.name == self.name), None)
        if before is None or not self.files:
            return self.title
        changes = {
            "changed": [n for n, md5 in self.files.items() if before.files.get(n, md5) != md5],
            "new": [name for name in self.files if name not in before.files],
            "gone": [name for name in before.files if name not in self.files],
        }
        told = [
            f"{what}: {', '.join(map(show, names[:20]))}"
            for what, names in changes.items()
            if names
        ]
        return f"{self.title} (files {'; '.join(told) or 'as they were'})"


@dataclass(frozen=True)
class Manifest:
    """What a manifest says."""

    name: str
    settings: dict[str, Any]
    zenodo_concept: str = ""
    """Id of the concept record whose versions it announces; empty: it announces itself."""


@dataclass
class Folder:
    """The folder that manifests are dropped into, and what is known of its files."""

    path: Path
    _sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _told: dict[Path, str] = field(default_factory=dict)

    def read(self) -> tuple[list[Manifest], list[str]]:
        """Return the manifests in the order of the files' names, and what is wrong since then.

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
                found.append(read_manifest(path))
            except InputError as error:
                if self._told.get(path) != str(error):
                    problems.append(str(error))
                self._told[path] = str(error)
        self._sizes = sizes
        return found, problems


def read_manifest(path: Path) -> Manifest:
    """Return what a manifest says.

    Raises:
        InputError: it is no TOML, lacks a name, or has settings that RunConfig refuses.
    """
    place = show(path)
    document = _read_toml(path)
    unknown = sorted(set(document) - {"name", "settings", "zenodo_concept"})
    name, settings = document.get("name"), document.get("settings")
    if unknown or not isinstance(name, str) or not name or not isinstance(settings, dict):
        raise InputError(
            f"{place}: expected a 'name' (text), a table [settings], if need be a "
            "'zenodo_concept', and nothing else. Received: "
            f"{', '.join(map(show, sorted(document))) or 'nothing'}"
        )
    if not name.isprintable() or not name.strip() or len(name) > _LONGEST_NAME:
        raise InputError(
            f"{place}: expected a 'name' of at most {_LONGEST_NAME} printable characters, without "
            f"line breaks and control characters. Received {len(name)}: {name[:_LONGEST_NAME]!r}"
        )
    concept = str(document.get("zenodo_concept", ""))
    if "zenodo_concept" in document and not re.fullmatch(r"[0-9]{1,18}", concept):
        raise InputError(
            f"{place}: expected the number of a Zenodo record as 'zenodo_concept', that at the end "
            f"of the DOI for all versions. Received: {document['zenodo_concept']!r}"
        )
    try:
        parse_config({**settings, "zenodo_record": concept} if concept else settings)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    return Manifest(name, settings, concept)


def _hash(name: str, settings: Mapping[str, Any]) -> str:
    text = json.dumps([name, settings], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _list_differing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults, and those of presets, as parsed."""
    try:
        config = parse_config(dict(settings))
    except InputError:  # announced to an earlier version, which had other settings
        return dict(settings)
    differing = config.model_dump(mode="json", exclude_defaults=True)
    of_presets = {name for preset in PRESETS.values() for name in preset}
    written = {name for name in of_presets if settings.get(name) is not None}
    return differing | config.model_dump(mode="json", include=written)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise InputError(f"{show(path)} is no file.")
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{show(path)}: more than {_MOST_BYTES} bytes, which is no manifest.")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, RecursionError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{show(path)} cannot be read as TOML: {error}") from None


def _measure(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # removed since it was listed, or a link to nothing
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)
