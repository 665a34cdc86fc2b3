"""Champions are made, kept, approved, rejected and rolled back, and all of it can be read."""

import re
import subprocess
import sys
import time

import httpx
import pytest
from browsing import needs_browser, open_browser, open_page
from harness import DAG_ID, SETTINGS, make_environment, wait_for

from galaxy_tasks.standalone import progress
from galaxy_tasks.training.model_record import read_record

pytestmark = pytest.mark.e2e

SMALL = {**SETTINGS, "architectures": ["resnet18"]}
# A name of its own for one class makes a set of classes that has no champion yet.
OTHERS = {
    **SMALL,
    "class_names": {"spiral": "disk"},
    "require_approval": True,
}
PROMOTION = "galaxy_promotion"


def command(standalone, *arguments: str) -> str:
    """Run the project's command beside the workflow and return what it prints."""
    return subprocess.run(
        [sys.executable, "-m", "galaxy_tasks.cli.main", *arguments],
        env=make_environment(standalone.runs.parent),
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def list_champions(standalone) -> list[str]:
    """Return each champion as the command lists it."""
    return re.findall(r"(\d+)  champion", command(standalone, "models", "list"))


def states(standalone, run_id: str) -> tuple[str, str]:
    tasks = standalone.tasks(run_id)
    return tasks["promote"]["state"], tasks["request_approval"]["state"]


def find_task(standalone, run_id: str, task_id: str) -> dict:
    path = f"{progress.run_path(PROMOTION, run_id)}/taskInstances/{task_id}"
    return standalone.client.get(path)


def wait_for_state(standalone, run_id: str, task_id: str, *wanted: str) -> str:
    return wait_for(
        lambda: (state := find_task(standalone, run_id, task_id)["state"]) in wanted and state,
        timeout_s=240,
    )


def answer(standalone, run_id: str, choice: str) -> None:
    """Answer as the page's button does."""
    wait_for_state(standalone, run_id, "approve", "awaiting_input")
    # An answer within the second in which the task's process ends makes Airflow ask again.
    time.sleep(3)
    path = f"{progress.run_path(PROMOTION, run_id)}/taskInstances/approve/-1/hitlDetails"
    standalone.client.call("PATCH", path, {"chosen_options": [choice], "params_input": {}})


def ask(standalone, settings) -> tuple[str, str]:
    """Run the workflow until somebody is asked; return the two runs' ids."""
    run_id = standalone.client.trigger(DAG_ID, settings)
    assert standalone.wait_for_end(run_id) == "success"
    assert states(standalone, run_id) == ("skipped", "success")
    return run_id, f"approval__{standalone.result('evaluate', run_id)['evaluation']}__{run_id}"


@pytest.fixture(scope="module")
def asked(standalone):
    """A run whose challenger waits for approval."""
    return ask(standalone, OTHERS)


def test_the_first_model_is_champion_and_says_why(standalone):
    assert states(standalone, standalone.run_id) == ("success", "skipped")
    promoted = standalone.result("promote")
    assert promoted["is_champion"]
    listed = command(standalone, "models", "show", promoted["name"], "1")
    assert "it is the first model of these classes" in listed
    assert "## Scores on the test galaxies" in listed
    assert "Promoted: it is the first model" in standalone.log("promote")


def test_a_promotion_emits_an_event_with_what_was_promoted(standalone):
    promoted = standalone.result("promote")
    events = standalone.client.get("assets/events?source_dag_id=galaxy_morphology&limit=100")
    extras = [one["extra"] for one in events["asset_events"] if one["name"] == "galaxy_champion"]
    assert {name: promoted[name] for name in ("name", "version", "sha256")} in extras


def test_a_retraining_from_the_champion_that_is_not_shown_to_be_better_leaves_the_champion(
    standalone,
):
    before, champion = list_champions(standalone), standalone.result("promote")
    model = standalone.runs / "models" / champion["model"]
    network = read_record(model).architecture
    start = {"start_from": champion["name"], "architectures": [network]}
    run_id = standalone.client.trigger(DAG_ID, {**SMALL, **start, "seed": 5})
    assert standalone.wait_for_end(run_id) == "success"
    assert standalone.result("choose_release", run_id)["start_from"] == model.name
    log = standalone.log(f"train_{network.rstrip('0123456789')}", run_id)
    assert f"Starting from the weights of {model}" in log
    assert states(standalone, run_id) == ("skipped", "skipped")
    assert "Not promoted: " in standalone.log("promote", run_id)
    assert list_champions(standalone) == before


def test_a_rejection_leaves_everything_as_it_was(standalone, asked):
    before = list_champions(standalone)
    run_id = asked[1]
    answer(standalone, run_id, "Reject")
    assert wait_for_state(standalone, run_id, "promote", "skipped", "success") == "skipped"
    assert list_champions(standalone) == before


def test_without_an_answer_in_time_it_is_rejected(standalone, asked):
    before = list_champions(standalone)
    key = standalone.result("evaluate", asked[0])["evaluation"]
    run_id = standalone.client.trigger(PROMOTION, {"evaluation": key})
    assert wait_for_state(standalone, run_id, "promote", "skipped", "success") == "skipped"
    assert list_champions(standalone) == before


def test_an_approval_makes_it_champion_and_is_recorded(standalone, asked):
    before = list_champions(standalone)
    key = standalone.result("evaluate", asked[0])["evaluation"]
    run_id = standalone.client.trigger(PROMOTION, {"evaluation": key})
    answer(standalone, run_id, "Approve")
    assert wait_for_state(standalone, run_id, "promote", "skipped", "success") == "success"
    assert len(list_champions(standalone)) == len(before) + 1
    path = f"{progress.run_path(PROMOTION, run_id)}/taskInstances/promote/xcomEntries/return_value"
    promoted = standalone.client.get(path)["value"]
    assert "By admin." in command(
        standalone, "models", "show", promoted["name"], str(promoted["version"])
    )


def test_a_challenger_by_hand_becomes_champion_and_is_rolled_back(standalone):
    name = standalone.result("promote")["name"]
    assert f"Champion: {name} version 2" in command(standalone, "models", "promote", name, "2")
    assert f"Champion: {name} version 1" in command(standalone, "models", "rollback", name)


def test_the_leaderboard_lists_all_runs_and_marks_champions(standalone, asked):
    printed = command(standalone, "leaderboard")
    runs = len(list(standalone.runs.glob("evaluations/*/manifest.json")))
    lines = printed.splitlines()
    assert len(lines) == 1 + runs + 1
    assert any(" (champion)  " in line for line in lines)
    assert (standalone.runs / "leaderboard.html").is_file()


@pytest.fixture(scope="module")
def visitor(standalone):
    """Somebody who is logged in."""
    with httpx.Client(base_url=standalone.client.address, trust_env=False) as client:
        credentials = {"username": "admin", "password": standalone.password}
        token = client.post("/auth/token", json=credentials).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def list_pages(standalone) -> list[str]:
    key = standalone.result("evaluate")["evaluation"]
    return [
        f"/galaxy/runs/{DAG_ID}/{standalone.run_id}/report.html",
        f"/galaxy/evaluations/{key}/report.html",
        "/galaxy/leaderboard.html",
    ]


def test_without_a_login_nothing_is_served(standalone):
    for page in list_pages(standalone):
        reply = httpx.get(f"{standalone.client.address}{page}", trust_env=False)
        assert reply.status_code == 401, page
        assert "galaxies" not in reply.text


def test_reports_are_served_with_a_strict_policy(standalone, visitor):
    for page in list_pages(standalone):
        reply = visitor.get(page)
        assert reply.status_code == 200
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'self'" in policy
        assert ("sandbox allow-scripts" in policy) == page.endswith("report.html")
        assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/galaxy/evaluations/../leaderboard.html/report.html",
        "/galaxy/evaluations/%2e%2e/report.html",
        "/galaxy/evaluations/..%2f..%2fairflow%2fairflow.db/report.html",
        "/galaxy/evaluations/0123456789abcdef/report.html",
        "/galaxy/evaluations/0123456789ABCDEF/report.html",
        "/galaxy/evaluations/KEY/results.json",
        "/galaxy/evaluations/KEY/manifest.json",
        "/galaxy/mlflow.db",
        "/galaxy/openapi.json",
        "/galaxy/docs",
    ],
)
def test_nothing_else_is_served(standalone, visitor, path):
    key = standalone.result("evaluate")["evaluation"]
    reply = visitor.get(path.replace("KEY", key))
    assert reply.status_code in (404, 422)
    assert "macro" not in reply.text


