"""A page with the images of galaxies that look alike."""

from collections.abc import Sequence
from pathlib import Path

from galaxy_tasks.config import RunConfig
from galaxy_tasks.images.settings import ImageSettings
from galaxy_tasks.prediction.classify import prepare_rows
from galaxy_tasks.prediction.inputs import find_image
from galaxy_tasks.prediction.similar import Neighbour
from galaxy_tasks.report.catalogue_page import Sheet, SheetGalaxy, render_sheet
from galaxy_tasks.storage.atomic_io import write_durably

_SETTINGS = ImageSettings.from_config(
    RunConfig(image_size_px=160, crop_fraction=1.0, denoise_method="none")
)


def write_similar(found: Sequence[Neighbour], output: Path) -> None:
    """Write the page; the first galaxy is the one that the others are like.

    A galaxy whose image is gone since is left out.
    """
    shown = []
    for one in found:
        row, sources = find_image(Path(one.path), one.galaxy_id)
        prepared = prepare_rows([row], sources, _SETTINGS)
        note = f"{one.similarity:.3f}" if one is not found[0] else "the galaxy itself"
        shown += [SheetGalaxy(one.galaxy_id, pixels, note) for pixels in prepared.pixels]
    explanation = (
        f"The {len(found) - 1:,} galaxies whose features are nearest in angle, the nearest first. "
        "Numbers are the cosine: 1 where features are the same."
    )
    page = render_sheet(
        Sheet(f"Galaxies like {found[0].galaxy_id}", shown), explanation=explanation
    )
    write_durably(output, lambda file: file.write(page.encode()))
