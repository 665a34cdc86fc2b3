"""The first task: which settings a run has, its form's or those of an announced release."""

from typing import Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException
from galaxy_release_asset import WATCHED, galaxy_zoo_release, waiting_releases

from galaxy_tasks.turns import choose, describe_settings

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

    A run that an announcement or the clock has started takes the oldest that no run has taken, and
    starts the next run where more wait, whatever becomes of it.
    """
    is_by_clock = dag_run.run_type == "scheduled"
    choice = choose(
        asset_state_store[galaxy_zoo_release],
        params,
        start="announcement" if triggering_asset_events else "clock" if is_by_clock else "person",
        run_id=dag_run.run_id,
        watched=WATCHED,
    )
    for line in choice.told:
        print(line, flush=True)
    if choice.settings is None:
        ti.xcom_push(key=IDLE, value=True)
        raise AirflowSkipException(choice.told[-1])
    if choice.are_more_waiting:
        outlet_events[waiting_releases].add(galaxy_zoo_release)
    print(describe_settings(choice.settings), flush=True)
    return choice.settings
