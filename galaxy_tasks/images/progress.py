"""How far a task has come with its images, in the log."""

import logging
import time

from galaxy_tasks.formatting import format_duration

_EVERY_S = 5.0

_logger = logging.getLogger(__name__)


class ImageProgress:
    """Logs a line every few seconds, and one at the end."""

    def __init__(self, total: int, *, done_before: int) -> None:
        """Start the clock; `done_before` images were finished by an earlier attempt."""
        self.total = total
        self.done_before = done_before
        self.done = done_before
        self.started_s = self.logged_s = time.monotonic()

    def add(self, images: int) -> None:
        """Count finished images; log if it is time or all are done."""
        self.done += images
        now_s = time.monotonic()
        is_last = images > 0 and self.done == self.total
        if is_last or now_s - self.logged_s >= _EVERY_S:
            self.logged_s = now_s
            _logger.info("%s", self.describe(now_s - self.started_s))

    def describe(self, elapsed_s: float) -> str:
        """Return count, rate and time left, so many seconds after this attempt began."""
        rate = (self.done - self.done_before) / max(elapsed_s, 1e-9)
        left = format_duration((self.total - self.done) / rate) if rate else "unknown time"
        share = 100 * self.done / self.total
        return (
            f"images {self.done:,} / {self.total:,} ({share:.1f} %), "
            f"{rate:,.{0 if rate >= 10 else 1}f} images/s, {left} left"
        )
