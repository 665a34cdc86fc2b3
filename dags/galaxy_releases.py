"""How releases start runs: their asset, the schedule, and the task that chooses one."""

import os
from dataclasses import asdict
from typing import Any

from airflow.sdk import (
    Asset,
    AssetAlias,
    AssetOrTimeSchedule,
    AssetWatcher,
    CronTriggerTimetable,
    task,
)
from airflow.sdk.exceptions import AirflowSkipException
from galaxy_watch import ReleaseManifestTrigger

from galaxy_tasks.acquisition.zenodo import PUBLIC_URL
from galaxy_tasks.storage.artifacts import home
from galaxy_tasks.storage.holdouts import find_latest_holdout
from galaxy_tasks.watch.backlog import Watched, choose, describe_settings

WATCHED = Watched(
    folder=os.environ.get("GALAXY_RELEASES_FOLDER") or str(home() / "announced"),
    poll_interval_s=float(os.environ.get("GALAXY_RELEASES_POLL_S") or 10),
    zenodo_url=os.environ.get("GALAXY_ZENODO_URL") or PUBLIC_URL,
    zenodo_poll_interval_s=float(os.environ.get("GALAXY_ZENODO_POLL_S") or 3600),
)
galaxy_zoo_release = Asset(
    "galaxy_zoo_release",
    watchers=[
        AssetWatcher(name="release_manifests", trigger=ReleaseManifestTrigger(**asdict(WATCHED)))
    ],
)
waiting_releases = AssetAlias("galaxy_zoo_release_waiting")
"""Through it a run hands on what was announced while another run was under way."""


def make_schedule() -> Any:
    """Return the asset, and beside it the times of GALAXY_SCHEDULE (cron, UTC) if that is set."""
    cron = os.environ.get("GALAXY_SCHEDULE", "")
    if not cron:
        return [galaxy_zoo_release]
    return AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(cron, timezone="UTC"), assets=[galaxy_zoo_release]
    )


IDLE = "idle"
"""Key of the XCom that tells a run without work from one whose first task has failed."""


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

    The XCom 'holdout' is the reference of the holdout that the labels are made with.

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
    holdout = find_latest_holdout()
    ti.xcom_push(key="holdout", value=holdout.as_reference() if holdout else None)
    print(describe_settings(choice.settings), flush=True)
    return choice.settings
