"""Brings a release onto this disk: found, fetched or, where it is the simulated one, drawn."""

import logging
from typing import Any

from galaxy_tasks.acquisition.fetch import provide_source
from galaxy_tasks.acquisition.locate import locate_release
from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.pipeline.pin_start import pin_start
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.simulation import draw_release
from galaxy_tasks.storage import artifacts, cache_keys
from galaxy_tasks.storage.artifacts import Artifact

_logger = logging.getLogger(__name__)


def prepare_release(settings: dict[str, Any]) -> dict[str, Any]:
    """Return where the release's files are, as ReleaseFiles; draw or fetch it first if need be."""
    located = []
    pin_start(settings)  # refuses a model that this run cannot start from
    for part in parse_config(settings).parts():
        is_drawn = part.release == "simulated"
        source = _draw_simulation(part).path if is_drawn else provide_source(part)
        files = locate_release(part, source=source, checksums=artifacts.checksums())
        _logger.info("Release %s: %s", part.release, RELEASES[part.release].reference)
        _logger.info("Catalogue: %s\nImages: %s", files.catalogue, files.images)
        located.append(files)
    return cache_keys.join_release_files(located).as_dict()


def _draw_simulation(config: RunConfig) -> Artifact:
    made_from = cache_keys.simulation_made_from(config)
    with artifacts.open_draft("releases", made_from) as draft:
        if draft.published:
            return draft.published
        draft.clear()
        _logger.info(
            "Drawing %s SIMULATED galaxies (seed %s).",
            f"{config.simulated_galaxies:,}",
            config.simulation_seed,
        )
        draw_release(
            draft.path,
            num_galaxies=config.simulated_galaxies,
            seed=config.simulation_seed,
            workers=config.image_workers,
        )
        return draft.publish({"galaxies": config.simulated_galaxies, "simulated": True})
