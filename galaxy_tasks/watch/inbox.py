"""The inbox: a folder into which people drop release manifests, small TOML files.

A manifest has a release's name and the settings to train with:

    name = "Galaxy Zoo 1, images of 2026-11"

    [settings]
    release = "class_table"
    source = "/data/galaxy_zoo_1"
    ignored_classes = ["dont_know"]

Settings that it leaves out are those of the trigger form. With `zenodo_concept = "8360384"` it
stands for every version that Zenodo publishes of that concept record; `source` is then the folder
with what the record lacks, such as the images.
"""

import contextlib
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from galaxy_tasks.config import parse_config
from galaxy_tasks.errors import InputError, show
from galaxy_tasks.storage.artifacts import home
from galaxy_tasks.watch.release_event import ReleaseEvent

SUFFIX, REFUSED = ".toml", ".refused.txt"
_MOST_BYTES = 64 * 1024
_LONGEST_NAME = 200


def inbox_folder() -> Path:
    """Return the inbox: GALAXY_RELEASES_FOLDER, else `inbox` in the folder of all artifacts."""
    return Path(os.environ.get("GALAXY_RELEASES_FOLDER") or home() / "inbox")


@dataclass(frozen=True)
class Manifest:
    """What a manifest holds."""

    name: str
    settings: dict[str, Any]
    zenodo_concept: str = ""
    """Id of the concept record whose versions it follows; empty: it is an event by itself."""

    def as_event(self) -> ReleaseEvent:
        """Return the event of a manifest that follows no record."""
        return ReleaseEvent(self.name, self.settings)


@dataclass
class Inbox:
    """The folder, and what is known of its files."""

    path: Path
    _sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _reported: dict[Path, str] = field(default_factory=dict)

    def read(self) -> tuple[list[Manifest], list[str]]:
        """Return the manifests in the order of the files' names, and new problems.

        A file counts once it has not changed between two calls: a copy may be under way. A problem
        with a file is returned once, and again when the file has changed. It also stands beside the
        file, in NAME.toml.refused.txt, until the file is mended or removed.
        """
        found, problems = [], []
        sizes = {path: _measure(path) for path in sorted(self.path.glob(f"*{SUFFIX}"))}
        for path, size in sizes.items():
            if self._sizes.get(path) != size:
                self._reported.pop(path, None)
                continue
            try:
                found.append(read_manifest(path))
                note_refusal(path, "")
            except InputError as error:
                if self._reported.get(path) != str(error):
                    problems.append(f"A manifest was refused. {error}")
                self._reported[path] = str(error)
                note_refusal(path, str(error))
        for note in self.path.glob(f"*{SUFFIX}{REFUSED}"):
            if (path := note.with_name(note.name.removesuffix(REFUSED))) not in sizes:
                note_refusal(path, "")
        self._sizes = sizes
        return found, problems


def note_refusal(path: Path, reason: str) -> None:
    """Write beside a manifest why it was refused; without a reason, remove what stands there.

    Nothing happens where the inbox cannot be written to: the reason is in the log as well.
    """
    note = path.with_name(path.name + REFUSED)
    text = f"{reason}\n".encode()
    with contextlib.suppress(OSError):
        if not reason:
            note.unlink(missing_ok=True)
        elif not note.is_file() or note.read_bytes() != text:
            note.write_bytes(text)


def read_manifest(path: Path) -> Manifest:
    """Return what a manifest holds.

    Raises:
        InputError: it is not TOML, lacks a name, or has settings that RunConfig refuses.
    """
    document = _read_toml(path)
    unknown = sorted(set(document) - {"name", "settings", "zenodo_concept"})
    name, settings = document.get("name"), document.get("settings")
    if unknown or not isinstance(name, str) or not name or not isinstance(settings, dict):
        raise InputError(
            f"{show(path)}: expected a 'name' (text), a table [settings], optionally a "
            "'zenodo_concept', and nothing else. Received: "
            f"{', '.join(map(show, sorted(document))) or 'nothing'}"
        )
    if not name.isprintable() or not name.strip() or len(name) > _LONGEST_NAME:
        raise InputError(
            f"{show(path)}: expected a 'name' of at most {_LONGEST_NAME} printable characters, "
            "without line breaks and control characters. "
            f"Received {len(name)}: {name[:_LONGEST_NAME]!r}"
        )
    concept = _check_concept(path, document)
    try:
        parse_config({**settings, "zenodo_record": concept} if concept else settings)
    except InputError as error:
        raise InputError(f"{show(path)}: {error}") from None
    return Manifest(name, settings, concept)


def _check_concept(path: Path, document: dict[str, Any]) -> str:
    concept = str(document.get("zenodo_concept", ""))
    if "zenodo_concept" in document and not re.fullmatch(r"[0-9]{1,18}", concept):
        raise InputError(
            f"{show(path)}: expected the number of a Zenodo record as 'zenodo_concept', the last "
            f"part of the DOI for all versions. Received: {document['zenodo_concept']!r}"
        )
    return concept


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise InputError(f"{show(path)} is not a file.")
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(
                f"{show(path)} has more than {_MOST_BYTES} bytes, too many for a manifest."
            )
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{show(path)} cannot be read as TOML: {error}") from None


def _measure(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # removed since it was listed, or a link to nothing
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)
