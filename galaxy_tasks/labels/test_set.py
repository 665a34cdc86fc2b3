"""The identity of a test set: two results on the same galaxies and labels have the same hash."""

import hashlib
from collections.abc import Mapping
from typing import Any


def describe_test_set(galaxy_labels: Mapping[str, str]) -> dict[str, Any]:
    """Return how many galaxies the test has, and the SHA-256 over their names and labels.

    Names are 'release:id', in a run of one release as in one of several, so that the same galaxies
    have the same hash.
    """
    lines = (f"{name}\t{label}\n" for name, label in sorted(galaxy_labels.items()))
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return {"galaxies": len(galaxy_labels), "sha256": digest}
