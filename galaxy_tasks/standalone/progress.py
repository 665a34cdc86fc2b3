"""Follows a DAG run: a line for each task that changes its state, and what the tasks print."""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from typer import echo

from galaxy_tasks.formatting import format_duration
from galaxy_tasks.logs import prefix_level
from galaxy_tasks.standalone.client import ApiError, Client, UnreachableError
from galaxy_tasks.standalone.estimate import RunEstimate

Json = dict[str, Any]

UNFINISHED = ("queued", "running", "restarting")
_POLL_S = 1.0
_LOG_POLL_S = 4.0  # a log is read as a whole, and may be long
_LOG_RETRY_S = 10.0  # progress goes on without it
_ESTIMATE_INTERVAL_S = 60.0
_ENDED_STATES = ("success", "failed", "skipped", "upstream_failed")
_STATES_WITH_LOG = ("running", "success", "failed", "up_for_retry", "skipped")
_PRINTED_BY_TASK = ("task.stdout", "task.stderr")
_OWN_LOGGERS = "galaxy_"
"""In the names of the loggers of this package and of the DAG's files."""
_DESCRIBED = {"success": "has succeeded", "failed": "has FAILED"}
_SOURCES_GROUP = "::group::Log message source details"
_SPARK = "airflow.task.hooks.airflow.providers.apache.spark"


@dataclass
class _Shown:
    """What has been shown of one task."""

    state: str | None = None
    num_entries: dict[int, int] = field(default_factory=dict)
    """How many entries of its log have been read, by try."""
    next_log_at: float = 0.0
    """When the log of the running task is due, on the monotonic clock."""


def run_path(dag_id: str, run_id: str) -> str:
    """Return the API path of a run."""
    return f"dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def follow_run(
    client: Client,
    dag_id: str,
    run_id: str,
    *,
    last_task: str,
    estimate: RunEstimate | None = None,
) -> str:
    """Print the run's progress until it ends; return its state, `success` or `failed`.

    What the last task prints is the run's result: it comes at the end, as it stands. With an
    estimate, it is said about once a minute how long all trainings will take.
    """
    estimate_due_at = time.monotonic() + _ESTIMATE_INTERVAL_S
    path, shown = run_path(dag_id, run_id), defaultdict[str, _Shown](_Shown)
    while True:
        state = client.get(path)["state"]
        tasks = client.get(f"{path}/taskInstances?limit=100&order_by=start_date")["task_instances"]
        repeated = {task["task_id"] for task in tasks if task["map_index"] > 0}
        for task in tasks:
            name = task["task_id"]
            title = f"{name}[{task['map_index']}]" if name in repeated else name
            has_lines = name != last_task
            one = shown[title]
            lines = _show_changes(client, path, task, one, title=title, has_lines=has_lines)
            if (
                estimate
                and _note(estimate, task, title, lines)
                and time.monotonic() >= estimate_due_at
                and (left_s := estimate.left_s) is not None
            ):
                _echo("all trainings", f"up to {format_duration(left_s)} left")
                estimate_due_at = time.monotonic() + _ESTIMATE_INTERVAL_S
        if state not in UNFINISHED:
            _print_result(client, path, last_task)
            return state
        time.sleep(_POLL_S)


def _note(estimate: RunEstimate, task: Json, title: str, lines: list[str]) -> bool:
    """Let the estimate know what is new of a task; return whether an epoch has ended."""
    if task["state"] in _ENDED_STATES:
        estimate.note_end(title)
    now_s = time.monotonic()
    return any([estimate.note_line(title, line, now_s=now_s) for line in lines])


def list_unfinished_runs(client: Client, dag_id: str) -> list[str]:
    """Return the ids of the runs that are queued or running."""
    query = "&".join(f"state={state}" for state in UNFINISHED[:2])
    runs = client.get(f"dags/{quote(dag_id)}/dagRuns?{query}")["dag_runs"]
    return [run["dag_run_id"] for run in runs]


