"""Follows a DAG run: a line for each task that changes its state, and what the tasks print."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from galaxy_tasks.standalone.client import ApiError, Client, NoAnswerError

Json = dict[str, Any]

UNFINISHED = ("queued", "running", "restarting")
_POLL_S = 1.0
_LOG_POLL_S = 4.0  # a log is read as a whole, and may be long
_LOG_PATIENCE_S = 10.0  # progress goes on without it
_STATES_WITH_LOG = ("running", "success", "failed", "up_for_retry", "skipped")
_PRINTED_BY_TASK = ("task.stdout", "task.stderr")
_SOURCES_GROUP = "::group::Log message source details"
_SPARK = "airflow.task.hooks.airflow.providers.apache.spark"


@dataclass
class _TaskView:
    """What has been shown of one task."""

    state: str | None = None
    lines_shown: dict[int, int] = field(default_factory=dict)
    """For each try, how many entries of its log have been read."""
    next_log_at: float = 0.0
    """When the log of the running task is due, on the monotonic clock."""


def run_path(dag_id: str, run_id: str) -> str:
    """Return the API path of a run."""
    return f"dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def follow_run(client: Client, dag_id: str, run_id: str, *, last_task: str) -> str:
    """Print the run's progress until it ends; return its state, `success` or `failed`.

    What the last task prints is the run's result: it comes at the end, as it stands.
    """
    path, views = run_path(dag_id, run_id), dict[str, _TaskView]()
    while True:
        state = client.get(path)["state"]
        tasks = client.get(f"{path}/taskInstances?limit=100&order_by=start_date")["task_instances"]
        for task in tasks:
            view = views.setdefault(task["task_id"], _TaskView())
            _show_changes(client, path, task, view, has_lines=task["task_id"] != last_task)
        if state not in UNFINISHED:
            _print_result(client, path, last_task)
            return state
        time.sleep(_POLL_S)


def list_unfinished_runs(client: Client, dag_id: str) -> list[str]:
    """Return the ids of the runs that are queued or running."""
    query = "&".join(f"state={state}" for state in UNFINISHED[:2])
    runs = client.get(f"dags/{quote(dag_id)}/dagRuns?{query}")["dag_runs"]
    return [run["dag_run_id"] for run in runs]


def fail_run(client: Client, dag_id: str, run_id: str) -> None:
    """End a run: Airflow stops its tasks and starts no other."""
    client.call("PATCH", run_path(dag_id, run_id), {"state": "failed"})


def read_log(client: Client, task_path: str, try_number: int) -> list[Json]:
    """Return the entries of a task's log so far: dicts with event, level, logger, timestamp.

    Airflow puts a group before them that says where it read them, and that changes as the task
    ends: it is left out.
    """
    query = f"{task_path}/logs/{try_number}?full_content=true"
    entries = client.get(query, patience_s=_LOG_PATIENCE_S).get("content") or []
    events = [entry["event"] for entry in entries]
    has_group = events[:1] == [_SOURCES_GROUP]
    return entries[events.index("::endgroup::") + 1 :] if has_group else entries


def _print_result(client: Client, path: str, task_id: str) -> None:
    """Print what a task printed, without the time and the name before each line.

    A run that was ended by hand may have no such task, or no log of it.
    """
    task_path = f"{path}/taskInstances/{task_id}"
    try:
        try_number = client.get(task_path)["try_number"]
        entries = read_log(client, task_path, try_number) if try_number else []
    except (ApiError, NoAnswerError) as error:
        print(f"\nWhat {task_id} printed cannot be read: {error}", flush=True)
        return
    if lines := list(filter(None, map(_telling, entries))):
        print("\n" + "\n".join(lines), flush=True)


def _show_changes(
    client: Client, path: str, task: Json, view: _TaskView, *, has_lines: bool
) -> None:
    name, state, try_number = task["task_id"], task["state"], task["try_number"]
    has_changed, view.state = state != view.state, state
    if has_changed and state == "running":
        _print(name, "is running" + (f" (try {try_number})" if try_number > 1 else ""))
    is_due = state == "running" and time.monotonic() >= view.next_log_at
    if has_lines and try_number and (is_due or (has_changed and state in _STATES_WITH_LOG)):
        for line in _read_new_lines(client, f"{path}/taskInstances/{name}", try_number, view):
            _print(name, line)
        view.next_log_at = time.monotonic() + _LOG_POLL_S
    if has_changed and state not in (None, "scheduled", "running"):
        _print(name, f"is {state.replace('_', ' ')}")


def _read_new_lines(
    client: Client, task_path: str, try_number: int, view: _TaskView
) -> Iterator[str]:
    try:
        entries = read_log(client, task_path, try_number)
    except (ApiError, NoAnswerError):  # a task that has only just started has no log yet
        return
    shown = view.lines_shown.get(try_number, 0)
    view.lines_shown[try_number] = max(shown, len(entries))
    for entry in entries[shown:]:
        if line := _telling(entry):
            yield line


def _telling(entry: Json) -> str:
    """Return what a person at the terminal wants of a log entry; empty for Airflow's own notes."""
    logger, level, event = entry.get("logger") or "", entry.get("level"), entry["event"]
    if level in ("error", "critical"):
        details = entry.get("error_detail") or []
        causes = [f"{cause['exc_type']}: {cause['exc_value']}" for cause in details[-1:]]
        return " ".join([event, *causes])
    if "reason" in entry:  # why a task is skipped, or not tried again
        return f"{event} {entry['reason']}"
    is_spark_output = logger.startswith(_SPARK) and not event.startswith("Spark-Submit cmd")
    return event if logger in _PRINTED_BY_TASK or is_spark_output else ""


def _print(task: str, text: str) -> None:
    for line in text.splitlines():
        print(f"{time.strftime('%H:%M:%S')}  {task:<17}  {line}", flush=True)
