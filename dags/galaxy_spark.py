"""The operator that submits a Spark application and returns what that has made."""

import tempfile
from pathlib import Path
from typing import Any

from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException

from galaxy_tasks.logs import relog
from galaxy_tasks.pipeline.process import read_result


class StepSubmitOperator(SparkSubmitOperator):
    """Submits an application in client mode and returns its result, or raises its error.

    The application gets `--result FILE` and writes there with `process.write_result`. Its driver
    runs in this task, so that the file is on this machine also where Spark is a cluster. Each line
    of its output is logged at the level in front of it.
    """

    def execute(self, context: Any) -> Any:
        """Submit the application and return its result.

        Raises:
            InputError, ResourceError: the application raised it; same message.
            AirflowException: it ended without a result.
        """
        with tempfile.TemporaryDirectory(prefix="galaxy-step-") as folder:
            result, failure = Path(folder, "result.json"), None
            self.application_args = [*(self.application_args or []), "--result", str(result)]
            try:
                super().execute(context)
            except AirflowException as error:
                failure = error
            if failure and not result.is_file():
                raise failure
            return read_result(result)

    def _get_hook(self) -> SparkSubmitHook:
        hook = super()._get_hook()
        hook._log = _LevelledLog(hook.log)  # pyright: ignore[reportAttributeAccessIssue]
        return hook


class _LevelledLog:
    """A log whose `info` takes the level that stands in front of a line."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def info(self, line: str, *arguments: Any) -> None:
        relog(line % arguments if arguments else line, self._log)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)
