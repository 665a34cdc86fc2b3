"""One run of the DAG, from its trigger to the winner."""

import contextlib
import time
from typing import Any, NoReturn

from typer import echo

from galaxy_tasks.config import parse_config
from galaxy_tasks.errors import GalaxyMorphologyError
from galaxy_tasks.standalone import progress
from galaxy_tasks.standalone.client import ApiError, Client, UnreachableError
from galaxy_tasks.standalone.estimate import RunEstimate

DAG_ID = "galaxy_morphology"
_DAG_TIMEOUT_S = 300
_TASKS_TIMEOUT_S = 60
_POLL_S = 3.0
_LAST_RETRY_S = 5.0


class Interrupted(BaseException):
    """The user wants everything ended: Ctrl-C, or the terminal was closed."""


class Workflow:
    """The DAG in one running Airflow."""

    def __init__(self, client: Client, *, gpu_slots: int) -> None:
        """Keep how to reach Airflow, and how many networks may train at once."""
        self._client = client
        self._gpu_slots = gpu_slots
        self._run_id = ""

    @property
    def page(self) -> str:
        """Address of the web page: of the run, once there is one."""
        page = f"{self._client.address}/dags/{DAG_ID}"
        return f"{page}/runs/{self._run_id}" if self._run_id else page

    def run(self, settings: dict[str, Any]) -> bool:
        """Run the DAG with these settings, showing progress and result; return its success."""
        self._prepare()
        estimate = RunEstimate(parse_config(settings), slots=self._gpu_slots)
        return self._follow(self._client.trigger(DAG_ID, settings), estimate)

    def follow_others(self) -> NoReturn:
        """Show, for ever, the progress of the runs that are triggered in the page or by a release.

        Raises:
            UnreachableError: Airflow has ended.
        """
        while True:
            for run_id in progress.list_unfinished_runs(self._client, DAG_ID):
                self._follow(run_id)
            time.sleep(_POLL_S)

    def _follow(self, run_id: str, estimate: RunEstimate | None = None) -> bool:
        """Show a run's progress and result; return its success."""
        self._run_id = run_id
        echo(f"Run {run_id}: {self.page}")
        try:
            state = progress.follow_run(
                self._client, DAG_ID, run_id, last_task="evaluate", estimate=estimate
            )
        except Interrupted:
            with contextlib.suppress(UnreachableError, ApiError):
                progress.fail_run(self._client, DAG_ID, run_id, retry_s=_LAST_RETRY_S)
            raise
        if state != "success":
            echo("The run FAILED; see the lines above and the web page.")
        return state == "success"

    def _prepare(self) -> None:
        """Make the pool, wait for the DAG, end the runs that an earlier start left unfinished."""
        client = self._client
        client.set_pool("gpu", slots=self._gpu_slots, description="Networks that train at once.")
        deadline = time.monotonic() + _DAG_TIMEOUT_S
        while not self._is_dag_there():
            if time.monotonic() > deadline:
                raise GalaxyMorphologyError(
                    f"Airflow did not load the DAG {DAG_ID} in {_DAG_TIMEOUT_S} s."
                )
            time.sleep(0.5)
        for run_id in progress.list_unfinished_runs(client, DAG_ID):
            progress.fail_run(client, DAG_ID, run_id)
            self._wait_for_tasks(run_id)
            echo(f"Ended the unfinished run {run_id}; clear it on its page to continue it.")
        client.call("PATCH", f"dags/{DAG_ID}", {"is_paused": False})  # where a person paused it

    def _wait_for_tasks(self, run_id: str) -> None:
        """Wait until no task of a run that was ended is at work any more, or for a minute."""
        path = f"{progress.run_path(DAG_ID, run_id)}/taskInstances?limit=100&state=running"
        deadline = time.monotonic() + _TASKS_TIMEOUT_S
        while self._client.get(path)["task_instances"] and time.monotonic() < deadline:
            time.sleep(0.5)

    def _is_dag_there(self) -> bool:
        errors = self._client.get("importErrors")["import_errors"]
        if errors:
            raise GalaxyMorphologyError(f"Airflow cannot load the DAG:\n{errors[0]['stack_trace']}")
        try:
            self._client.get(f"dags/{DAG_ID}/details")
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return True
