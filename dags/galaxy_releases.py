"""How releases start runs: their asset, the schedule, and the task that chooses one."""

import logging
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
from galaxy_tasks.errors import InputError
from galaxy_tasks.pipeline.process import run_step
from galaxy_tasks.storage.latest_holdout import find_latest_holdout
from galaxy_tasks.watch.backlog import WatchSettings, choose, describe_settings
from galaxy_tasks.watch.inbox import inbox_folder

_logger = logging.getLogger(__name__)

WATCH = WatchSettings(
    folder=str(inbox_folder()),
    poll_interval_s=float(os.environ.get("GALAXY_RELEASES_POLL_S") or 10),
    zenodo_url=os.environ.get("GALAXY_ZENODO_URL") or PUBLIC_URL,
    zenodo_poll_interval_s=float(os.environ.get("GALAXY_ZENODO_POLL_S") or 3600),
)
galaxy_zoo_release = Asset(
    "galaxy_zoo_release",
    watchers=[
        AssetWatcher(name="release_manifests", trigger=ReleaseManifestTrigger(**asdict(WATCH)))
    ],
)
waiting_releases = AssetAlias("galaxy_zoo_release_waiting")
"""Through it a run starts the next one, for events that came while a run was under way."""


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

RELEASE = "release"
"""Key of the XCom with the title of the release event; empty for a run with the form's settings."""


def log_release(context: Any) -> None:
    """Begin the log of a task with the release event that its run works on."""
    if title := context["ti"].xcom_pull("choose_release", key=RELEASE):
        _logger.info("Release: %s", title)


@task(inlets=[galaxy_zoo_release], outlets=[waiting_releases])
def choose_release(
    params: Any = None,
    ti: Any = None,
    dag_run: Any = None,
    triggering_asset_events: Any = None,
    asset_state_store: Any = None,
    outlet_events: Any = None,
) -> Any:
    """Return the settings: the form's, or the form's with those of a release event.

    A run that an event or the schedule has started takes the oldest event that no run has taken,
    and starts the next run where more wait, whatever becomes of it. The XCom 'holdout' refers to
    the galaxies that are in the test for good as this run begins.
    """
    is_scheduled = dag_run.run_type == "scheduled"
    choice = choose(
        asset_state_store[galaxy_zoo_release],
        params,
        start=(
            "release_event" if triggering_asset_events else "schedule" if is_scheduled else "manual"
        ),
        run_id=dag_run.run_id,
        watch=WATCH,
    )
    if choice.settings is None:
        ti.xcom_push(key=IDLE, value=True)
        raise AirflowSkipException(choice.reason)
    if choice.are_more_waiting:
        outlet_events[waiting_releases].add(galaxy_zoo_release, extra={"behind": choice.title})
    holdout = find_latest_holdout()
    ti.xcom_push(key="holdout", value=holdout.as_reference() if holdout else None)
    ti.xcom_push(key=RELEASE, value=choice.title)
    _logger.info("%s", describe_settings(choice.settings))
    return _pin_start(choice.settings)


def _pin_start(settings: dict[str, Any]) -> dict[str, Any]:
    """Hold fast the model that networks start from, if one is named.

    One that does not suit is left to the next task to refuse, as all settings of an event are.
    """
    if not settings.get("start_from"):
        return settings
    try:
        return run_step("pin_start", settings=settings)
    except InputError as error:
        _logger.error("%s", error)
        return settings
