"""Catalogues that are ordered in Airflow: what an order says, and where its result goes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from galaxy_tasks.errors import InputError
from galaxy_tasks.formatting import shorten
from galaxy_tasks.storage.artifacts import home

CATALOGUES = "catalogues"
"""Folder, below that of all artifacts, of catalogues whose order names no other."""
_NEEDED = ("paths", "output")
_KNOWN = (
    *_NEEDED,
    *("images", "id_column", "path_column", "image_name_pattern"),
    *("engine", "precision", "features", "shard_images", "workers"),
)


def complete_orders(orders: Any) -> list[dict[str, Any]]:
    """Return each order completed.

    Raises:
        InputError: they are no list of orders, one is wrong, or two have one output.
    """
    if not isinstance(orders, list) or not all(isinstance(order, dict) for order in orders):
        raise InputError(f"Catalogues are ordered by a list of objects. Received: {orders!r}")
    completed = [complete_order(order) for order in orders]
    outputs = [order["output"] for order in completed]
    if repeated := sorted({output for output in outputs if outputs.count(output) > 1}):
        raise InputError(f"Each catalogue needs an output of its own. Twice: {shorten(repeated)}")
    return completed


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
