"""The addresses of one file: which to ask next, and when one is given up."""

import random
import time
from dataclasses import dataclass

from galaxy_tasks.acquisition.downloads.failures import Kind, TryError
from galaxy_tasks.acquisition.downloads.progress import say
from galaxy_tasks.acquisition.downloads.records import DownloadSettings, RemoteFile
from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.formatting import format_duration


@dataclass
class Mirror:
    """One address, and how it has behaved."""

    address: str
    failures: int = 0
    """Tries in a row without a new byte."""
    ready_at_s: float = 0.0
    is_given_up: bool = False
    has_sent_wrong_file: bool = False
    reason: str = "not tried"
    kind: Kind = "interrupted"


class Mirrors:
    """All addresses of a file, tried in turn until one brings it or none is left."""

    def __init__(self, remote: RemoteFile, settings: DownloadSettings) -> None:
        """Begin with every address untried."""
        self._remote = remote
        self._settings = settings
        self._mirrors = [Mirror(address) for address in remote.addresses]

    def choose(self, *, preferred: str | None) -> Mirror:
        """Return the address to ask next: the preferred one while it lives, else the first ready.

        Raises:
            InputError: every address refuses the file or sends another one.
            ResourceError: every address was given up, and another attempt may help.
        """
        living = [mirror for mirror in self._mirrors if not mirror.is_given_up]
        if not living:
            raise self._defeat()
        for mirror in living:
            if mirror.address == preferred:
                return mirror
        now = time.monotonic()
        return min(living, key=lambda mirror: max(mirror.ready_at_s, now))

    def note_failure(self, mirror: Mirror, failure: TryError, *, has_progressed: bool) -> None:
        """Learn from a try: when to come back, or not at all; and say so."""
        settings = self._settings
        mirror.failures = 0 if has_progressed else mirror.failures + 1
        mirror.reason, mirror.kind = str(failure), failure.kind
        # Not all at the same moment, when many wait for one server.
        pause_s = random.uniform(0.75, 1.0) * min(
            settings.longest_pause_s,
            settings.shortest_pause_s * 2 ** max(0, mirror.failures - 1),
        )
        pause_s = max(pause_s, failure.retry_after_s)
        if failure.retry_after_s > settings.longest_pause_s:
            mirror.reason += f", and asks to wait {format_duration(failure.retry_after_s)}"
        mirror.ready_at_s = time.monotonic() + pause_s
        mirror.is_given_up = (
            failure.kind == "refused"
            or mirror.failures >= settings.tries
            or failure.retry_after_s > settings.longest_pause_s
        )
        what = "given up" if mirror.is_given_up else f"again in {pause_s:.1f} s at the earliest"
        say(
            f"{self._remote.name}: {mirror.address} {mirror.reason} (try without progress "
            f"{mirror.failures} of {settings.tries}); {what}"
        )

    def note_wrong_file(self, address: str, error: InputError, *, is_doubtful: bool) -> None:
        """Learn that what an address sent is another file; once, that may be for how it came."""
        for mirror in self._mirrors:
            if mirror.address == address:
                mirror.reason, mirror.kind = f"sent another file: {error}", "wrong_content"
                mirror.is_given_up = mirror.has_sent_wrong_file or not is_doubtful
                mirror.has_sent_wrong_file = True
        say(f"{self._remote.name}: {error} What has come is discarded.")

    def _defeat(self) -> InputError | ResourceError:
        reasons = "; ".join(f"{mirror.address} {mirror.reason}" for mirror in self._mirrors)
        remedy = (
            "Correct the addresses or what is stated of the file, or place the file in the folder."
            if self._mirrors
            else "Place the file in the folder: it has no address to fetch it from."
        )
        if all(mirror.kind != "interrupted" for mirror in self._mirrors):
            return InputError(
                f"{self._remote.name} cannot be fetched: {reasons or 'not there'}. {remedy}"
            )
        return ResourceError(
            f"{self._remote.name} could not be fetched: {reasons}. "
            "What has come is kept; run again to go on."
        )
