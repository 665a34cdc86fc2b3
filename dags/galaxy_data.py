"""The tasks that bring a release's labels, which runs and ablations begin with alike."""

from datetime import timedelta
from typing import Any

from airflow.sdk import task
from galaxy_spark import StepSubmitOperator

from galaxy_tasks.labels.spark_settings import spark_submit_conf
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.pipeline.steps import CLEAN_LABELS


@task(execution_timeout=timedelta(days=2))  # the largest release takes a day on a slow line
def prepare_release(ti: Any = None) -> Any:
    """Find the release's files; fetch them, or draw the simulated release, where they are not."""
    return run_step("prepare_release", settings=ti.xcom_pull("choose_release"))


def clean_labels() -> StepSubmitOperator:
    """Return the task that has Spark turn votes into one label and one split for each galaxy."""
    return StepSubmitOperator(
        task_id="clean_labels",
        name="clean_labels",
        application=str(CLEAN_LABELS),
        application_args=[
            *("--settings", "{{ ti.xcom_pull('choose_release') | tojson }}"),
            *("--release-files", "{{ ti.xcom_pull('prepare_release') | tojson }}"),
            *("--holdout", "{{ ti.xcom_pull('choose_release', key='holdout') | tojson }}"),
        ],
        conf=spark_submit_conf(),
    )


def pull_labels(ti: Any) -> dict[str, Any]:
    """Return the settings, the release's files, and the reference of the labels."""
    return {
        "settings": ti.xcom_pull("choose_release"),
        "release_files": ti.xcom_pull("prepare_release"),
        "labels": ti.xcom_pull("clean_labels"),
    }
