"""The Airflow side of the steps: what each takes from earlier tasks, and a process of its own.

A task pulls what earlier tasks returned by their names, so that the graph shows the order of the
work and not every reference that is passed on. Results are annotated Any because Airflow would
split one that is annotated as a dict into an XCom for each key.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from galaxy_tasks.config import FAMILIES, Family, parse_config
from galaxy_tasks.process import run_step


@task
def prepare_release(params: Any = None) -> Any:
    """Find the release's files, or draw the simulated release."""
    return run_step("prepare_release", settings=params)


@task
def preprocess_images(params: Any = None, ti: Any = None) -> Any:
    """Cut, scale and denoise the image of every labelled galaxy."""
    release_files = ti.xcom_pull("prepare_release")
    return run_step("preprocess_images", settings=params, release_files=release_files)


@task(queue="gpu", pool="gpu", execution_timeout=timedelta(days=2))
def train_family(family: Family, params: Any = None, ti: Any = None) -> Any:
    """Train the chosen networks of one family, going on from the last epoch of an earlier try."""
    if not parse_config(params).variants(family):
        raise AirflowSkipException(f"'architectures' names no {family}.")
    images = ti.xcom_pull("preprocess_images")
    return run_step(f"train_{family}", settings=params, images=images)


@task(trigger_rule=TriggerRule.ALL_DONE)
def evaluate(params: Any = None, ti: Any = None, run_id: Any = None) -> Any:
    """Compare the trained models on the test galaxies and name the winner."""
    images = ti.xcom_pull("preprocess_images")
    if images is None:
        raise AirflowFailException(
            "There are no prepared images, so no model either. The first failed task says why."
        )
    return run_step(
        "evaluate",
        settings=params,
        release_files=ti.xcom_pull("prepare_release"),
        images=images,
        trainings=[ti.xcom_pull(f"train_{family}") for family in FAMILIES],
        run_id=run_id,
    )
