"""Exits with 0 if Airflow has read the DAG's present files, else with 1; prints one line."""

import os
import sys
import time
from pathlib import Path

from database import ask

DAG_ID = "galaxy_morphology"
FOLDERS = ("/opt/airflow/dags", "/opt/airflow/plugins")
_LATENCY_S = 5
"""At most this long after parsing, the database knows of it."""


def main() -> int:
    """Compare the database with this container, which reads the DAG."""
    found = ask(
        "SELECT is_stale, has_import_errors, EXTRACT(EPOCH FROM last_parsed_time)::float, "
        "last_parse_duration FROM dag WHERE dag_id = %(dag_id)s",
        dag_id=DAG_ID,
    )
    problem = _find_problem(found)
    print(problem or "known")
    return 1 if problem else 0


def _find_problem(found: list[tuple]) -> str:
    if not found:
        return "not read yet"
    is_stale, has_import_errors, read_s, took_s = found[0]
    if has_import_errors:
        return "it cannot be imported"
    if is_stale:
        return "it was not found in its file"
    # Files read before this container started may be of an earlier version.
    if read_s is None or read_s < _find_start():
        return "not read since this container started"
    # The time is that of the end of parsing, and the files were read at its beginning.
    if read_s - 2 * (took_s or 0) - _LATENCY_S < _find_change():
        return "not read since its files changed"
    return ""


def _find_change() -> float:
    """Return when a file last changed, in seconds since 1970, ignoring times in the future."""
    paths = [path for folder in FOLDERS for path in Path(folder).glob("*.py")]
    return max((t for path in paths if (t := path.stat().st_mtime) <= time.time()), default=0.0)


def _find_start() -> float:
    """Return when the first process of this container started, in seconds since 1970."""
    ticks = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
    (booted,) = [
        int(line.split()[1])
        for line in Path("/proc/stat").read_text().splitlines()
        if line.startswith("btime ")
    ]
    return booted + ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
