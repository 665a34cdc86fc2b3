"""The asset that stands for published releases, and when the DAG runs by itself."""

import os
from dataclasses import asdict
from typing import Any

from airflow.sdk import Asset, AssetAlias, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable
from galaxy_watch import ReleaseManifestTrigger

from galaxy_tasks.artifacts import home
from galaxy_tasks.turns import Watched
from galaxy_tasks.zenodo import PUBLIC_URL

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
