"""The Airflow side of the steps: what each takes from earlier tasks, and a process of its own.

A task pulls what earlier tasks returned by their names, so that the graph shows the order of the
work and not every reference that is passed on. Results are annotated Any because Airflow would
split one that is annotated as a dict into an XCom for each key.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from galaxy_release_asset import galaxy_zoo_release, waiting_releases

from galaxy_tasks.announcements import choose_announcement
from galaxy_tasks.config import FAMILIES, Family, parse_config
from galaxy_tasks.process import run_step


@task(outlets=[waiting_releases])
def prepare_release(
    params: Any = None, triggering_asset_events: Any = None, outlet_events: Any = None
) -> Any:
    """Find the release's files, or draw the simulated release; return them with the settings.

    The settings are those of the form, or of the release whose announcement started this run. What
    else has been announced meanwhile starts the next run.
    """
    events = [event for found in triggering_asset_events.values() for event in found]
    announced, waiting = choose_announcement([event.extra["payload"] for event in events])
    settings = dict(params) | (announced.settings if announced else {})
    if announced:
        print(f"Release announced: {announced.name}", flush=True)
    files = run_step("prepare_release", settings=settings)
    if waiting:
        print(f"Next: {', '.join(one.name for one in waiting)}", flush=True)
        payload = {"announcements": [one.as_payload() for one in waiting]}
        outlet_events[waiting_releases].add(galaxy_zoo_release, extra={"payload": payload})
    return {"settings": settings, "release_files": files}


@task
def preprocess_images(ti: Any = None) -> Any:
    """Cut, scale and denoise the image of every labelled galaxy."""
    return run_step("preprocess_images", **ti.xcom_pull("prepare_release"))


@task(queue="gpu", pool="gpu", execution_timeout=timedelta(days=2))
def train_family(family: Family, ti: Any = None) -> Any:
    """Train the chosen networks of one family, going on from the last epoch of an earlier try."""
    settings = ti.xcom_pull("prepare_release")["settings"]
    if not parse_config(settings).variants(family):
        raise AirflowSkipException(f"'architectures' names no {family}.")
    images = ti.xcom_pull("preprocess_images")
    return run_step(f"train_{family}", settings=settings, images=images)


@task(trigger_rule=TriggerRule.ALL_DONE)
def evaluate(ti: Any = None, run_id: Any = None) -> Any:
    """Compare the trained models on the test galaxies and name the winner."""
    images = ti.xcom_pull("preprocess_images")
    if images is None:
        raise AirflowFailException(
            "There are no prepared images, so no model either. The first failed task says why."
        )
    return run_step(
        "evaluate",
        **ti.xcom_pull("prepare_release"),
        images=images,
        trainings=[ti.xcom_pull(f"train_{family}") for family in FAMILIES],
        run_id=run_id,
    )
