"""Drift between the champion's release and this run's: rows, classes, labels, images."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from galaxy_tasks.config import RunConfig
from galaxy_tasks.evaluation.champion import Champion, group_same, read_galaxies
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.storage.artifacts import Artifact

MOST_MEASURED = 2000
"""Images of each release that drift is measured on."""
MOST_SHOWN = 20


@dataclass(frozen=True)
class Count:
    """A number then and now."""

    name: str
    then: int
    now: int


@dataclass(frozen=True)
class LabelChange:
    """Common galaxies that had one label and have another."""

    then: str
    now: str
    galaxies: int


@dataclass(frozen=True)
class PropertyDrift:
    """How a property of the prepared images moved: two-sample Kolmogorov-Smirnov."""

    name: str
    then: float
    """Median."""
    now: float
    distance: float
    """Largest difference of the two cumulative distributions, 0 to 1."""
    p_value: float


@dataclass(frozen=True)
class ReleaseDrift:
    """This run's galaxies (now) against those of the champion's run (then)."""

    then_release: str
    now_release: str
    rows: tuple[Count, ...]
    """Rows in, kept, and dropped by reason."""
    classes: tuple[Count, ...]
    """Labelled galaxies by class."""
    common_galaxies: int
    """Galaxies that both have, by place, id or image."""
    changed_galaxies: int
    label_changes: tuple[LabelChange, ...]
    """The most frequent first, at most MOST_SHOWN."""
    then_sizes: dict[str, int]
    """Galaxies by source size ('424×424'), the most frequent."""
    now_sizes: dict[str, int]
    is_same_preparation: bool
    """Whether both were prepared with the same settings; else their drift includes these."""
    images: tuple[PropertyDrift, ...]


def measure_drift(
    config: RunConfig, *, champion: Champion, labels: Artifact, images: Artifact
) -> ReleaseDrift | None:
    """Return the drift since the champion's release; None if it has the same images."""
    if champion.images.key == images.key:
        return None
    then, now = champion.labels.manifest["summary"], labels.manifest["summary"]
    num_common, changes = _compare_labels(
        read_galaxies(champion.labels, champion.images),
        read_galaxies(labels, images),
        radius_arcsec=config.match_radius_arcsec,
    )
    sizes = [
        one.manifest["summary"]["source_sizes"]["most_common"] for one in (champion.images, images)
    ]
    settings = [ImageSettings.from_config(one) for one in (champion.record.config, config)]
    return ReleaseDrift(
        then_release=champion.record.config.release_title,
        now_release=config.release_title,
        rows=_pair(_count_rows(then), _count_rows(now)),
        classes=_pair(_count_classes(then), _count_classes(now)),
        common_galaxies=num_common,
        changed_galaxies=changes.total(),
        label_changes=tuple(
            LabelChange(*names, galaxies=count) for names, count in changes.most_common(MOST_SHOWN)
        ),
        then_sizes=sizes[0],
        now_sizes=sizes[1],
        is_same_preparation=settings[0] == settings[1],
        images=_compare_images(champion.images, images, seed=config.seed),
    )


def _count_rows(summary: Mapping[str, Any]) -> dict[str, int]:
    dropped = {f"dropped: {name}": count for name, count in summary["dropped"].items()}
    return {"rows": summary["rows_in"], "labelled galaxies": summary["kept"], **dropped}


def _count_classes(summary: Mapping[str, Any]) -> dict[str, int]:
    return {name: sum(splits.values()) for name, splits in summary["classes"].items()}


def _pair(then: Mapping[str, int], now: Mapping[str, int]) -> tuple[Count, ...]:
    names = list(dict.fromkeys([*now, *then]))
    return tuple(Count(name, then.get(name, 0), now.get(name, 0)) for name in names)


def _compare_labels(
    then: pd.DataFrame, now: pd.DataFrame, *, radius_arcsec: float
) -> tuple[int, Counter[tuple[str, str]]]:
    """Return how many galaxies both have, and the pairs of labels of those where they differ."""
    groups = group_same([then, now], radius_arcsec=radius_arcsec)
    first, second = (
        pd.Series(table["label"].to_numpy(), index=group).groupby(level=0).first()
        for table, group in zip((then, now), groups, strict=True)
    )
    both = pd.concat([first.rename("then"), second.rename("now")], axis=1, join="inner")
    differing = both[both["then"] != both["now"]]
    return len(both), Counter(zip(differing["then"], differing["now"], strict=True))


def _compare_images(
    champion: Artifact, images: Artifact, *, seed: int
) -> tuple[PropertyDrift, ...]:
    then, now = (_measure(artifact, seed=seed) for artifact in (champion, images))
    drifts = []
    for name in then:
        test = ks_2samp(then[name], now[name])
        drifts.append(
            PropertyDrift(
                name,
                then=float(np.median(then[name])),
                now=float(np.median(now[name])),
                distance=float(test.statistic),  # pyright: ignore[reportAttributeAccessIssue]
                p_value=float(test.pvalue),  # pyright: ignore[reportAttributeAccessIssue]
            )
        )
    return tuple(drifts)


def _measure(artifact: Artifact, *, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return properties of prepared images, (n,) each; grey levels run from 0 to 255."""
    images = np.load(artifact.path / "images.npy", mmap_mode="r")
    count = min(MOST_MEASURED, len(images))
    rows = np.sort(np.random.default_rng(seed).choice(len(images), size=count, replace=False))
    found: dict[str, list[float]] = {
        name: [] for name in ("brightness", "contrast", "red minus blue", "light in the middle")
    }
    quarter = images.shape[1] // 4
    for row in rows:
        image = images[row].astype(np.float64)
        grey = image.mean(axis=2)
        middle = grey[quarter:-quarter, quarter:-quarter].sum()
        values = (
            float(grey.mean()),
            float(grey.std()),
            float(image[..., 0].mean() - image[..., 2].mean()),
            float(middle / max(grey.sum(), 1.0)),
        )
        for name, value in zip(found, values, strict=True):
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}
