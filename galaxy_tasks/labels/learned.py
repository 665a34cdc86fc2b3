"""Which galaxies the models that a run starts from have learned from.

They are in no test, and those that trained a model are not in the validation of the next: it would
be sure of them, and stop early and be calibrated by that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from galaxy_tasks.config import ReleaseSettings, RunConfig
from galaxy_tasks.labels.holdout import COLUMNS, find_held, identify, read_split
from galaxy_tasks.labels.split import spread_test
from galaxy_tasks.storage.artifacts import Artifact

NOTHING = pd.DataFrame(columns=[*COLUMNS, "has_trained"])
"""What a network of random weights has learned from."""


@dataclass(frozen=True)
class KnownRows:
    """Which rows of a run's galaxies its ancestors know, one flag each."""

    is_learned: NDArray[np.bool_]
    """They, or others of their group, were in an ancestor's training or validation."""
    is_trained: NDArray[np.bool_]
    """They, or others of their group, were in an ancestor's training."""


def read_learned(sources: Sequence[tuple[Artifact, Sequence[ReleaseSettings]]]) -> pd.DataFrame:
    """Return what models learned from: `holdout.COLUMNS`, and whether it was in their training.

    `sources` are the labels of each model, and the releases that these are made from.
    """
    tables = [
        read_split(labels, releases, split=split).assign(has_trained=split == "train")
        for labels, releases in sources
        for split in ("train", "validation")
    ]
    return pd.concat(tables, ignore_index=True) if tables else NOTHING


def find_known(
    galaxies: pa.Table, config: RunConfig, *, learned: pd.DataFrame, groups: NDArray[np.int64]
) -> KnownRows:
    """Return which galaxies of a run are known.

    Args:
        galaxies: as `holdout.identify` takes them.
        config: names the releases, and the radius.
        learned: as `read_learned` returns it.
        groups: integers from 0, one for each galaxy, equal for those that must stay together.
    """
    if learned.empty:
        return KnownRows(*np.zeros((2, len(galaxies)), dtype=bool))
    own = identify(galaxies, config)
    tables = (learned, learned[learned["has_trained"]])
    return KnownRows(
        *(
            spread_test(
                find_held(own, table[list(COLUMNS)], radius_arcsec=config.match_radius_arcsec),
                groups,
            )
            for table in tables
        )
    )
