"""How far a long copy has come, in a log."""

import logging
import time
from collections import deque

from galaxy_tasks.formatting import format_bytes, format_duration

_RATE_SAMPLES = 7  # half a minute at a line every five seconds

_logger = logging.getLogger(__name__)


class ProgressLog:
    """Logs position, rate and time left, at most every so many seconds."""

    def __init__(self, name: str, *, every_s: float) -> None:
        """Start now, with no byte received."""
        self.name = name
        self.every_s = every_s
        self.received_bytes = 0
        self._samples = deque([(time.monotonic(), 0)], maxlen=_RATE_SAMPLES)

    def add(self, chunk_bytes: int, *, position_bytes: int, total_bytes: int | None) -> None:
        """Count a chunk that ends at a position; log a line when it is time."""
        self.received_bytes += chunk_bytes
        now_s = time.monotonic()
        if now_s - self._samples[-1][0] < self.every_s:
            return
        self._samples.append((now_s, self.received_bytes))
        earlier_s, earlier_bytes = self._samples[0]
        rate = (self.received_bytes - earlier_bytes) / max(now_s - earlier_s, 1e-9)
        speed, position = f"{format_bytes(rate)}/s", format_bytes(position_bytes)
        if not total_bytes:
            _logger.info("%s: %s, %s, size unknown", self.name, position, speed)
            return
        left = format_duration((total_bytes - position_bytes) / rate) if rate > 0 else "unknown"
        share = f"{100 * position_bytes / total_bytes:.0f} %"
        total = format_bytes(total_bytes)
        _logger.info(
            "%s: %s of %s (%s), %s, %s left", self.name, position, total, share, speed, left
        )
