"""Makes a run's challenger champion if the evaluation says so.

Networks are trained and evaluated whether the registry answers or not: this comes last, and may be
repeated until it succeeds.
"""

import logging
from typing import Any
from urllib.parse import quote

from galaxy_tasks.registry.challenger import promote_challenger, read_decision
from galaxy_tasks.registry.files import MODEL_CARD
from galaxy_tasks.registry.page import write_page
from galaxy_tasks.registry.store import open_store
from galaxy_tasks.registry.tracking import track
from galaxy_tasks.storage import artifacts

_logger = logging.getLogger(__name__)


def promote(evaluation: str, approver: str = "") -> dict[str, Any]:
    """Make the challenger of the evaluation of this key champion, if that was decided and holds.

    The result has name, version, sha256 (of the weights), model (its key), reason, is_champion (as
    it is now) and is_new: whether this call made it champion.

    Raises:
        InputError: an artifact is gone or was changed.
        ResourceError: the registry does not answer.
    """
    with open_store() as client:
        promotion = promote_challenger(
            client, artifacts.get("evaluations", evaluation), approver=approver
        )
        track(client)
        write_page(client)
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
    }


def describe_challenger(evaluation: str, run_id: str = "") -> str:
    """Return what is to be decided of the challenger of the evaluation of this key, as Markdown.

    `run_id` is the run that made it, whose page in Airflow is linked to; '' for no link.
    """
    found = artifacts.get("evaluations", evaluation)
    text = read_decision(found).reason
    if run_id:
        path = f"/dags/galaxy_morphology/runs/{quote(run_id, safe='')}/plugin/model-report"
        text += f"\n\n[The report]({path})"
    return f"{text}\n\n{(found.path / MODEL_CARD).read_text(encoding='utf-8')}"
