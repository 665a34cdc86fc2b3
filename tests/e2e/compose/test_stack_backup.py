"""What docs/containers.md tells to type for a backup and its restoration does what it says."""

import contextlib
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest
from harness import DAG_ID
from stack import read_scores

pytestmark = pytest.mark.e2e
DOCUMENT = Path(__file__).parents[3] / "docs" / "containers.md"


def run_block(stack, first_words):
    """Run the block of commands that follows these words in the documentation, as typed."""
    text = DOCUMENT.read_text()
    block = re.search(r"```bash\n(.*?)```", text[text.index(first_words) :], re.DOTALL).group(1)
    done = subprocess.run(
        ["bash", "-c", block],
        cwd=stack.folder,
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def list_runs(stack):
    runs = stack.client.get(f"dags/{DAG_ID}/dagRuns?limit=100")["dag_runs"]
    return {run["dag_run_id"]: run["state"] for run in runs}


def list_champions(stack) -> list[tuple[str, int]]:
    """Return the model and the version behind each alias of a champion."""
    query = "SELECT name, version FROM registered_model_aliases WHERE alias = 'champion'"
    address = f"{(stack.runs / 'mlflow.db').as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            return database.execute(query).fetchall()
    except sqlite3.OperationalError:  # there is no file or no table yet
        return []


def test_a_backup_brings_back_runs_results_and_secrets(stack, undisturbed):
    runs, settings, champions = list_runs(stack), stack.settings, list_champions(stack)
    assert champions
    run_block(stack, "To back up")
    assert (stack.folder / "stack.tar.gz").stat().st_mode & 0o077 == 0

    stack.client.call("DELETE", f"dags/{DAG_ID}/dagRuns/{next(iter(runs))}")
    stack.run_in("postgres", "psql", "--username", "airflow", "--command", "CREATE TABLE newer ()")
    stack.forget("models", "evaluations")
    assert list_champions(stack) == []
    (stack.folder / ".env").unlink()

    run_block(stack, "To restore")
    assert stack.settings == settings
    assert list_runs(stack) == runs
    assert (stack.outcomes(), read_scores(stack)) == undisturbed
    assert list_champions(stack) == champions
    stack.verify_artifacts()
    told = stack.run_in("postgres", "psql", "--username", "airflow", "--command", "\\dt newer")
    assert "newer" not in told.replace('"newer"', "")
