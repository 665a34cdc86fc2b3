"""A release event: a release, or a version of one, that runs have yet to train on."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from galaxy_tasks.config import PRESETS, parse_config
from galaxy_tasks.errors import InputError, show

_MOST_NAMES = 20


@dataclass(frozen=True)
class ReleaseEvent:
    """A release that has become available, and the settings of the run on it."""

    name: str
    settings: dict[str, Any]
    """Names and values of RunConfig."""
    version: str = ""
    """What the publisher calls this version; empty where there are none."""
    files: dict[str, str] = field(default_factory=dict)
    """MD5 of the version's files by their names, where the publisher states them."""

    @property
    def key(self) -> str:
        """16 hexadecimal digits that follow from name and settings, however they were written.

        Writing out a default changes nothing, except where that differs between presets. Of a
        version only the record's id counts, which is among the settings: a publisher may rename a
        version, and that is no reason to train again.
        """
        text = json.dumps(
            [self.name, _list_differing(self.settings)], sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """The name, with the version and the Zenodo record where there are any."""
        version = f", version {show(self.version)}" if self.version else ""
        record = self.settings.get("zenodo_record")
        return show(self.name) + version + (f" (Zenodo record {show(record)})" if record else "")

    def as_payload(self) -> dict[str, Any]:
        """Return the JSON form, which `from_payload` reads."""
        details = {"version": self.version, "files": self.files}
        return {"name": self.name, "settings": self.settings, **details}

    @staticmethod
    def from_payload(payload: Mapping[str, Any]) -> "ReleaseEvent":
        """Return the event of a JSON form."""
        return ReleaseEvent(**payload)

    def describe(self, events: Iterable["ReleaseEvent"]) -> str:
        """Return the title, and which files differ from the version before it among `events`."""
        before = None
        for event in events:
            if event.key == self.key:
                break
            if event.files and event.name == self.name:
                before = event
        if before is None or not self.files:
            return self.title
        changes = {
            "changed": [n for n, md5 in self.files.items() if before.files.get(n, md5) != md5],
            "new": [name for name in self.files if name not in before.files],
            "removed": [name for name in before.files if name not in self.files],
        }
        parts = [
            f"{change}: {', '.join(map(show, names[:_MOST_NAMES]))}"
            for change, names in changes.items()
            if names
        ]
        return f"{self.title} (files {'; '.join(parts) or 'unchanged'})"


def _list_differing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults, and those of presets, as parsed."""
    try:
        config = parse_config(dict(settings))
    except InputError:  # stored by another version of the code, which had other settings
        return dict(settings)
    differing = config.model_dump(mode="json", exclude_defaults=True)
    of_presets = {name for preset in PRESETS.values() for name in preset}
    written = {name for name in of_presets if settings.get(name) is not None}
    return differing | config.model_dump(mode="json", include=written)
