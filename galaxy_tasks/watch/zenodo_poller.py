"""Watches Zenodo's concept records for new versions, as often as it may and no oftener."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from galaxy_tasks.acquisition import zenodo
from galaxy_tasks.acquisition.zenodo import ZenodoRecord, ZenodoUnavailableError
from galaxy_tasks.errors import GalaxyMorphologyError
from galaxy_tasks.watch.inbox import Announcement, Manifest

_FIRST_PAUSE_S = 60.0
_LONGEST_WISH_S = 24 * 3600.0


@dataclass
class _Concept:
    """What is known of one concept record."""

    due_s: float = 0.0
    record: ZenodoRecord | None = None
    failures: int = 0
    told: str = ""


@dataclass
class ConceptWatch:
    """The concept records that manifests name, and when each is asked for next."""

    url: str
    interval_s: float
    """Between two requests for a concept record that are answered."""
    timeout_s: float = 20.0
    clock: Callable[[], float] = time.monotonic
    _concepts: dict[str, _Concept] = field(default_factory=dict)

    def read(self, manifests: Sequence[Manifest]) -> tuple[list[Announcement], list[str]]:
        """Return the latest versions that manifests announce, and what has gone wrong since then.

        Asks for what is due, one after the other, and so may take a few timeouts. What is wrong is
        returned once, until it is another thing or has been right in between.
        """
        followed = [manifest for manifest in manifests if manifest.zenodo_concept]
        problems = []
        for concept in dict.fromkeys(manifest.zenodo_concept for manifest in followed):
            known = self._concepts.setdefault(concept, _Concept(due_s=self.clock()))
            if self.clock() >= known.due_s:
                problems += self._ask(concept, known)
        latest = ((each, self._concepts[each.zenodo_concept].record) for each in followed)
        return [announce_version(each, record) for each, record in latest if record], problems

    def _ask(self, concept: str, known: _Concept) -> list[str]:
        try:
            known.record = zenodo.request_latest(concept, url=self.url, timeout_s=self.timeout_s)
        except GalaxyMorphologyError as error:
            known.failures += 1
            wish_s = error.retry_after_s if isinstance(error, ZenodoUnavailableError) else 0.0
            pause_s = min(self.interval_s, _FIRST_PAUSE_S * 2 ** min(known.failures - 1, 16))
            pause_s = max(pause_s, min(wish_s, _LONGEST_WISH_S))
            known.due_s = self.clock() + pause_s
            is_told, known.told = known.told == str(error), str(error)
            return (
                []
                if is_told
                else [f"{str(error).rstrip('.')}. It is asked again in {pause_s:.0f} s."]
            )
        known.due_s = self.clock() + self.interval_s
        known.failures, known.told = 0, ""
        return []


def announce_version(manifest: Manifest, record: ZenodoRecord) -> Announcement:
    """Return the announcement of a version; 'source' has what its record lacks."""
    return Announcement(
        manifest.name,
        {**manifest.settings, "zenodo_record": record.id},
        record.version,
        {file.name: file.md5 or "" for file in record.files},
    )