def fail_run(client: Client, dag_id: str, run_id: str, *, retry_s: float | None = None) -> None:
    """End a run: Airflow stops its tasks and starts no other."""
    client.call("PATCH", run_path(dag_id, run_id), {"state": "failed"}, retry_s=retry_s)


def read_log(client: Client, path: str, task: Json) -> list[Json]:
    """Return the entries of a task's log so far: dicts with event, level, logger, timestamp.

    `task` is one of the `taskInstances` of the run at `path`; its present try is read.

    The group that Airflow puts before them, which names their sources and changes as the task ends,
    is left out.
    """
    log = f"{path}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
    query = f"{log}?full_content=true&map_index={task['map_index']}"
    entries = client.get(query, retry_s=_LOG_RETRY_S).get("content") or []
    events = [entry["event"] for entry in entries]
    has_group = events[:1] == [_SOURCES_GROUP]
    return entries[events.index("::endgroup::") + 1 :] if has_group else entries


def _print_result(client: Client, path: str, task_id: str) -> None:
    """Print what a task printed, without the time and the name before each line.

    A run that was ended by hand may have no such task, or no log of it.
    """
    try:
        task = client.get(f"{path}/taskInstances/{task_id}")
        entries = read_log(client, path, task) if task["try_number"] else []
    except (ApiError, UnreachableError) as error:
        echo(f"\nThe output of {task_id} cannot be read: {error}")
        return
    if lines := list(filter(None, map(_describe_entry, entries))):
        echo("\n" + "\n".join(lines))


def _show_changes(
    client: Client, path: str, task: Json, shown: _Shown, *, title: str, has_lines: bool
) -> list[str]:
    """Print what is new of a task under this title; return the new lines of its log."""
    state, try_number, lines = task["state"], task["try_number"], []
    has_changed, shown.state = state != shown.state, state
    if has_changed and state == "running":
        _echo(title, "is running" + (f" (try {try_number})" if try_number > 1 else ""))
    is_due = state == "running" and time.monotonic() >= shown.next_log_at
    if has_lines and try_number and (is_due or (has_changed and state in _STATES_WITH_LOG)):
        lines = list(_read_new_lines(client, path, task, shown))
        for line in lines:
            _echo(title, line)
        shown.next_log_at = time.monotonic() + _LOG_POLL_S
    if has_changed and state not in (None, "scheduled", "running"):
        _echo(title, _DESCRIBED.get(state, f"is {state.replace('_', ' ')}"))
    return lines


def _read_new_lines(client: Client, path: str, task: Json, shown: _Shown) -> Iterator[str]:
    try_number = task["try_number"]
    try:
        entries = read_log(client, path, task)
    except (ApiError, UnreachableError):  # a task that has only just started has no log yet
        return
    count = shown.num_entries.get(try_number, 0)
    shown.num_entries[try_number] = max(count, len(entries))
    yield from filter(None, map(_describe_entry, entries[count:]))


def _describe_entry(entry: Json) -> str:
    """Return a log entry as the terminal shows it; '' for what Airflow notes for itself."""
    logger, level, event = entry.get("logger") or "", entry.get("level"), entry["event"]
    if level in ("error", "critical"):
        details = entry.get("error_detail") or []
        causes = [f"{cause['exc_type']}: {cause['exc_value']}" for cause in details[-1:]]
        return prefix_level(" ".join([event, *causes]), "ERROR")
    if "reason" in entry:  # why a task is skipped, or not tried again
        return f"{event} {entry['reason']}"
    is_own = logger in _PRINTED_BY_TASK or _OWN_LOGGERS in logger
    is_spark_output = logger.startswith(_SPARK) and not event.startswith("Spark-Submit cmd")
    if not (is_own or is_spark_output):
        return ""
    return prefix_level(event, "WARNING") if level == "warning" else event


def _echo(task: str, text: str) -> None:
    for line in text.splitlines():
        echo(f"{time.strftime('%H:%M:%S')}  {task:<17}  {line}")
