"""Make the table of labels: galaxies crossmatched across releases, and split.

One machine makes it, since it has no more rows than there are images: a kilobyte of memory and some
15 microseconds for each galaxy (measured on 1.6 million). So scikit-learn draws the stratified
split and astropy matches positions, which users can repeat.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.labels import (
    crossmatch,
    neighbours,
    placeholders,
    quarantine,
    split,
    vote_rules,
)
from galaxy_tasks.labels.crossmatch import Crossmatch
from galaxy_tasks.labels.holdout import KNOWN_BY, ChosenTest, choose_test
from galaxy_tasks.labels.learned import NOTHING, KnownRows, find_known
from galaxy_tasks.labels.test_set import describe_test_set

COLUMNS = (
    *("release", "release_index", "galaxy_id", "image_name"),
    *(*vote_rules.POSITION, "label", "agreement", "is_test"),
)
"""Columns of the galaxies that have a label and an image, before they are split."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelTable:
    """Galaxies with their split, and those dropped after Spark: placeholders, for example."""

    labels: pa.Table
    """galaxy_id, image_name, label, label_index, split, own_id (as the release has it), release,
    release_index, ra_degrees, dec_degrees, image_fingerprint, agreement (the smallest vote fraction
    that the label rests on; null without votes), group (of galaxies that stay together in every
    split); in the order of galaxy_id."""
    dropped: pa.Table
    """galaxy_id, image_name, reason, detail."""
    classes: list[str]
    summary: dict[str, Any]
    """kept, placed, crossmatch, test_set and classes, as in the artifact's summary."""


def make_label_table(
    galaxies: pa.Table,
    config: RunConfig,
    *,
    image_folders: Sequence[Path],
    holdout: pd.DataFrame,
    learned: pd.DataFrame = NOTHING,
    checksums: Path | None = None,
) -> LabelTable:
    """Return the labels of a run from the labelled galaxies of its releases.

    Args:
        galaxies: COLUMNS; in any order.
        config: gives the fractions, the seed and the radius.
        image_folders: the folder of each release's images, by release_index.
        holdout: the galaxies that are in the test for good, as `read_holdout` returns them.
        learned: what the run's networks know from the start, as `read_learned` returns it.
        checksums: where checksums of images are kept; None: nowhere.

    Raises:
        InputError: a class has too few galaxies to be split, or all images are placeholders.
    """
    galaxies, placeholder_rows = _drop_placeholders(
        galaxies, config, image_folders=image_folders, checksums=checksums
    )
    matches = crossmatch.find_matches(galaxies, radius_arcsec=config.match_radius_arcsec)
    found = crossmatch.crossmatch_releases(galaxies, matches)
    counts = _count_matches(galaxies, matches, found)
    parted = _part(galaxies, config, matches, found, holdout=holdout, learned=learned)
    named = _name_rows(galaxies, config)
    labels, classes = _assign_splits(named.filter(parted.is_used), config, parted)
    from_holdout = int(parted.test.is_held[parted.is_used].sum())
    tested = {**_describe_test(labels), "from_holdout": from_holdout}
    of_classes = count_splits(labels, classes)
    summary = {"kept": len(labels), **counts, "test_set": tested, "classes": of_classes}
    dropped = [
        *(placeholder_rows, _describe_crossmatched(named, found)),
        *(_describe_near(named, parted.near), _describe_learned(named, parted)),
    ]
    return LabelTable(labels, pa.concat_tables(dropped), classes, summary)


@dataclass(frozen=True)
class _Parted:
    """On which side of the split each row is, or why it is on none."""

    is_kept: np.ndarray
    """Rows that represent their galaxy."""
    groups: np.ndarray
    """Numbers, equal for rows that stay together."""
    test: ChosenTest
    known: KnownRows
    near: neighbours.NearTest

    @property
    def is_learned_test(self) -> np.ndarray:
        """Rows that would be in the test, and which an ancestor knows."""
        return self.is_kept & self.test.is_test & self.known.is_learned

    @property
    def is_used(self) -> np.ndarray:
        """Rows that are in a split."""
        is_near = np.zeros_like(self.is_kept)
        is_near[self.near.rows] = True
        return self.is_kept & ~is_near & ~self.is_learned_test


