"""Catalogues that are ordered in Airflow: what an order says, and where its result goes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from galaxy_tasks.errors import InputError
from galaxy_tasks.storage.artifacts import home

CATALOGUES = "catalogues"
"""Folder, below that of all artifacts, of catalogues whose order names no other."""
_NEEDED = ("paths", "output")
_KNOWN = (
    *_NEEDED,
    *("images", "id_column", "path_column", "image_name_pattern"),
    *("engine", "precision", "features", "shard_images", "workers"),
)


def complete_order(order: Mapping[str, Any]) -> dict[str, Any]:
    """Return an order as JSON of a `CatalogueRequest` without its model, with its page.

    Raises:
        InputError: it lacks something, or has what no order knows.
    """
    lacking = [name for name in _NEEDED if not order.get(name)]
    unknown = sorted(set(order) - set(_KNOWN))
    if lacking or unknown or isinstance(order["paths"], str):
        raise InputError(
            f"A catalogue's order needs 'paths', a list, and 'output', and may have "
            f"{', '.join(_KNOWN[2:])}. Received: {dict(order)}"
        )
    output = home() / CATALOGUES / Path(order["output"])
    output.parent.mkdir(parents=True, exist_ok=True)
    return {**order, "output": str(output), "report": f"{output}.html"}
