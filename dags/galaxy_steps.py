"""The Airflow side of the steps: what each takes from earlier tasks, and a process of its own.

A task pulls what earlier tasks returned by their names, so that the graph shows the order of the
work and not every reference that is passed on. Results are annotated Any because Airflow would
split one that is annotated as a dict into an XCom for each key.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from galaxy_choice import IDLE

from galaxy_tasks.config import FAMILIES
from galaxy_tasks.process import run_step


@task(execution_timeout=timedelta(days=2))  # the largest release takes a day on a slow line
def prepare_release(ti: Any = None) -> Any:
    """Find the release's files; fetch them, or draw the simulated release, where they are not."""
    return run_step("prepare_release", settings=ti.xcom_pull("choose_release"))


@task
def preprocess_images(ti: Any = None) -> Any:
    """Cut, scale and denoise the image of every labelled galaxy."""
    return run_step("preprocess_images", **pull_release(ti))


@task(trigger_rule=TriggerRule.ALL_DONE)
def evaluate(ti: Any = None, run_id: Any = None) -> Any:
    """Compare the trained models on the test galaxies and name the winner."""
    images = ti.xcom_pull("preprocess_images")
    if ti.xcom_pull("choose_release", key=IDLE):
        raise AirflowSkipException("There was nothing to do.")
    if images is None:
        raise AirflowFailException(
            "There are no prepared images, so no model either. The first failed task says why."
        )
    return run_step(
        "evaluate",
        **pull_release(ti),
        images=images,
        last_winner=ti.xcom_pull("predict_last_winner"),
        trainings=[ti.xcom_pull(f"train_{family}") for family in FAMILIES],
        run_id=run_id,
    )


def pull_release(ti: Any) -> dict[str, Any]:
    """Return the arguments that most steps begin with: the settings and the release's files."""
    return {
        "settings": ti.xcom_pull("choose_release"),
        "release_files": ti.xcom_pull("prepare_release"),
    }
