"""Takes out of MLflow what it has of artifacts that were removed."""

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from galaxy_tasks.errors import ResourceError
from galaxy_tasks.registry.champions import read_line
from galaxy_tasks.registry.models import list_names, list_versions
from galaxy_tasks.registry.store import tracking_uri
from galaxy_tasks.registry.tracking import ARTIFACT_TAG, find_experiment, is_own, list_finished
from galaxy_tasks.storage.artifacts import MANIFEST, home

if TYPE_CHECKING:
    from mlflow import MlflowClient


def forget_removed(client: "MlflowClient") -> int:
    """Remove the runs and versions of artifacts that are gone; return how many.

    What belongs to another GALAXY_HOME, or to other projects on the server, is left alone. Every
    version that a rollback would lead over stays. On a server, removed runs are gone for good once
    `mlflow gc` is run there.

    Raises:
        ResourceError: MLflow cannot remove files of runs.
    """
    runs = [run for run in list_finished(client, find_experiment(client)) if is_own(run)]
    gone = [run for run in runs if not _is_there(run.data.tags[ARTIFACT_TAG])]
    for run in gone:
        client.delete_run(run.info.run_id)
    count = len(gone)
    for name in list_names(client):
        champions = {change.version for change in read_line(client, name).way_back}
        for version in list_versions(client, name):
            is_needed = version.number in champions or _is_there(f"models/{version.facts.model}")
            if version.home == str(home()) and not is_needed:
                client.delete_model_version(name, str(version.number))
                count += 1
    if tracking_uri().startswith("sqlite:"):
        _free_files()
    return count


def _is_there(artifact: str) -> bool:
    return (home() / artifact / MANIFEST).is_file()


def _free_files() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", tracking_uri()],
        env={**os.environ, "MLFLOW_TRACKING_URI": tracking_uri()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ResourceError(f"'mlflow gc' failed, so files of removed runs stay: {done.stderr}")
