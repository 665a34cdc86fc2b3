"""Polls Zenodo's concept records for new versions, as often as it may and no oftener."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from galaxy_tasks.acquisition import zenodo
from galaxy_tasks.acquisition.zenodo import ZenodoRecord, ZenodoUnavailableError
from galaxy_tasks.errors import GalaxyMorphologyError
from galaxy_tasks.watch.inbox import Manifest
from galaxy_tasks.watch.release_event import ReleaseEvent

_FIRST_PAUSE_S = 60.0
_LONGEST_RETRY_AFTER_S = 24 * 3600.0


@dataclass
class _Concept:
    """What is known of one concept record."""

    due_s: float = 0.0
    latest: ZenodoRecord | None = None
    failures: int = 0
    reported: str = ""


@dataclass
class ZenodoPoller:
    """The concept records that manifests follow, and when each is due for its next request."""

    url: str
    interval_s: float
    """Between two requests for a concept record that succeed."""
    timeout_s: float = 20.0
    clock: Callable[[], float] = time.monotonic
    _concepts: dict[str, _Concept] = field(default_factory=dict)

    def poll(self, manifests: Sequence[Manifest]) -> tuple[list[ReleaseEvent], list[str]]:
        """Return the latest versions that manifests follow, and new problems.

        Requests what is due, one after the other, so may take a few timeouts. A problem is returned
        once, until another takes its place or a request has succeeded in between.
        """
        following = [manifest for manifest in manifests if manifest.zenodo_concept]
        problems = []
        for concept in dict.fromkeys(manifest.zenodo_concept for manifest in following):
            known = self._concepts.setdefault(concept, _Concept(due_s=self.clock()))
            if self.clock() >= known.due_s:
                problems += self._request(concept, known)
        latest = ((each, self._concepts[each.zenodo_concept].latest) for each in following)
        return [_make_event(each, record) for each, record in latest if record], problems

    def _request(self, concept: str, known: _Concept) -> list[str]:
        try:
            known.latest = zenodo.request_latest(concept, url=self.url, timeout_s=self.timeout_s)
        except GalaxyMorphologyError as error:
            known.failures += 1
            asked_s = error.retry_after_s if isinstance(error, ZenodoUnavailableError) else 0.0
            pause_s = min(self.interval_s, _FIRST_PAUSE_S * 2 ** min(known.failures - 1, 16))
            known.due_s = self.clock() + max(pause_s, min(asked_s, _LONGEST_RETRY_AFTER_S))
            is_reported, known.reported = known.reported == str(error), str(error)
            return [] if is_reported else [f"New versions cannot be seen. {error}"]
        known.due_s = self.clock() + self.interval_s
        known.failures, known.reported = 0, ""
        return []


def _make_event(manifest: Manifest, record: ZenodoRecord) -> ReleaseEvent:
    """Return the event of a version; the manifest's 'source' has what the record lacks."""
    return ReleaseEvent(
        manifest.name,
        {**manifest.settings, "zenodo_record": record.id},
        record.version,
        {file.name: file.md5 or "" for file in record.files},
    )
