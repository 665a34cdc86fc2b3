"""What the task log shows of the preparation: progress, sizes, and what was refused."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

_PROGRESS_EVERY_S = 5.0
_LISTED_REJECTIONS = 20
_LISTED_SIZES = 5


@dataclass(frozen=True)
class SourceSizes:
    """How large the readable cutouts were, in pixels; the medians are lower medians."""

    min_width_px: int
    median_width_px: int
    max_width_px: int
    min_height_px: int
    median_height_px: int
    max_height_px: int
    most_common: dict[str, int]
    """Galaxies by size ('424×424'), the most frequent first."""

    @staticmethod
    def measure(width_px: pa.ChunkedArray, height_px: pa.ChunkedArray) -> "SourceSizes":
        """Return the distribution of these sizes."""
        spread = {}
        for name, column in (("width_px", width_px), ("height_px", height_px)):
            quantiles = np.quantile(column.to_numpy(), [0, 0.5, 1], method="lower")
            for label, quantile in zip(("min", "median", "max"), quantiles, strict=True):
                spread[f"{label}_{name}"] = int(quantile)
        counts = Counter(zip(width_px.to_pylist(), height_px.to_pylist(), strict=True))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_LISTED_SIZES]
        return SourceSizes(
            **spread, most_common={f"{width}×{height}": count for (width, height), count in ranked}
        )

    def print_lines(self) -> None:
        """Print the distribution."""
        print(
            "Source sizes (smallest / median / largest): width "
            f"{self.min_width_px} / {self.median_width_px} / {self.max_width_px} px, height "
            f"{self.min_height_px} / {self.median_height_px} / {self.max_height_px} px",
            flush=True,
        )
        common = ", ".join(f"{size} px ({count:,})" for size, count in self.most_common.items())
        print(f"Most common: {common}", flush=True)


class Progress:
    """Prints a line every few seconds, and one at the end."""

    def __init__(self, total: int, *, done_before: int) -> None:
        """Start the clock; `done_before` images were finished by an earlier attempt."""
        self.total = total
        self.done_before = done_before
        self.done = done_before
        self.started_s = self.printed_s = time.monotonic()

    def add(self, images: int) -> None:
        """Count finished images, and print if it is time or all are done."""
        self.done += images
        now_s = time.monotonic()
        is_last = images > 0 and self.done == self.total
        if is_last or now_s - self.printed_s >= _PROGRESS_EVERY_S:
            self.printed_s = now_s
            print(self.line(now_s - self.started_s), flush=True)

    def line(self, elapsed_s: float) -> str:
        """Return the line to print after so many seconds of this attempt."""
        rate = (self.done - self.done_before) / max(elapsed_s, 1e-9)
        left = _duration((self.total - self.done) / rate) + " left" if rate else "time unknown"
        share = self.done / self.total
        return (
            f"images {self.done:,} / {self.total:,} ({share:.1%})".replace("%", " %")
            + f", {rate:,.{0 if rate >= 10 else 1}f} images/s, {left}"
        )


def rejection_message(rejected: pa.Table, *, total: int, problem: str, list_file: Path) -> str:
    """Return the text of an error about refused images: counts by reason and the first of them.

    `list_file` is where all of them are listed.
    """
    rows = rejected.slice(0, _LISTED_REJECTIONS).to_pylist()
    lines = [
        f"  {row['galaxy_id']}  {row['source_file']}  {row['reason']}: {row['detail']}"
        for row in rows
    ]
    if rejected.num_rows > len(rows):
        lines.append(f"  … and {rejected.num_rows - len(rows):,} more")
    return "\n".join(
        [
            problem,
            f"Refused: {rejected.num_rows:,} of {total:,} images ({format_reasons(rejected)}):",
            *lines,
            f"All {rejected.num_rows:,} are listed in {list_file}",
            "Mend these files and clear the task, or remove them and clear prepare_release, or "
            "raise max_rejected_fraction. Images that were fine are not prepared again.",
        ]
    )


def count_reasons(rejected: pa.Table) -> dict[str, int]:
    """Return the number of refused images by reason, the most frequent first."""
    counts = Counter(rejected["reason"].to_pylist())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def format_reasons(rejected: pa.Table) -> str:
    """Return the counts by reason as one line."""
    counts = count_reasons(rejected)
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items()) or "none"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
