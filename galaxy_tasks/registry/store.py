"""Where models and trainings are registered: MLflow, in a file below GALAXY_HOME or on a server."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.storage.artifacts import home
from galaxy_tasks.storage.locks import hold_lock

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
_SURROUNDINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow would try for minutes to reach a server that is away.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def tracking_uri() -> str:
    """Return MLFLOW_TRACKING_URI, else the address of a SQLite file below GALAXY_HOME.

    Raises:
        InputError: GALAXY_HOME has a sign that means something else in such an address.
    """
    if named := os.environ.get("MLFLOW_TRACKING_URI"):
        return named
    if any(sign in str(home()) for sign in "?#%"):
        raise InputError(
            f"The registry cannot lie in {home()}: the address of its database takes no ?, # or %. "
            "Choose another GALAXY_HOME, or name a server in MLFLOW_TRACKING_URI."
        )
    return f"sqlite:///{home() / DATABASE}"


@contextmanager
def open_store(*, timeout_s: float = 600) -> Iterator["MlflowClient"]:
    """Yield MLflow's client, under a lock of this project.

    MLflow sets an alias whatever it was set to meanwhile, so that whoever reads and then writes has
    to keep others out. The lock lies below GALAXY_HOME and ends with the process.

    Raises:
        ResourceError: the server or the database does not answer, GALAXY_HOME cannot be written, or
            another process held the lock for `timeout_s` seconds.
    """
    for name, value in _SURROUNDINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("alembic", "mlflow"):  # they tell each table that they make
        logging.getLogger(name).setLevel(logging.WARNING)
    uri = tracking_uri()
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(home() / ".lock-registry", timeout_s=timeout_s))
        except OSError as error:
            raise ResourceError(
                f"The registry cannot be locked in {home()}: {error}. Whoever uses it has to be "
                "allowed to write there."
            ) from error
        try:
            yield MlflowClient(tracking_uri=uri, registry_uri=uri)
        except (MlflowException, SQLAlchemyError) as error:
            raise ResourceError(
                f"MLflow ({uri}) does not do what it was asked to: {error}. Check MLFLOW_TRACKING_"
                "URI and the server's log, then run again: nothing is lost meanwhile. If a "
                "database is damaged, restore it from a backup (docs/models.md)."
            ) from error
