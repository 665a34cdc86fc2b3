"""The asset that stands for the champions, and the task that promotes a challenger."""

from typing import Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from galaxy_tasks.pipeline.process import run_step

galaxy_champion = Asset("galaxy_champion")
"""Has an event for each model that became champion, with name, version and sha256 in `extra`."""


def promote_evaluated(evaluation: str, *, approver: str, ti: Any, outlet_events: Any) -> Any:
    """Promote the challenger of an evaluation, given by its key, or skip the task with the reason.

    Any success of a task emits an event for each asset among its outlets, so only a promotion is a
    success. A task that is tried again may have been ended between promotion and event.
    """
    run = f"{ti.dag_id}/{ti.run_id}"
    done = run_step("promote", evaluation=evaluation, approver=approver, run=run)
    if not done["is_new"] and not (done["is_own"] and ti.try_number > 1):
        raise AirflowSkipException(done["reason"])
    outlet_events[galaxy_champion].extra = {
        name: done[name] for name in ("name", "version", "sha256")
    }
    return done
