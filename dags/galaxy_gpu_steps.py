"""The Airflow side of the steps that run networks: they wait for a slot in the pool `gpu`."""

from datetime import timedelta
from typing import Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException
from galaxy_steps import pull_release

from galaxy_tasks.config import Family, parse_config
from galaxy_tasks.process import run_step


@task(queue="gpu", pool="gpu")
def predict_last_winner(ti: Any = None) -> Any:
    """Ask the last winner about the test galaxies that it has not learned from."""
    images = ti.xcom_pull("preprocess_images")
    return run_step("predict_last_winner", **pull_release(ti), images=images)


# Trainings go first where slots are few: only the report waits for the last winner.
@task(queue="gpu", pool="gpu", priority_weight=2, execution_timeout=timedelta(days=2))
def train_family(family: Family, ti: Any = None) -> Any:
    """Train the chosen networks of one family, going on from the last epoch of an earlier try."""
    settings = ti.xcom_pull("choose_release")
    if not parse_config(settings).variants(family):
        raise AirflowSkipException(f"'architectures' names no {family}.")
    images = ti.xcom_pull("preprocess_images")
    return run_step(f"train_{family}", settings=settings, images=images)
