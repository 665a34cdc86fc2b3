"""The table of labels: galaxies merged across releases, and parted into train, validation, test.

It is made on one machine, since it is only as long as there are images: a kilobyte of memory and
some 15 microseconds a galaxy (measured on 1.6 million). That buys scikit-learn's own stratified
draw and astropy's own matching, which users can repeat.
"""

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
from galaxy_tasks.labels import crossmatch, placeholders, split, vote_rules
from galaxy_tasks.labels.crossmatch import Merged
from galaxy_tasks.labels.holdout import KNOWN_BY, choose_test
from galaxy_tasks.labels.test_set import describe_test_set

COLUMNS = (
    *("release", "release_index", "galaxy_id", "image_name"),
    *(*vote_rules.PLACE, "label", "is_test"),
)
"""What is known of a galaxy that has a label and an image, before it is given to a split."""


@dataclass(frozen=True)
class LabelTable:
    """Galaxies with their split, and rows that were dropped because their galaxy has another."""

    labels: pa.Table
    """galaxy_id, image_name, label, label_index, split, own_id (as the release has it), release,
    release_index, ra_degrees, dec_degrees, image_print; in the order of galaxy_id."""
    dropped: pa.Table
    """galaxy_id, image_name, reason, detail."""
    classes: list[str]
    summary: dict[str, Any]
    """kept, same_galaxy, test_set and classes, as the artifact's summary has them."""


def make_label_table(
    galaxies: pa.Table,
    config: RunConfig,
    *,
    image_folders: Sequence[Path],
    holdout: pd.DataFrame,
    checksums: Path | None = None,
) -> LabelTable:
    """Return the labels of a run from the labelled galaxies of its releases.

    Args:
        galaxies: COLUMNS; in any order.
        config: the fractions, the seed, the radius.
        image_folders: the folder of each release's images, by release_index.
        holdout: the galaxies that are in the test for good, as `read_holdout` returns them.
        checksums: where checksums of images are kept; None: nowhere.

    Raises:
        InputError: a class has too few galaxies to be split, or no image shows a galaxy.
    """
    galaxies = galaxies.select(list(COLUMNS)).sort_by(
        [("galaxy_id", "ascending"), ("release_index", "ascending")]
    )
    galaxies = placeholders.forget_crowded_places(galaxies, test_fraction=config.test_fraction)
    pictures = placeholders.find_pictures(
        galaxies, image_folders=image_folders, checksums=checksums
    )
    put_aside = _describe_placeholders(_name_rows(galaxies.filter(pictures.is_placeholder), config))
    galaxies = pictures.add_to(galaxies).filter(~pictures.is_placeholder)
    if put_aside.num_rows and not galaxies.num_rows:
        raise InputError(
            f"No galaxy is left: the images of all {put_aside.num_rows:,} are the same few, like "
            f"{put_aside['image_name'][0]}. Were they fetched from a server that has none?"
        )
    sameness = crossmatch.find_sameness(galaxies, radius_arcsec=config.match_radius_arcsec)
    merged = crossmatch.merge_releases(galaxies, sameness)
    counts = crossmatch.count_sameness(galaxies, sameness, merged)
    num_placed = len(galaxies) - galaxies["ra_degrees"].null_count
    print(f"Place on the sky known for {num_placed:,} of {len(galaxies):,} galaxies.", flush=True)
    print(crossmatch.format_sameness(counts), flush=True)
    # A row that is merged away still says on which side its galaxy stands.
    test = choose_test(galaxies, config, groups=sameness.groups, holdout=holdout)
    named, is_own = _name_rows(galaxies, config), merged.is_kept
    labels, classes = _assign_splits(
        named.filter(is_own), config, test.is_test[is_own], sameness.groups[is_own]
    )
    num_held = int(np.count_nonzero(test.is_held[is_own]))
    summary = {
        "kept": len(labels),
        "placed": num_placed,
        "same_galaxy": counts,
        "test_set": {**_describe_test(labels), "from_holdout": num_held},
        "classes": count_splits(labels, classes),
    }
    dropped = pa.concat_tables([put_aside, _describe_merged(named, merged)])
    return LabelTable(labels, dropped, classes, summary)


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
        name: {split: counts.get((name, split), 0) for split in split.LEAST_PER_SPLIT}
        for name in classes
    }


def format_classes(classes: Mapping[str, Mapping[str, int]]) -> str:
    """Return a small aligned table: galaxies by class and split."""
    splits = list(split.LEAST_PER_SPLIT)
    lines = [f"{'class':34}" + "".join(f"{split:>12}" for split in splits)]
    for name, counts in classes.items():
        lines.append(f"{'  ' + name:34}" + "".join(f"{counts[split]:>12,}" for split in splits))
    return "\n".join(lines)


def _assign_splits(
    galaxies: pa.Table, config: RunConfig, is_test: np.ndarray, groups: np.ndarray
) -> tuple[pa.Table, list[str]]:
    """Return the table with label_index and split, and the classes in the order of their index."""
    names = galaxies["label"].to_pylist()
    classes = sorted(set(names))
    index_of = {name: index for index, name in enumerate(classes)}
    label_indices = np.array([index_of[name] for name in names], dtype=np.int32)
    rest = np.flatnonzero(~is_test)
    _, first = np.unique(groups[rest], return_index=True)
    split.check_class_counts(
        _count(label_indices[is_test], classes), _count(label_indices[rest[first]], classes)
    )
    is_validation = split.choose_validation(
        label_indices[rest],
        validation_fraction=config.validation_fraction,
        seed=config.seed,
        groups=groups[rest],
    )
    splits = np.where(is_test, "test", "train").astype(object)
    splits[rest[is_validation]] = "validation"
    table = galaxies.select(["galaxy_id", "image_name", "label"])
    table = table.append_column("label_index", pa.array(label_indices))
    table = table.append_column("split", pa.array(splits, pa.string()))
    for name in ("own_id", "release", "release_index", *KNOWN_BY):
        table = table.append_column(name, galaxies[name])
    return table.sort_by("galaxy_id"), classes


def _count(label_indices: np.ndarray, classes: Sequence[str]) -> dict[str, int]:
    counts = Counter(label_indices.tolist())
    return {name: counts[index] for index, name in enumerate(classes)}


def _describe_placeholders(galaxies: pa.Table) -> pa.Table:
    count = len(galaxies)
    return pa.table(
        {
            "galaxy_id": galaxies["galaxy_id"],
            "image_name": galaxies["image_name"],
            "reason": pa.array([vote_rules.PLACEHOLDER] * count, pa.string()),
            "detail": pa.array(["its image is that of many others"] * count, pa.string()),
        }
    )


def _describe_merged(galaxies: pa.Table, merged: Merged) -> pa.Table:
    rows = np.flatnonzero(~merged.is_kept)
    dropped, kept = galaxies.take(rows), galaxies.take(merged.kept_as[rows])
    is_contradiction = merged.is_contradiction[rows]
    reasons = np.where(is_contradiction, vote_rules.MERGED_CONTRADICTORY, vote_rules.MERGED)
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
    return pa.table(
        {
            "galaxy_id": dropped["galaxy_id"],
            "image_name": dropped["image_name"],
            "reason": pa.array(reasons.astype(object), pa.string()),
            "detail": pa.array(details, pa.string()),
        }
    )
