"""Which artifacts reports and champions need, so that they stay on the disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from galaxy_tasks.errors import InputError
from galaxy_tasks.evaluation.champion import list_evaluations, open_champion, open_winner
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.training.model_record import read_record


def list_needed() -> set[Path]:
    """Return the folders of images, models and predictions that reports and champions need.

    Reports name their models. A champion is compared with the next run's winner on the images of
    both; a run that is repeated, with the champion before its own.

    Raises:
        InputError: which models a report needs cannot be read.
    """
    needed = {path for one in artifacts.list_published("evaluations") for path in _list_models(one)}
    has_champion: set[bool] = set()
    for evaluation, manifest in list_evaluations():
        is_simulated = _is_simulated(manifest["summary"])
        if is_simulated is None or is_simulated in has_champion:
            continue
        if champion := open_winner(evaluation, manifest["summary"]):
            has_champion.add(is_simulated)
            needed |= {champion.images.path, *_list_compared(manifest["made_from"]["predictions"])}
    return needed


def _is_simulated(summary: Mapping[str, Any]) -> bool | None:
    """Return whether a winner was trained on simulated galaxies; None if it cannot be read."""
    try:
        record = read_record(artifacts.get("models", summary["model"]).path)
        return record.config.release == "simulated"
    except (InputError, ValueError, KeyError, TypeError):
        return None


def _list_compared(predictions_key: str | None) -> list[Path]:
    """Return the predictions of the champion that a winner met, and that champion's images."""
    if predictions_key is None:
        return []
    try:
        predictions = artifacts.get("predictions", predictions_key)
        champion = open_champion(predictions.manifest["made_from"]["evaluation"])
    except InputError:  # gone: there is nothing left to keep
        return []
    return [predictions.path, champion.images.path]


def _list_models(evaluation: Artifact) -> list[Path]:
    try:
        return [artifacts.home() / "models" / k for k in evaluation.manifest["made_from"]["models"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Which models {evaluation.path} lists is unknown, as its manifest is damaged "
            f"({error!r}). Restore it, or remove that folder."
        ) from None
