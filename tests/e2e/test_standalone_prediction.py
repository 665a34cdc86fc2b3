"""A champion predicts catalogues on Airflow's page: by hand with the form, and by itself."""

import json
from pathlib import Path

import pandas as pd
import pytest
from browsing import needs_browser, open_browser, open_page, send
from harness import wait_for

from galaxy_tasks.standalone import progress

pytestmark = pytest.mark.e2e

DAG_ID = "galaxy_prediction"
TASKS = {"list_catalogues", "choose_model", "export_champion", "predict"}


def list_runs(standalone) -> dict[str, str]:
    """Return the state of each run, by its id."""
    runs = standalone.client.get(f"dags/{DAG_ID}/dagRuns?limit=100")["dag_runs"]
    return {run["dag_run_id"]: run["state"] for run in runs}


def wait_for_run(standalone, known: set[str]) -> str:
    """Wait until another run than the known ones has ended well; return its id."""

    def find() -> str | None:
        new = {name: state for name, state in list_runs(standalone).items() if name not in known}
        assert "failed" not in new.values(), new
        return next((name for name, state in new.items() if state == "success"), None)

    return wait_for(find, timeout_s=400)


def states(standalone, run_id: str) -> dict[str, str]:
    path = f"{progress.run_path(DAG_ID, run_id)}/taskInstances"
    tasks = standalone.client.get(path)["task_instances"]
    return {task["task_id"]: task["state"] for task in tasks}


def find_images(standalone) -> Path:
    (manifest,) = standalone.runs.glob("releases/*/manifest.json")
    return next(path.parent for path in manifest.parent.rglob("*.jpg"))


def test_the_first_champion_started_a_run_that_found_nothing_to_predict(standalone):
    run_id = wait_for_run(standalone, set())
    assert states(standalone, run_id) == dict.fromkeys(TASKS, "skipped")


@needs_browser
def test_a_catalogue_is_predicted_from_the_form(standalone):
    known = set(list_runs(standalone))
    images = find_images(standalone)
    with open_browser() as browser:
        page = open_page(
            *(browser, f"{standalone.client.address}/dags/{DAG_ID}"),
            user="admin",
            password=standalone.password,
        )
        page.get_by_test_id("trigger-dag-button").click()
        form = page.get_by_role("dialog").filter(has_text="Trigger Dag")
        form.locator("textarea[name=element_paths]").fill(str(images))
        form.locator("input[name=element_output]").fill("by_hand.parquet")
        send(form)
        run_id = wait_for_run(standalone, known)
    assert states(standalone, run_id) == dict.fromkeys(TASKS, "success")
    output = standalone.runs / "catalogues" / "by_hand.parquet"
    rows = pd.read_parquet(output)
    assert len(rows) == len(list(images.glob("*.jpg")))
    assert (rows["refused"] == "").all()
    assert "galaxies classified" in output.with_name("by_hand.parquet.html").read_text()


def test_a_new_champion_predicts_the_catalogues_of_the_variable(standalone):
    images, client = find_images(standalone), standalone.client
    table = standalone.runs / "survey.csv"
    names = sorted(path.stem for path in images.glob("*.jpg"))[:20]
    pd.DataFrame({"id": [*names, "gone"]}).to_csv(table, index=False)
    order = {"paths": [str(table)], "images": str(images), "output": "survey.fits"}
    value = json.dumps([order, {**order, "output": "survey.csv"}])
    client.call("POST", "variables", {"key": "galaxy_catalogues", "value": value})
    known = set(list_runs(standalone))
    (asset,) = client.get("assets?name_pattern=galaxy_champion")["assets"]
    client.call("POST", "assets/events", {"asset_id": asset["id"], "extra": {}})
    try:
        run_id = wait_for_run(standalone, known)
    finally:
        client.call("DELETE", "variables/galaxy_catalogues")
    assert states(standalone, run_id) == dict.fromkeys(TASKS, "success")
    catalogues = standalone.runs / "catalogues"
    assert (catalogues / "survey.fits").is_file()
    rows = pd.read_csv(catalogues / "survey.csv", dtype={"id": str}, keep_default_na=False)
    assert list(rows["id"]) == [*names, "gone"]
    assert rows["refused"].iloc[-1].startswith("missing")
