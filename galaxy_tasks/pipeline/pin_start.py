"""Finds the model that a run's networks start from, and holds it fast for all tasks of the run."""

import logging
from pathlib import Path
from typing import Any

from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.registry.champions import find_champion
from galaxy_tasks.registry.models import get_version, say_names
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.releases.shared_objects import explain_overlaps, find_hidden_overlaps
from galaxy_tasks.storage import artifacts
from galaxy_tasks.training.ancestry import Ancestor, trace_ancestors, trace_related
from galaxy_tasks.training.model_record import ModelRecord
from galaxy_tasks.training.saved_model import require_model

_logger = logging.getLogger(__name__)


def pin_start(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the key of a model, or its folder, in place of its name.

    A champion of the same name that comes later changes nothing for the run.

    Raises:
        InputError: there is no such model, it does not suit the settings, or what it learned from
            is unknown.
        ResourceError: the registry cannot be read.
    """
    config = parse_config(settings)
    if not config.start_from:
        return settings
    folder = _find(config.start_from)
    record = require_model(folder)
    if record.architecture not in config.architectures:
        raise InputError(
            f"'start_from' names a {record.architecture}, and only such a network can start from "
            f"it. Add it to 'architectures'. Received: {', '.join(config.architectures)}"
        )
    is_own = folder.resolve().parent == (artifacts.home() / "models").resolve()
    pinned = {
        **settings,
        "start_from": folder.name if is_own else str(folder),
        "architectures": [record.architecture],
    }
    ancestors = check_start(parse_config(pinned), record)
    _logger.info("Starts from %s", "\n  which started from ".join(one.title for one in ancestors))
    return pinned


def check_start(config: RunConfig, record: ModelRecord) -> list[Ancestor]:
    """Return the ancestors of a run's networks, that start from the model of this record.

    Raises:
        InputError: they cannot, or might be tested on what it learned from.
    """
    if config.weights != record.config.weights:
        raise InputError(
            f"The model in 'start_from' was trained with 'weights' {record.config.weights!r}, on "
            f"which the scale of pixels depends. Set the same. Received: {config.weights!r}"
        )
    theirs = record.config.image_size_px
    if record.architecture == "alexnet" and theirs != config.image_size_px:
        raise InputError(
            f"An AlexNet knows one size of images, and the one in 'start_from' {theirs} px. Set "
            f"'image_size_px' to that. Received: {config.image_size_px}"
        )
    for ancestor in trace_related(config):
        pair = (config, ancestor.record.config)
        unplaced = {
            part.release
            for one in pair
            for part in one.parts()
            if not (part.ra_column and part.dec_column)
        }
        overlaps = find_hidden_overlaps(*([part.release for part in one.parts()] for one in pair))
        if hidden := [overlap for overlap in overlaps if overlap[0] in unplaced]:
            raise InputError(
                f"The run might be tested on galaxies that {ancestor.title} learned from: "
                f"{explain_overlaps(hidden)}. Start from another model."
            )
    return trace_ancestors(config)


def _find(start: str) -> Path:
    """Return the folder of the model that a user names: by its folder, its key or its name."""
    try:
        for folder in (Path(start).expanduser(), artifacts.home() / "models" / start):
            if folder.is_dir():
                return folder.resolve()
    except (OSError, RuntimeError) as error:  # the name is too long, or '~name' has no home
        raise InputError(_explain(start)) from error
    name, _, number = start.partition("/")
    with open_store() as client:
        if number:
            if not number.isdecimal():
                raise InputError(_explain(start))
            return get_version(client, name, int(number)).model.path
        champion = find_champion(client, name)
        if champion is None:
            raise InputError(f"{_explain(start)} {say_names(client)}")
        return champion.model.path


def _explain(start: str) -> str:
    return (
        "'start_from' must be a registered model that has a champion, NAME/VERSION, or the folder "
        f"of a model. Received: {start!r}."
    )
