"""The galaxies of a catalogue that are worth a look: the surest, the least sure, the strangest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import pyarrow as pa

from galaxy_tasks.acquisition.prediction_table import name_probabilities

Kind = Literal["surest", "least sure", "strangest"]
KINDS: tuple[Kind, ...] = ("surest", "least sure", "strangest")


@dataclass(frozen=True)
class Extreme:
    """A galaxy that is shown, with where it stands."""

    kind: Kind
    predicted: str
    """Its class."""
    probability: float
    distance: float
    """NaN where it is unknown."""
    shard: int
    """Which of the tables it is in."""
    row: int
    """Which row of that."""


def choose_extremes(
    tables: Iterable[pa.Table], classes: Sequence[str], *, num_each: int
) -> list[Extreme]:
    """Return at most `num_each` galaxies of each class and kind, the most extreme first.

    Only these are held while tables come and go.
    """
    kept: dict[tuple[str, Kind], pd.DataFrame] = {}
    for shard, table in enumerate(tables):
        probabilities = {name: table[name].to_numpy() for name in name_probabilities(classes)}
        own = pd.DataFrame({"predicted": table["class"].to_pandas()})
        own["probability"] = pd.DataFrame(probabilities).max(axis=1)
        own["distance"] = table["distance"].to_numpy()
        own["shard"], own["row"] = shard, range(len(own))
        for name, group in own[own["predicted"] != ""].groupby("predicted"):
            for kind in KINDS:
                known = kept.get((str(name), kind))
                both = group if known is None else pd.concat([known, group])
                kept[str(name), kind] = _pick(both, kind, num_each)
    return [
        Extreme(kind, name, float(p), float(d), int(shard), int(row))
        for name in classes
        for kind in KINDS
        if (name, kind) in kept
        for p, d, shard, row in kept[name, kind][
            ["probability", "distance", "shard", "row"]
        ].itertuples(index=False)
    ]


def _pick(galaxies: pd.DataFrame, kind: Kind, count: int) -> pd.DataFrame:
    by = "distance" if kind == "strangest" else "probability"
    known = galaxies.dropna(subset=[by])
    order = known.sort_values(by, ascending=kind == "least sure", kind="stable")
    return order.head(count)
