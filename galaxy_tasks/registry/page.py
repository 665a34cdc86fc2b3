"""The list of all runs, written beside the artifacts whenever something of it has changed."""

import logging
from typing import TYPE_CHECKING, Any

from galaxy_tasks.registry.files import RESULTS
from galaxy_tasks.registry.models import Version, find_champion, list_names
from galaxy_tasks.report.runs import ChampionLine, RunLine, Score, render_runs
from galaxy_tasks.storage import artifacts
from galaxy_tasks.storage.artifacts import Artifact
from galaxy_tasks.storage.atomic_io import read_json, write_durably
from galaxy_tasks.training.model_record import read_record

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGE = "leaderboard.html"
_logger = logging.getLogger(__name__)


def write_page(client: "MlflowClient") -> None:
    """Write the page of all runs into GALAXY_HOME, in one step."""
    champions = list_champions(client)
    lines = [
        ChampionLine(
            name=one.name,
            number=one.number,
            architecture=one.facts.architecture,
            release=one.facts.release,
            evaluation=one.facts.evaluation,
            promoted=one.promoted,
            reason=one.reason,
            approver=one.approver,
        )
        for one in champions
    ]
    page = render_runs(list_runs(champions), lines).encode()
    write_durably(artifacts.home() / PAGE, lambda file: file.write(page))


def list_champions(client: "MlflowClient") -> list[Version]:
    """Return the champion of each name that has one."""
    found = (find_champion(client, name) for name in list_names(client))
    return [one for one in found if one]


def list_runs(champions: list[Version]) -> list[RunLine]:
    """Return all evaluated runs, the newest first; `champions` are marked."""
    evaluations = {one.facts.evaluation for one in champions}
    lines = []
    for evaluation in artifacts.list_published("evaluations"):
        try:
            lines.append(_describe(evaluation, is_champion=evaluation.key in evaluations))
        except (ValueError, KeyError, TypeError, OSError) as error:
            _logger.warning("%s is passed over, it is damaged: %r", evaluation.path, error)
    return sorted(lines, key=lambda line: (line.published, line.evaluation), reverse=True)


def _describe(evaluation: Artifact, *, is_champion: bool) -> RunLine:
    manifest, results = evaluation.manifest, read_json(evaluation.path / RESULTS)
    winner = _find_winner(results)
    record = read_record(artifacts.home() / "models" / manifest["summary"]["model"])
    return RunLine(
        evaluation=evaluation.key,
        published=manifest["published"],
        release=record.config.release_title,
        winner=winner["architecture"],
        macro_f1=Score(**winner["macro_f1"]),
        accuracy=Score(**winner["accuracy"]),
        num_galaxies=results["test_set"]["galaxies"],
        test_set=results["test_set"]["sha256"],
        challenger=results["decision"]["reason"],
        is_champion=is_champion,
    )


def _find_winner(results: dict[str, Any]) -> dict[str, Any]:
    name = results["selection"]["winner"]
    return next(one for one in results["networks"] if one["architecture"] == name)