def _part(
    galaxies: pa.Table,
    config: RunConfig,
    matches: crossmatch.Matches,
    found: Crossmatch,
    *,
    holdout: pd.DataFrame,
    learned: pd.DataFrame,
) -> _Parted:
    """Return which rows stay together, are in the test, known before, and too near the test."""
    reach_arcsec = neighbours.find_reach_arcsec(part.release for part in config.parts())
    # A row that is dropped still decides on which side its galaxy is.
    sides = neighbours.find_sides(galaxies, same=matches.galaxies, reach_arcsec=reach_arcsec)
    test = choose_test(galaxies, config, sides=sides, holdout=holdout)
    known = find_known(galaxies, config, learned=learned, groups=sides.groups)
    near = neighbours.find_near_test(
        neighbours.read_vectors(galaxies),
        is_test=found.is_kept & test.is_test & ~known.is_learned,
        is_other=found.is_kept & ~test.is_test,
        reach_arcsec=reach_arcsec,
    )
    _logger.info(
        "Within reach of a test galaxy (%g arcseconds, the side of a cutout), and so not used for "
        "training or validation: %s galaxies.",
        reach_arcsec,
        f"{len(near.rows):,}",
    )
    return _Parted(found.is_kept, sides.groups, test, known, near)


def _count_matches(
    galaxies: pa.Table, matches: crossmatch.Matches, found: crossmatch.Crossmatch
) -> dict[str, Any]:
    """Return and log how many galaxies have a position, and what the crossmatch found."""
    counts = crossmatch.count_matches(matches, found)
    num_placed = len(galaxies) - galaxies["ra_degrees"].null_count
    _logger.info("Position known for %s of %s galaxies.", f"{num_placed:,}", f"{len(galaxies):,}")
    _logger.info(crossmatch.format_matches(counts))
    return {"placed": num_placed, "crossmatch": counts}


def _drop_placeholders(
    galaxies: pa.Table,
    config: RunConfig,
    *,
    image_folders: Sequence[Path],
    checksums: Path | None,
) -> tuple[pa.Table, pa.Table]:
    """Return the galaxies without a placeholder for an image, sorted, and a table of the others."""
    galaxies = galaxies.select(list(COLUMNS)).sort_by(
        [("galaxy_id", "ascending"), ("release_index", "ascending")]
    )
    galaxies = placeholders.drop_placeholder_positions(galaxies, test_fraction=config.test_fraction)
    copies = placeholders.find_copies(galaxies, image_folders=image_folders, checksums=checksums)
    dropped = _describe_alike(
        _name_rows(galaxies.filter(copies.is_placeholder), config),
        quarantine.PLACEHOLDER,
        "many others have the same image",
    )
    galaxies = copies.add_to(galaxies).filter(~copies.is_placeholder)
    if dropped.num_rows and not galaxies.num_rows:
        raise InputError(
            f"No galaxy is left: the images of all {dropped.num_rows:,} are placeholders, like "
            f"{dropped['image_name'][0]}. Were they fetched from a server that has none?"
        )
    return galaxies, dropped


def _describe_test(labels: pa.Table) -> dict[str, Any]:
    test = labels.filter(pa.array(np.array(labels["split"].to_pylist()) == "test"))
    own = test.drop_columns("galaxy_id").rename_columns({"own_id": "galaxy_id"})
    names = name_galaxies(own).to_pylist()
    return describe_test_set(dict(zip(names, test["label"].to_pylist(), strict=True)))


def _name_rows(galaxies: pa.Table, config: RunConfig) -> pa.Table:
    """Return the galaxies with own_id, and an id that is unique among the releases of the run."""
    own_ids = galaxies["galaxy_id"]
    if config.combine:
        place = COLUMNS.index("galaxy_id")
        galaxies = galaxies.set_column(place, "galaxy_id", name_galaxies(galaxies))
    return galaxies.append_column("own_id", own_ids)


def name_galaxies(galaxies: pa.Table) -> pa.Array:
    """Return ids that are unique across releases: 'release:id'."""
    pairs = zip(galaxies["release"].to_pylist(), galaxies["galaxy_id"].to_pylist(), strict=True)
    return pa.array([f"{release}:{galaxy_id}" for release, galaxy_id in pairs], pa.string())


