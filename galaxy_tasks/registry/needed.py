"""Which artifacts reports and champions need, so that they stay on the disk."""

from itertools import islice
from pathlib import Path

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.champion import Champion, open_champion
from galaxy_tasks.registry.champions import walk_champions
from galaxy_tasks.registry.models import Version, list_names
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.cache_keys import export_made_from
from galaxy_tasks.training.ancestry import trace_ancestors


def list_needed(*, reports_after: str = "") -> set[Path]:
    """Return the folders of all that reports and champions need.

    Reports name their models. The champion of each name, and the one before it, to which it may be
    rolled back, are compared with the next run's challenger on the images of both; a run that is
    repeated, with the champion before its own. Reports that were not published after
    `reports_after` (ISO 8601) are needed only by these champions.

    Raises:
        InputError: which models a report needs cannot be read.
        ResourceError: the registry cannot be read.
    """
    with open_store() as client:
        champions = [
            version
            for name in list_names(client)
            for version in islice(walk_champions(client, name), 2)
        ]
    of_champions = {version.facts.evaluation for version in champions}
    needed = set()
    for evaluation in artifacts.list_published("evaluations"):
        published, models = _read(evaluation)
        if evaluation.key in of_champions or published > reports_after:
            needed |= {evaluation.path, *models}
    return needed.union(*map(_list_of_champion, champions))


def _list_of_champion(version: Version) -> set[Path]:
    try:
        champion = open_champion(version.facts.evaluation, version.facts.model)
    except InputError:  # gone: there is nothing left to keep
        return set()
    key = champion.evaluation.manifest["made_from"]["predictions"]
    export = artifacts.find("exports", export_made_from(version.facts.model))
    exports = {export.path} if export else set()
    return {champion.images.path, *exports, *_list_ancestors(champion), *_list_compared(key)}


def _list_ancestors(champion: Champion) -> set[Path]:
    """Return what the champion started from: a run that starts from it must know their galaxies."""
    try:
        ancestors = trace_ancestors(champion.record.config)
    except InputError:
        return set()
    return {path for one in ancestors for path in (one.model.path, one.images.path)}


def _list_compared(predictions_key: str | None) -> set[Path]:
    """Return the predictions of the champion that a challenger met, and that champion's images."""
    if predictions_key is None:
        return set()
    try:
        predictions = artifacts.get("predictions", predictions_key)
        summary = predictions.manifest["summary"]
        champion = open_champion(summary["evaluation"], summary["model"])
    except InputError:
        return set()
    return {predictions.path, champion.images.path}


def _read(evaluation: Artifact) -> tuple[str, list[Path]]:
    """Return when it was published, and the folders of its models."""
    try:
        manifest = evaluation.manifest
        keys = manifest["made_from"]["models"]
        return manifest["published"], [artifacts.home() / "models" / key for key in keys]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Which models {evaluation.path} lists is unknown, as its manifest is damaged "
            f"({error!r}). Restore it, or remove that folder."
        ) from None
