"""Manifests of releases, dropped into the folder that a running Airflow watches."""

import json

from harness import DAG_ID, SETTINGS, wait_for


def list_own_runs(airflow):
    """Return the runs that no person has triggered, the oldest first."""
    runs = airflow.client.get(f"dags/{DAG_ID}/dagRuns?limit=100&order_by=id")["dag_runs"]
    return [run["dag_run_id"] for run in runs if run["run_type"] == "asset_triggered"]


def announce(airflow, *, name, file_name, concept="", **settings):
    folder = airflow.runs / "inbox"
    folder.mkdir(exist_ok=True)
    lines = [f"{key} = {as_toml(value)}" for key, value in (SETTINGS | settings).items()]
    head = [f"name = {json.dumps(name)}", *([f'zenodo_concept = "{concept}"'] if concept else [])]
    text = "\n".join([*head, "[settings]", *lines])
    (folder / file_name).write_text(text)


def wait_for_runs(airflow, count):
    return wait_for(lambda: len(runs := list_own_runs(airflow)) >= count and runs, timeout_s=120)


def as_toml(value):
    """Return the TOML of a setting: that of JSON, but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {as_toml(one)}" for name, one in value.items()) + "}"
    return json.dumps(value)
