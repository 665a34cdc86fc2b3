"""From an evaluation to the registered version of its challenger, and to its promotion."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from galaxy_tasks.evaluation.promotion import Decision
from galaxy_tasks.registry import models
from galaxy_tasks.registry.champions import find_champion, promote, read_line
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
    is_own: bool
    """Whether this run in Airflow made it champion, now or in an earlier try."""


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
    client: "MlflowClient", evaluation: Artifact, *, approver: str = "", run: str = ""
) -> Promotion:
    """Make an evaluation's challenger champion if that was decided and still holds.

    It holds while the champion is the one that the challenger was compared with. `run` is the run
    in Airflow that does it.

    Raises:
        InputError: its model is gone or was changed.
    """
    version = register_challenger(client, evaluation)
    decision, line = read_decision(evaluation), read_line(client, version.name)
    if refusal := explain_refusal(client, version, decision):
        return Promotion(version, refusal, is_champion=False, is_new=False, is_own=False)
    is_new = line.number != version.number
    promote(client, version, reason=decision.reason, by=approver, run=run)
    last = read_line(client, version.name).last
    is_own = bool(last and run and last.run == run)
    return Promotion(version, decision.reason, is_champion=True, is_new=is_new, is_own=is_own)


def explain_refusal(client: "MlflowClient", version: Version, decision: Decision) -> str:
    """Return why a version is not made champion; '' if it is to be, or is."""
    line = read_line(client, version.name)
    if line.number == version.number:
        return ""
    if not decision.is_promoted:
        return decision.reason
    own = [change for change in line.changes if change.version == version.number]
    if own:
        return (
            f"Not promoted: it became champion on {own[-1].time} and was replaced or rolled "
            f"back since. 'galaxy-morphology models promote {version.name} {version.number}' makes "
            "it champion again."
        )
    champion = find_champion(client, version.name)
    if champion and champion.facts.model == version.facts.model:
        return f"Nothing to promote: {champion.title}, the champion, is the same model."
    if (champion.facts.model if champion else None) != decision.champion:
        now = f"{champion.title} is champion now" if champion else "there is no champion any more"
        return (
            f"Not promoted: {now}, which is not what it was compared with. Run again to compare "
            "it: finished work is not repeated."
        )
    return ""
