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

from galaxy_tasks.announcements import Announcement, take_turn
from galaxy_tasks.config import FAMILIES, Family, parse_config
from galaxy_tasks.process import run_step

IDLE = "idle"
"""Key of the XCom by which a run without work is told from one whose first task has failed."""


@task(inlets=[galaxy_zoo_release], outlets=[waiting_releases])
def choose_release(
    params: Any = None,
    ti: Any = None,
    dag_run: Any = None,
    triggering_asset_events: Any = None,
    asset_state_store: Any = None,
    outlet_events: Any = None,
) -> Any:
    """Return the settings: the form's, or the form's with those of an announced release.

    A run that an announcement has started takes the oldest that no run has taken, and starts the
    next run where more wait, whatever becomes of it. One that the clock has started takes the
    newest, if there has been any.
    """
    settings, store = dict(params), asset_state_store[galaxy_zoo_release]
    if triggering_asset_events:
        taken = store.get(TAKEN, {})
        turn = take_turn(store.get(ANNOUNCED, []), taken=taken, run_id=dag_run.run_id)
        if turn.announcement is None:
            ti.xcom_push(key=IDLE, value=True)
            raise AirflowSkipException("Other runs have taken all that was announced.")
        store.set(TAKEN, turn.taken)
        if turn.are_more_waiting:
            outlet_events[waiting_releases].add(galaxy_zoo_release)
        announced = turn.announcement.as_payload()
    elif dag_run.run_type == "scheduled":
        announced = next(reversed(store.get(ANNOUNCED, [])), None)
    else:
        announced = None
    if announced:
        announcement = Announcement.from_payload(announced)
        print(f"Release announced: {announcement.describe(store.get(ANNOUNCED, []))}", flush=True)
        settings |= announced["settings"]
    return settings


@task(execution_timeout=timedelta(days=2))  # the largest release takes a day on a slow line
def prepare_release(ti: Any = None) -> Any:
    """Find the release's files; fetch them, or draw the simulated release, where they are not."""
    return run_step("prepare_release", settings=ti.xcom_pull("choose_release"))


@task
def preprocess_images(ti: Any = None) -> Any:
    """Cut, scale and denoise the image of every labelled galaxy."""
    return run_step("preprocess_images", **_pull_release(ti))


@task(queue="gpu", pool="gpu")
def predict_last_winner(ti: Any = None) -> Any:
    """Ask the last winner about the test galaxies that it has not learned from."""
    images = ti.xcom_pull("preprocess_images")
    return run_step("predict_last_winner", **_pull_release(ti), images=images)


# Trainings go first where slots are few: only the report waits for the last winner.
@task(queue="gpu", pool="gpu", priority_weight=2, execution_timeout=timedelta(days=2))
def train_family(family: Family, ti: Any = None) -> Any:
    """Train the chosen networks of one family, going on from the last epoch of an earlier try."""
    settings = ti.xcom_pull("choose_release")
    if not parse_config(settings).variants(family):
        raise AirflowSkipException(f"'architectures' names no {family}.")
    images = ti.xcom_pull("preprocess_images")
    return run_step(f"train_{family}", settings=settings, images=images)


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
        **_pull_release(ti),
        images=images,
        last_winner=ti.xcom_pull("predict_last_winner"),
        trainings=[ti.xcom_pull(f"train_{family}") for family in FAMILIES],
        run_id=run_id,
    )


def _pull_release(ti: Any) -> dict[str, Any]:
    return {
        "settings": ti.xcom_pull("choose_release"),
        "release_files": ti.xcom_pull("prepare_release"),
    }