@pytest.mark.parametrize(
    ("dag_id", "run_id"), [(DAG_ID, "no such run"), (PROMOTION, "RUN"), ("no_such_dag", "RUN")]
)
def test_elsewhere_the_tab_says_that_there_is_no_report(standalone, visitor, dag_id, run_id):
    run = run_id.replace("RUN", standalone.run_id)
    # A DAG in the query has no say.
    reply = visitor.get(f"/galaxy/runs/{dag_id}/{run}/report.html?dag_id={DAG_ID}")
    assert reply.status_code == 200
    assert "This run has no report" in reply.text


@needs_browser
def test_the_report_is_read_and_used_in_airflows_page(standalone):
    with open_browser() as browser:
        address = f"{standalone.client.address}/dags/{DAG_ID}/runs/{standalone.run_id}"
        page = open_page(browser, address, user="admin", password=standalone.password)
        messages = []
        page.on("console", lambda message: messages.append((message.type, message.text)))
        page.get_by_role("link", name="Model report").click()
        frame = page.frame_locator("iframe")
        frame.get_by_role("heading", name="Which network tells galaxies apart best?").wait_for()
        frame.get_by_role("region", name="Leaderboard").get_by_role("button", name="loss").click()
        assert frame.locator("th[aria-sort=ascending]").count() == 1
        frame.get_by_role("link", name="Champion", exact=True).click()
        assert "Promoted: it is the first model" in frame.locator("main").inner_text()
        assert [text for kind, text in messages if kind == "error"] == []


@needs_browser
def test_the_leaderboard_is_in_the_navigation_and_leads_to_reports(standalone):
    with open_browser() as browser:
        address = f"{standalone.client.address}/plugin/galaxy-leaderboard"
        page = open_page(browser, address, user="admin", password=standalone.password)
        frame = page.frame_locator("iframe")
        frame.get_by_role("heading", name="All runs and their winners").wait_for()
        frame.get_by_role("region", name="Champions").get_by_role("link").first.click()
        frame.get_by_role("heading", name="Which network tells galaxies apart best?").wait_for()


def test_the_task_leads_to_its_report(standalone, visitor):
    path = f"{progress.run_path(DAG_ID, standalone.run_id)}/taskInstances/evaluate/links"
    (link,) = standalone.client.get(path)["extra_links"].values()
    assert visitor.get(link).status_code == 200
