"""The page about a catalogue of predictions, and sheets of its galaxies."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galaxy_tasks.evaluation.shares import ClassShare
from galaxy_tasks.report.figures import encode_jpeg_url
from galaxy_tasks.report.templates import make_environment


@dataclass(frozen=True)
class SheetGalaxy:
    """A galaxy on a sheet."""

    galaxy_id: str
    image: NDArray[np.uint8]
    """(height, width, 3), RGB."""
    note: str
    """What stands below it."""


@dataclass(frozen=True)
class Sheet:
    """Galaxies that belong together."""

    title: str
    galaxies: Sequence[SheetGalaxy]


def render_catalogue(
    *,
    output: str,
    metadata: Mapping[str, Any],
    shares: Sequence[ClassShare],
    num_test: int,
    sheets: Mapping[str, Sequence[Sheet]],
) -> str:
    """Return the page of a catalogue as one HTML file.

    Args:
        output: the catalogue's file.
        metadata: as the catalogue has it.
        shares: how common the classes are.
        num_test: test galaxies that the shares are corrected by.
        sheets: by class.
    """
    environment = make_environment(jpeg=encode_jpeg_url)
    return environment.get_template("catalogue.html").render(
        output=output,
        metadata=metadata,
        counts=metadata["counts"],
        shares=shares,
        num_test=num_test,
        sheets=sheets,
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def render_sheet(sheet: Sheet, *, explanation: str) -> str:
    """Return one sheet of galaxies as an HTML file."""
    environment = make_environment(jpeg=encode_jpeg_url)
    return environment.get_template("sheet.html").render(sheet=sheet, explanation=explanation)
