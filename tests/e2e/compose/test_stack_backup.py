"""What docs/containers.md tells to type for a backup and its restoration does what it says."""

import re
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


def test_a_backup_brings_back_runs_results_and_secrets(stack, undisturbed):
    runs, settings = list_runs(stack), stack.settings
    run_block(stack, "To back up")
    assert (stack.folder / "stack.tar.gz").stat().st_mode & 0o077 == 0

    stack.client.call("DELETE", f"dags/{DAG_ID}/dagRuns/{next(iter(runs))}")
    stack.run_in("postgres", "psql", "--username", "airflow", "--command", "CREATE TABLE newer ()")
    stack.forget("models", "evaluations")
    (stack.folder / ".env").unlink()

    run_block(stack, "To restore")
    assert stack.settings == settings
    assert list_runs(stack) == runs
    assert (stack.outcomes(), read_scores(stack)) == undisturbed
    stack.verify_artifacts()
    told = stack.run_in("postgres", "psql", "--username", "airflow", "--command", "\\dt newer")
    assert "newer" not in told.replace('"newer"', "")
