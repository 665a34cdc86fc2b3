"""From an evaluation to the registered version of its challenger, and to its promotion."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from galaxy_tasks.evaluation.promotion import Decision
from galaxy_tasks.registry import models
from galaxy_tasks.registry.files import MODEL_CARD, RESULTS
from galaxy_tasks.registry.models import Facts, Version
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json
from galaxy_tasks.training.model_record import WEIGHTS, read_record

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Promotion:
    """What became of a challenger."""

    version: Version
    reason: str
    is_champion: bool
    """Whether it is champion now."""
    is_new: bool
    """Whether it has just become champion."""


def read_decision(evaluation: Artifact) -> Decision:
    """Return what was decided of an evaluation's challenger."""
    return Decision(**read_json(evaluation.path / RESULTS)["decision"])


def register_challenger(client: "MlflowClient", evaluation: Artifact) -> Version:
    """Register the challenger of an evaluation, unless it is; return its version.

    Raises:
        InputError: its model is gone or of another version of this package.
    """
    model = artifacts.get("models", read_decision(evaluation).challenger)
    record = read_record(model.path)
    facts = Facts(
        model=model.key,
        evaluation=evaluation.key,
        sha256=model.manifest["files"][WEIGHTS]["sha256"],
        architecture=record.architecture,
        release=record.config.release_title,
    )
    return models.register(
        client,
        models.name_model(record.config, record.classes),
        facts,
        classes=record.classes,
        card=(evaluation.path / MODEL_CARD).read_text(encoding="utf-8"),
    )


def promote_challenger(
    client: "MlflowClient", evaluation: Artifact, *, approver: str = ""
) -> Promotion:
    """Make an evaluation's challenger champion if that was decided and still holds.

    It holds while the champion is the one that the challenger was compared with.

    Raises:
        InputError: its model is gone or was changed.
    """
    decision, version = read_decision(evaluation), register_challenger(client, evaluation)
    champion = models.find_champion(client, version.name)
    refusal = _explain_refusal(version, champion, decision)
    if not refusal:
        version = models.promote(client, version, reason=decision.reason, approver=approver)
    is_champion = bool(champion and champion.number == version.number) or not refusal
    return Promotion(
        version=version,
        reason=refusal or decision.reason,
        is_champion=is_champion,
        is_new=is_champion and version != champion,
    )


def _explain_refusal(version: Version, champion: Version | None, decision: Decision) -> str:
    """Return why a version is not made champion; '' if it is to be, or is."""
    if champion and champion.number == version.number:
        return ""
    if not decision.is_promoted:
        return decision.reason
    if version.promoted:
        return (
            f"Not promoted: it became champion on {version.promoted} and was replaced or rolled "
            f"back since. 'galaxy-morphology models promote {version.name} {version.number}' makes "
            "it champion again."
        )
    if (champion.facts.model if champion else None) != decision.champion:
        now = f"{champion.title} is champion now" if champion else "there is no champion any more"
        return (
            f"Not promoted: {now}, which is not what it was compared with. Run again to compare "
            "it: finished work is not repeated."
        )
    return ""
