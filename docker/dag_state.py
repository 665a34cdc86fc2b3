"""Tells whether Airflow knows the DAG as its files are now: exit code 0 or 1, and one line."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from database import ask

DAG_ID = "galaxy_morphology"
FOLDERS = ("/opt/airflow/dags", "/opt/airflow/plugins")


def main() -> int:
    """Compare the database with this container, which reads the DAG."""
    # What was read before this container started is of an earlier version of the code, maybe.
    changed = [Path("/proc/1").stat().st_mtime]
    changed += [path.stat().st_mtime for folder in FOLDERS for path in Path(folder).glob("*.py")]
    since = datetime.fromtimestamp(max(changed), UTC)
    found = ask(
        "SELECT is_stale, has_import_errors, last_parsed_time FROM dag WHERE dag_id = %(dag_id)s",
        dag_id=DAG_ID,
    )
    problem = _find_problem(found, since)
    print(problem or "known")
    return 1 if problem else 0


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
