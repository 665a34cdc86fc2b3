"""The Airflow side of the steps: each takes the run's settings and starts a process of its own.

Arguments are annotated Any because the DAG file passes references to results that do not exist
yet; the functions receive the JSON that the earlier task returned, or None if it returned nothing.
So are results: Airflow would split one that is annotated as a dict into an XCom for each key.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from galaxy_tasks.config import Family, parse_config
from galaxy_tasks.process import run_step


@task
def prepare_release(params: Any = None) -> Any:
    """Find the release's files, or draw the simulated release."""
    return run_step("prepare_release", settings=params)


@task
def preprocess_images(release_files: Any, params: Any = None) -> Any:
    """Cut, scale and denoise the image of every labelled galaxy."""
    return run_step("preprocess_images", settings=params, release_files=release_files)


@task(queue="gpu", pool="gpu", execution_timeout=timedelta(days=2))
def train_family(family: Family, images: Any, params: Any = None) -> Any:
    """Train the chosen networks of one family, going on from the last epoch of an earlier try."""
    if not parse_config(params).variants(family):
        raise AirflowSkipException(f"'architectures' names no {family}.")
    return run_step(f"train_{family}", settings=params, images=images)


@task(trigger_rule=TriggerRule.ALL_DONE)
def evaluate(
    release_files: Any, images: Any, trainings: Any, params: Any = None, run_id: Any = None
) -> Any:
    """Compare the trained models on the test galaxies and name the winner."""
    if images is None:
        raise AirflowFailException(
            "There are no prepared images, so no model either. The first failed task says why."
        )
    return run_step(
        "evaluate",
        settings=params,
        release_files=release_files,
        images=images,
        trainings=list(trainings),
        run_id=run_id,
    )
