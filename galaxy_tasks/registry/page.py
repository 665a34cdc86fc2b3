"""The list of all runs, written beside the artifacts whenever something of it has changed."""

import logging
from typing import TYPE_CHECKING, Any

from galaxy_tasks.registry.champions import Change, find_champion, read_line
from galaxy_tasks.registry.files import RESULTS
from galaxy_tasks.registry.models import Version, list_names
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
            name=version.name,
            number=version.number,
            architecture=version.facts.architecture,
            release=version.facts.release,
            evaluation=version.facts.evaluation,
            promoted=change.time,
            reason=change.reason,
            approver=change.by,
        )
        for version, change in champions
    ]
    page = render_runs(list_runs([version for version, _ in champions]), lines).encode()
    write_durably(artifacts.home() / PAGE, lambda file: file.write(page))


def list_champions(client: "MlflowClient") -> list[tuple[Version, Change]]:
    """Return the champion of each name that has one, and the change that made it so."""
    found = []
    for name in list_names(client):
        champion, last = find_champion(client, name), read_line(client, name).last
        if champion and last:
            found.append((champion, last))
    return found


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
    winner, decision = find_winner(results), results["decision"]
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
        challenger=_name_challenger(results, decision["challenger"]),
        decision=decision["reason"],
        is_champion=is_champion,
    )


def find_winner(results: dict[str, Any]) -> dict[str, Any]:
    """Return the winning network of an evaluation's results; raise KeyError if it is not there."""
    networks = {one["architecture"]: one for one in results["networks"]}
    return networks[results["selection"]["winner"]]


def _name_challenger(results: dict[str, Any], key: str) -> str:
    """Return the network of the model that was put forward, with its seed where it has several."""
    names = {
        model["key"]: one["architecture"]
        + (f" seed {model['seed']}" if len(one["models"]) > 1 else "")
        for one in results["networks"]
        for model in one["models"]
    }
    return names[key]
