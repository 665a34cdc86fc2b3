"""How often a task is tried, and which failures are worth it: all but bad data and settings."""

import re
from datetime import timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

from galaxy_tasks.errors import InputError

_SPARK_INPUT_ERROR = re.compile(rf"Error code is: {InputError.exit_code}\.")
"""How SparkSubmitOperator words that the application ended with the exit code of an InputError."""


class FailOnBadData(RetryPolicy):
    """Fails a task at once where no retry can help, and leaves the rest to `retries`."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
    ) -> RetryDecision:
        """Return `fail` for an InputError, raised here or by the Spark application."""
        if isinstance(exception, InputError) or _SPARK_INPUT_ERROR.search(str(exception)):
            return RetryDecision.fail("Wrong data or settings: another try would fail alike.")
        return RetryDecision.default()


DEFAULT_ARGS: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": 2,
    "retry_policy": FailOnBadData(),
    "execution_timeout": timedelta(hours=6),
}
"""What every task has that says nothing else."""
