"""Makes a run's challenger champion if the evaluation says so.

Networks are trained and evaluated whether the registry answers or not: this comes last, and may be
repeated until it succeeds.
"""

import logging
from typing import Any

from galaxy_tasks.registry.challenger import (
    explain_refusal,
    promote_challenger,
    read_decision,
    register_challenger,
)
from galaxy_tasks.registry.files import MODEL_CARD
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.registry.tracking import track_if_possible
from galaxy_tasks.storage import artifacts

_logger = logging.getLogger(__name__)


def promote(evaluation: str, approver: str = "", run: str = "") -> dict[str, Any]:
    """Make the challenger of the evaluation of this key champion, if that was decided and holds.

    `run` is the run in Airflow that asks. The result has name, version, sha256 (of the weights),
    model (its key), reason, is_champion (as it is now), is_new (whether this call made it champion)
    and is_own (whether this run did, now or in an earlier try).

    Raises:
        InputError: an artifact is gone or was changed.
        ResourceError: the registry does not answer.
    """
    with open_store() as client:
        promotion = promote_challenger(
            client, artifacts.get("evaluations", evaluation), approver=approver, run=run
        )
    track_if_possible()
    version = promotion.version
    _logger.info("%s, %s. %s", version.title, version.facts.architecture, promotion.reason)
    return {
        "name": version.name,
        "version": version.number,
        "sha256": version.facts.sha256,
        "model": version.facts.model,
        "reason": promotion.reason,
        "is_champion": promotion.is_champion,
        "is_new": promotion.is_new,
        "is_own": promotion.is_own,
    }


def describe_challenger(evaluation: str, airflow_url: str = "") -> dict[str, str]:
    """Return what is to be decided of the challenger of the evaluation of this key.

    The result has text (Markdown, with a link to the report below `airflow_url`) and refusal: why
    there is nothing to decide, as it would not be promoted; '' where there is.

    Raises:
        InputError: an artifact is gone or was changed.
        ResourceError: the registry does not answer.
    """
    found = artifacts.get("evaluations", evaluation)
    decision = read_decision(found)
    with open_store() as client:
        refusal = explain_refusal(client, register_challenger(client, found), decision)
    link = f"[The report]({airflow_url}/galaxy/evaluations/{evaluation}/report.html)"
    card = (found.path / MODEL_CARD).read_text(encoding="utf-8")
    return {"text": f"{decision.reason}\n\n{link}\n\n{card}", "refusal": refusal}
