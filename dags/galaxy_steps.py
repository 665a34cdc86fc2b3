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
from galaxy_watch import ANNOUNCED, TAKEN

from galaxy_tasks.announcements import take_turn
from galaxy_tasks.config import FAMILIES, Family, parse_config
from galaxy_tasks.process import run_step

IDLE = "idle"
"""Key of the XCom that says that a run found nothing to do."""


@task(inlets=[galaxy_zoo_release], outlets=[waiting_releases])
def prepare_release(
    params: Any = None,
    ti: Any = None,
    run_id: Any = None,
    triggering_asset_events: Any = None,
    asset_state_store: Any = None,
    outlet_events: Any = None,
) -> Any:
    """Find the release's files, or draw the simulated release; return them with the settings.

    The settings are those of the form or, in a run that an announcement has started, those of the
    oldest announcement that no run has taken. Where more wait, the next run is started.
    """
    settings = dict(params)
    if triggering_asset_events:
        store = asset_state_store[galaxy_zoo_release]
        turn = take_turn(store.get(ANNOUNCED, []), taken=store.get(TAKEN, {}), run_id=run_id)
        if turn.announcement is None:
            ti.xcom_push(IDLE, True)
            raise AirflowSkipException("Other runs have taken all that was announced.")
        store.set(TAKEN, turn.taken)
        if turn.are_more_waiting:
            outlet_events[waiting_releases].add(galaxy_zoo_release)
        print(f"Release announced: {turn.announcement.name}", flush=True)
        settings |= turn.announcement.settings
    files = run_step("prepare_release", settings=settings)
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
    if ti.xcom_pull("prepare_release", key=IDLE):
        raise AirflowSkipException("There was nothing to do.")
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
