"""Takes out of MLflow what it has of artifacts that were removed."""

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from galaxy_tasks.registry.models import list_names, list_versions, walk_champions
from galaxy_tasks.registry.store import tracking_uri
from galaxy_tasks.registry.tracking import find_experiment, list_known
from galaxy_tasks.storage.artifacts import MANIFEST, home

if TYPE_CHECKING:
    from mlflow import MlflowClient


def forget_removed(client: "MlflowClient") -> int:
    """Remove the runs and versions of artifacts that are gone; return how many.

    Every version that was champion stays, as the way back leads over it. On a server, removed runs
    are gone for good once `mlflow gc` is run there.
    """
    runs = list_known(client, find_experiment(client))
    gone = [run for artifact, run in runs.items() if not (home() / artifact / MANIFEST).is_file()]
    for run in gone:
        client.delete_run(run)
    count = len(gone)
    for name in list_names(client):
        champions = {one.number for one in walk_champions(client, name)}
        for version in list_versions(client, name):
            path = home() / "models" / version.facts.model / MANIFEST
            if version.number not in champions and not path.is_file():
                client.delete_model_version(name, str(version.number))
                count += 1
    if gone and tracking_uri().startswith("sqlite:"):
        subprocess.run(
            [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", tracking_uri()],
            env={**os.environ, "MLFLOW_TRACKING_URI": tracking_uri()},
            capture_output=True,
            check=True,
        )
    return count
