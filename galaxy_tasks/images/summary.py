"""What became of the images of a run: how many were prepared, refused and why, and their sizes."""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from galaxy_tasks.images.headers import PLAIN

_LISTED_REJECTIONS = 20
_LISTED_SIZES = 5

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceSizes:
    """Sizes of the prepared cutouts, in pixels; the medians are lower medians."""

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


@dataclass(frozen=True)
class PreparationSummary:
    """What became of the galaxies: galaxies = prepared + rejected."""

    galaxies: int
    prepared: int
    rejected: int
    rejected_by_reason: dict[str, int]
    converted: dict[str, int]
    """Prepared images by their colours, other than 8-bit colour."""
    source_sizes: SourceSizes

    @staticmethod
    def of(manifest: pa.Table, rejected: pa.Table) -> "PreparationSummary":
        """Return the summary of the tables of prepared and of refused images."""
        return PreparationSummary(
            galaxies=len(manifest) + len(rejected),
            prepared=len(manifest),
            rejected=len(rejected),
            rejected_by_reason=_count(rejected["reason"]),
            converted=count_converted(manifest["colours"].to_pylist()),
            source_sizes=SourceSizes.measure(manifest["width_px"], manifest["height_px"]),
        )

    def log(self) -> None:
        """Log the counts and the distribution of sizes; a warning where images are refused."""
        _logger.log(
            logging.WARNING if self.rejected else logging.INFO,
            "Images: %s = %s prepared + %s refused (%s)",
            f"{self.galaxies:,}",
            f"{self.prepared:,}",
            f"{self.rejected:,}",
            _format_counts(self.rejected_by_reason),
        )
        log_converted(self.converted)
        sizes = self.source_sizes
        _logger.info(
            "Source sizes (smallest / median / largest): width "
            f"{sizes.min_width_px} / {sizes.median_width_px} / {sizes.max_width_px} px, height "
            f"{sizes.min_height_px} / {sizes.median_height_px} / {sizes.max_height_px} px"
        )
        common = ", ".join(f"{size} px ({count:,})" for size, count in sizes.most_common.items())
        _logger.info("Most common: %s", common)


def describe_rejections(rejected: pa.Table, *, total: int, problem: str, list_file: Path) -> str:
    """Return the text of an error about refused images: counts by reason and the first of them.

    Args:
        rejected: columns galaxy_id, source_file, reason, detail.
        total: how many images there are.
        problem: why this is an error.
        list_file: where all of them are listed.
    """
    rows = rejected.slice(0, _LISTED_REJECTIONS).to_pylist()
    lines = [
        f"  {row['galaxy_id']}  {row['source_file']}  {row['reason']}: {row['detail']}"
        for row in rows
    ]
    if rejected.num_rows > len(rows):
        lines.append(f"  … and {rejected.num_rows - len(rows):,} more")
    reasons = _format_counts(_count(rejected["reason"]))
    return "\n".join(
        [
            problem,
            f"Refused: {rejected.num_rows:,} of {total:,} images ({reasons}):",
            *lines,
            f"All {rejected.num_rows:,} are listed in {list_file}",
            "Repair these files and clear this task, or remove them and clear prepare_release, or "
            "raise max_rejected_fraction. The other images are not prepared again.",
        ]
    )


def count_converted(colours: Iterable[str]) -> dict[str, int]:
    """Return how many images have which colours, of those that are not `PLAIN`."""
    return _count(each for each in colours if each != PLAIN)


def log_converted(converted: dict[str, int]) -> None:
    """Log how many images of which colours were converted, if any."""
    if converted:
        _logger.info("Converted to %s by docs/images.md: %s", PLAIN, _format_counts(converted))


def _count(values: Iterable[object]) -> dict[str, int]:
    """Return how often each occurs, the most frequent first."""
    counts = Counter(map(str, values))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _format_counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
