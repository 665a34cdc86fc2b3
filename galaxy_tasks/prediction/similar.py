"""The galaxies that look most alike to a network: nearest in its last features, by their angle.

One pass over the features answers: an index costs more than a pass to build, and pays from the
second question on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.metrics.pairwise import cosine_similarity

from galaxy_tasks.errors import InputError, show

FEATURES = "features"
_COLUMNS = ("id", "path", FEATURES)


@dataclass(frozen=True)
class Neighbour:
    """A galaxy and how alike it is."""

    galaxy_id: str
    path: str
    similarity: float
    """Cosine of the angle between the features: 1 where they are the same."""


def find_similar(features: Path, galaxy_id: str, *, count: int) -> list[Neighbour]:
    """Return the galaxy of this id, and then the `count` most like it, from a file of features.

    Of an id that occurs more than once, the first counts.

    Raises:
        InputError: the file holds no features as `predict --features` writes them, or no such id.
    """
    _require_features(features)
    wanted = _find_features(features, galaxy_id)
    best: list[Neighbour] = []
    for ids, paths, vectors in _iterate(features):
        similarity = cosine_similarity(vectors, wanted[np.newaxis])[:, 0]
        nearest = np.argsort(-similarity, kind="stable")[: count + 1]
        best += [Neighbour(ids[n], paths[n], float(similarity[n])) for n in nearest]
        best = sorted(best, key=lambda one: -one.similarity)[: count + 1]
    own = next((one for one in best if one.galaxy_id == galaxy_id), best[0])
    return [own, *(one for one in best if one is not own)]


def _require_features(path: Path) -> None:
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from None
    if not set(_COLUMNS) <= set(schema.names):
        raise InputError(
            f"{path} must have the columns {', '.join(_COLUMNS)}, as 'predict --features' writes "
            f"them. Found: {', '.join(schema.names)}."
        )


def _find_features(path: Path, galaxy_id: str) -> NDArray[np.float32]:
    for ids, _, vectors in _iterate(path):
        if galaxy_id in ids:
            return vectors[ids.index(galaxy_id)]
    raise InputError(f"{path} has no galaxy {show(galaxy_id)}. Is it among the classified ones?")


def _iterate(path: Path) -> Iterator[tuple[list[str], list[str], NDArray[np.float32]]]:
    """Yield ids, paths and features, (n, features), of some galaxies at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=list(_COLUMNS)):
            column = batch.column(_COLUMNS.index(FEATURES))
            vectors = column.flatten().to_numpy().reshape(len(column), -1)
            yield (
                batch.column(0).to_pylist(),
                batch.column(1).to_pylist(),
                vectors.astype(np.float32),
            )
