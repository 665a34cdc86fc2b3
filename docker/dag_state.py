"""Tells whether Airflow knows the DAG as its files are now: exit code 0 or 1, and one line."""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from database import ask

DAG_ID = "galaxy_morphology"
FOLDERS = ("/opt/airflow/dags", "/opt/airflow/plugins")


def main() -> int:
    """Compare the database with this container, which reads the DAG."""
    # What was read before this container started is of an earlier version of the code, maybe.
    changed = [_find_start()]
    changed += [path.stat().st_mtime for folder in FOLDERS for path in Path(folder).glob("*.py")]
    # A file from a clock that is ahead was not changed later than now.
    since = datetime.fromtimestamp(max(min(each, time.time()) for each in changed), UTC)
    found = ask(
        "SELECT is_stale, has_import_errors, last_parsed_time FROM dag WHERE dag_id = %(dag_id)s",
        dag_id=DAG_ID,
    )
    problem = _find_problem(found, since)
    print(problem or "known")
    return 1 if problem else 0


def _find_start() -> float:
    """Return when the first process of this container started, in seconds since 1970."""
    ticks = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
    (booted,) = [
        int(line.split()[1])
        for line in Path("/proc/stat").read_text().splitlines()
        if line.startswith("btime ")
    ]
    return booted + ticks / os.sysconf("SC_CLK_TCK")


def _find_problem(found: list[tuple], since: datetime) -> str:
    if not found:
        return "not read yet"
    is_stale, has_import_errors, last_parsed = found[0]
    if has_import_errors:
        return "it cannot be imported"
    if is_stale:
        return "it was not found in its file"
    if last_parsed is None or last_parsed < since:
        return f"not read since {since:%Y-%m-%d %H:%M:%S} UTC, when it changed or this started"
    return ""


if __name__ == "__main__":
    sys.exit(main())
