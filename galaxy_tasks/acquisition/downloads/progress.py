"""What a task log shows of a download: whole lines, a few seconds apart."""

import threading
import time
from collections import deque
from collections.abc import Callable

from galaxy_tasks.formatting import format_bytes, format_duration

_ONE_LINE = threading.Lock()
_RATE_SAMPLES = 7  # over half a minute at a line every five seconds


def say(text: str) -> None:
    """Print one line at once, whole also where several files are fetched at a time."""
    with _ONE_LINE:
        print(text, flush=True)


class Progress:
    """Tells how far a file has come, how fast, and how long it will take, now and then."""

    def __init__(
        self, name: str, *, every_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start with no byte received; the rate counts only what comes from now on."""
        self.name = name
        self.every_s = every_s
        self.received_bytes = 0
        self._clock = clock
        self._samples = deque([(clock(), 0)], maxlen=_RATE_SAMPLES)

    def add(self, chunk_bytes: int, *, position_bytes: int, total_bytes: int | None) -> None:
        """Count what has come; say so if the last line is long enough ago."""
        self.received_bytes += chunk_bytes
        now = self._clock()
        if now - self._samples[-1][0] < self.every_s:
            return
        self._samples.append((now, self.received_bytes))
        say(self._line(position_bytes, total_bytes))

    def _line(self, position_bytes: int, total_bytes: int | None) -> str:
        (earlier, earlier_bytes), (now, now_bytes) = self._samples[0], self._samples[-1]
        rate = (now_bytes - earlier_bytes) / max(now - earlier, 1e-9)
        speed = f"{format_bytes(rate)}/s"
        if not total_bytes:
            return f"{self.name}: {format_bytes(position_bytes)}, {speed}, size unknown"
        left = format_duration((total_bytes - position_bytes) / rate) if rate > 0 else "unknown"
        return (
            f"{self.name}: {format_bytes(position_bytes)} of {format_bytes(total_bytes)} "
            f"({100 * position_bytes / total_bytes:.0f} %), {speed}, {left} left"
        )