def count_splits(labels: pa.Table, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return how many galaxies of each class each split has."""
    groups = labels.group_by(["label", "split"]).aggregate([([], "count_all")]).to_pylist()
    counts = {(group["label"], group["split"]): group["count_all"] for group in groups}
    return {
        name: {side: counts.get((name, side), 0) for side in split.LEAST_PER_SPLIT}
        for name in classes
    }


def format_classes(classes: Mapping[str, Mapping[str, int]]) -> str:
    """Return a small aligned table: galaxies by class and split."""
    sides = list(split.LEAST_PER_SPLIT)
    lines = [f"{'class':34}" + "".join(f"{side:>12}" for side in sides)]
    for name, counts in classes.items():
        lines.append(f"{'  ' + name:34}" + "".join(f"{counts[side]:>12,}" for side in sides))
    return "\n".join(lines)


def _assign_splits(
    galaxies: pa.Table, config: RunConfig, parted: _Parted
) -> tuple[pa.Table, list[str]]:
    """Return the table with label_index and split, and the classes in the order of their index.

    `galaxies` are the rows that are used.
    """
    is_test, is_trained, groups = (
        flags[parted.is_used]
        for flags in (parted.test.is_test, parted.known.is_trained, parted.groups)
    )
    names = galaxies["label"].to_pylist()
    classes = sorted(set(names))
    split.warn_of_classes(classes)
    label_indices = np.searchsorted(classes, names).astype(np.int32)
    rest = np.flatnonzero(~is_test)
    _, first = np.unique(groups[rest], return_index=True)
    split.check_class_counts(
        _count(label_indices[is_test], classes), _count(label_indices[rest[first]], classes)
    )
    split.check_unknown(_count(label_indices[rest[~is_trained[rest]]], classes))
    is_validation = split.choose_validation(
        label_indices[rest],
        validation_fraction=config.validation_fraction,
        seed=config.split_seed,
        groups=groups[rest],
        is_known=is_trained[rest],
    )
    splits = np.where(is_test, "test", "train").astype(object)
    splits[rest[is_validation]] = "validation"
    table = galaxies.select(["galaxy_id", "image_name", "label"])
    table = table.append_column("label_index", pa.array(label_indices))
    table = table.append_column("split", pa.array(splits, pa.string()))
    for name in ("own_id", "release", "release_index", *KNOWN_BY, "agreement"):
        table = table.append_column(name, galaxies[name])
    table = table.append_column("group", pa.array(groups, pa.int64())).sort_by("galaxy_id")
    # Numbered in the order of the galaxies, so that the order of the rows read plays no part.
    numbers, _ = pd.factorize(table["group"].to_numpy())
    place = table.column_names.index("group")
    return table.set_column(place, "group", pa.array(numbers, pa.int64())), classes


def _count(label_indices: np.ndarray, classes: Sequence[str]) -> dict[str, int]:
    counts = Counter(label_indices.tolist())
    return {name: counts[index] for index, name in enumerate(classes)}


def _describe_dropped(
    galaxies: pa.Table, reasons: Sequence[str], details: Sequence[str]
) -> pa.Table:
    return pa.table(
        {
            "galaxy_id": galaxies["galaxy_id"],
            "image_name": galaxies["image_name"],
            "reason": pa.array(reasons, pa.string()),
            "detail": pa.array(details, pa.string()),
        }
    )


def _describe_alike(galaxies: pa.Table, reason: str, detail: str) -> pa.Table:
    return _describe_dropped(galaxies, [reason] * len(galaxies), [detail] * len(galaxies))


def _describe_learned(galaxies: pa.Table, parted: _Parted) -> pa.Table:
    return _describe_alike(
        galaxies.filter(parted.is_learned_test),
        quarantine.LEARNED,
        "the model that the run starts from knows it, or one that it stays together with",
    )


def _describe_near(galaxies: pa.Table, near: neighbours.NearTest) -> pa.Table:
    nearest = galaxies["galaxy_id"].take(near.nearest).to_pylist()
    details = [
        f"{separation:.1f} arcseconds from {galaxy_id}"
        for separation, galaxy_id in zip(near.separations_arcsec.tolist(), nearest, strict=True)
    ]
    return _describe_dropped(
        galaxies.take(near.rows), [quarantine.NEAR_TEST] * len(details), details
    )


def _describe_crossmatched(galaxies: pa.Table, found: Crossmatch) -> pa.Table:
    rows = np.flatnonzero(~found.is_kept)
    dropped, kept = galaxies.take(rows), galaxies.take(found.kept_as[rows])
    is_contradiction = found.is_contradiction[rows]
    reasons = np.where(
        is_contradiction, quarantine.CROSSMATCHED_CONTRADICTORY, quarantine.CROSSMATCHED
    )
    details = [
        f"{own}, but {label} as {galaxy_id}" if differs else f"is {galaxy_id}"
        for own, label, galaxy_id, differs in zip(
            dropped["label"].to_pylist(),
            kept["label"].to_pylist(),
            kept["galaxy_id"].to_pylist(),
            is_contradiction,
            strict=True,
        )
    ]
    return _describe_dropped(dropped, reasons.tolist(), details)
