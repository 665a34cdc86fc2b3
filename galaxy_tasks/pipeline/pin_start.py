"""Finds the model that a run's networks start from, and holds it fast for all tasks of the run."""

import logging
from pathlib import Path
from typing import Any

from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.errors import InputError
from galaxy_tasks.registry.champions import find_champion
from galaxy_tasks.registry.models import get_version, say_names
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.storage import artifacts
from galaxy_tasks.training.ancestry import Ancestor, find_folder, trace_ancestors
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
    is_own = folder.parent == artifacts.home() / "models"
    pinned = {**settings, "start_from": folder.name if is_own else str(folder)}
    ancestors = check_start(parse_config(pinned))
    _logger.info("Starts from %s", "\n  which started from ".join(one.title for one in ancestors))
    return pinned


def check_start(config: RunConfig) -> list[Ancestor]:
    """Return the ancestors of a run's networks; raise InputError where it cannot start from them.

    The settings are those that `pin_start` has returned.
    """
    if not config.start_from:
        return []
    record = require_model(find_folder(config.start_from, artifacts.home()))
    if config.architectures != (record.architecture,):
        raise InputError(
            f"'start_from' names a {record.architecture}, and only such a network can start from "
            f"it. Set 'architectures' to that. Received: {', '.join(config.architectures)}"
        )
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
    return trace_ancestors(config)


def _find(start: str) -> Path:
    """Return the folder of the model that a user names: by its folder, its key or its name."""
    own = artifacts.home() / "models" / start
    for folder in (Path(start).expanduser(), own):
        if folder.is_dir():
            return folder.resolve()
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
