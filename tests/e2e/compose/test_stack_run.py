"""The workflow in containers, from the login in a browser to the report."""

from datetime import datetime
from typing import get_args

import pytest
from browsing import (
    fill_number,
    find_node,
    needs_browser,
    open_browser,
    open_form,
    open_page,
    open_section,
    send,
    show_graph,
    sync_api,
)
from harness import ALL_TASKS, DAG_ID, STEPS, TRAINERS, wait_for
from stack import RUN_SETTINGS, overlap

from galaxy_tasks.storage.artifacts import Kind

KINDS = get_args(Kind)
pytestmark = [pytest.mark.e2e, needs_browser]


@pytest.fixture(scope="module")
def page(stack):
    """The DAG's page, logged in with what `scripts/up` has printed."""
    with open_browser() as browser:
        address = f"{stack.client.address}/dags/{DAG_ID}"
        yield open_page(browser, address, user="admin", password=stack.settings["ADMIN_PASSWORD"])


@pytest.fixture(scope="module")
def run_id(page, stack):
    """A run that was started with the trigger form, watched until its graph is green."""
    stack.forget(*KINDS)  # what other tests have left would spare this run its work
    known = list_runs(stack)
    form = open_form(page)
    for name in ("image_size_px", "epochs"):
        fill_number(form, name, RUN_SETTINGS[name])
    open_section(form, "Simulation")
    fill_number(form, "simulated_galaxies", RUN_SETTINGS["simulated_galaxies"])
    send(form)
    (stack.run_id,) = wait_for(lambda: list_runs(stack) - known, timeout_s=30)
    page.goto(f"{page.url.split('/dags')[0]}/dags/{DAG_ID}/runs/{stack.run_id}")
    show_graph(page)
    for name in ALL_TASKS:
        sync_api.expect(find_node(page, name)).to_contain_text("success", timeout=400_000)
    return stack.run_id


def list_runs(stack):
    runs = stack.client.get(f"dags/{DAG_ID}/dagRuns?limit=100")["dag_runs"]
    return {run["dag_run_id"] for run in runs}


def test_run_ends_well_with_the_forms_settings(stack, run_id):
    assert stack.wait_for_end(run_id) == "success"
    conf = stack.client.get(f"dags/{DAG_ID}/dagRuns/{run_id}")["conf"]
    assert {name: conf[name] for name in RUN_SETTINGS} == RUN_SETTINGS


@pytest.mark.parametrize(
    ("task_id", "words"),
    [
        ("prepare_release", "SIMULATED"),
        ("clean_labels", "Published "),
        ("preprocess_images", "images/s"),
        ("predict_champion", "nothing to compare with"),
        ("train_alexnet", "epoch   2/2"),
        ("train_resnet", "epoch   2/2"),
        ("train_densenet", "epoch   2/2"),
        ("evaluate", "Winning model"),  # the page draws the last lines
    ],
)
def test_page_shows_the_log_of_every_task(page, stack, run_id, task_id, words):
    address = page.url.split("/dags")[0]
    of_seed = "/mapped/0" if task_id in TRAINERS else ""
    page.goto(f"{address}/dags/{DAG_ID}/runs/{run_id}/tasks/{task_id}{of_seed}")
    page.get_by_text(words).first.wait_for()


def test_the_first_task_tells_the_settings(stack, run_id):
    log = stack.log("choose_release", run_id)
    assert "Settings of this run that differ from the preset" in log
    assert f"simulated_galaxies = {RUN_SETTINGS['simulated_galaxies']}" in log


def test_labels_were_cleaned_by_an_executor_of_the_cluster(stack, run_id):
    assert "spark://spark-master:7077" in stack.log("clean_labels", run_id)
    task = stack.task("clean_labels", run_id)
    began, ended = (
        1000 * datetime.fromisoformat(task[name]).timestamp() for name in ("start_date", "end_date")
    )
    (job,) = (
        each
        for each in stack.list_spark_applications()
        if began < each["starttime"] < ended and each["name"] == "clean_labels"
    )
    assert job["state"] == "FINISHED"
    assert "Finished task" in stack.read_executors(job["id"])


def test_trainings_ran_in_the_trainer_at_one_time(stack, run_id):
    tasks = stack.tasks(run_id)
    assert {tasks[name]["hostname"] for name in TRAINERS} == {"trainer"}
    assert "trainer" not in {tasks[name]["hostname"] for name in STEPS}
    assert overlap(tasks)
    for name in TRAINERS:
        assert "host trainer." in stack.log(name, run_id)


def test_report_opens_in_the_browser(page, stack, run_id):
    inside = stack.result("evaluate", run_id)["report"]
    report = stack.runs / inside.removeprefix("/runs/")
    page.goto(report.as_uri())
    page.get_by_text("densenet121").first.wait_for()
    page.get_by_text("SIMULATED", exact=False).first.wait_for()
