"""The registry in the stack: what it knows, who may read reports, what kills and failures leave."""

import json
import urllib.error
import urllib.request

import httpx
import pytest
from harness import DAG_ID, wait_for
from stack import RUN_SETTINGS

pytestmark = pytest.mark.e2e
SMALL = {**RUN_SETTINGS, "architectures": ["resnet18"]}


@pytest.fixture(scope="module")
def run_id(stack):
    """A run with a registry of its own, whose challenger is the first champion."""
    stack.forget("models", "evaluations")
    run_id = stack.trigger(**SMALL)
    assert stack.wait_for_end(run_id, timeout_s=600) == "success"
    return run_id


def ask_mlflow(stack, path: str, **headers: str) -> dict:
    address = f"http://127.0.0.1:{stack.settings['MLFLOW_PORT']}/api/2.0/mlflow/{path}"
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def find_champion(stack) -> str:
    """Return the number of the champion's version."""
    (model,) = ask_mlflow(stack, "registered-models/search")["registered_models"]
    (champion,) = [one for one in model["aliases"] if one["alias"] == "champion"]
    return champion["version"]


def list_tracked(stack) -> set[str]:
    body = json.dumps({"experiment_ids": ["1"], "max_results": 1000}).encode()
    address = f"http://127.0.0.1:{stack.settings['MLFLOW_PORT']}/api/2.0/mlflow/runs/search"
    request = urllib.request.Request(
        address, data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        runs = json.load(response).get("runs", [])
    tags = [{tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in runs]
    return {one["galaxy.artifact"] for one in tags}


def list_published(stack) -> set[str]:
    kinds = ("evaluations", "models")
    paths = (path for kind in kinds for path in stack.runs.glob(f"{kind}/*/manifest.json"))
    return {f"{path.parts[-3]}/{path.parts[-2]}" for path in paths}


def test_mlflows_server_knows_the_champion_and_all_runs(stack, run_id):
    promoted = stack.result("promote", run_id)
    assert find_champion(stack) == str(promoted["version"])
    assert list_tracked(stack) == list_published(stack)
    assert not (stack.runs / "mlruns").exists()


def test_mlflows_server_answers_to_its_own_names_only(stack, run_id):
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask_mlflow(stack, "registered-models/search", Host="elsewhere.example")
    assert caught.value.code == 403
    caught.value.close()


@pytest.fixture(scope="module")
def log_in(stack):
    """Logs in somebody of a role, and returns their client."""
    clients = []

    def log_in(role: str) -> httpx.Client:
        name = f"{role.lower()}-reader"
        stack.run_in(
            "api-server",
            *("airflow", "users", "create", "--role", role, "--username", name),
            *("--password", "only-reads", "--email", f"{name}@localhost"),
            *("--firstname", "Rea", "--lastname", "Der"),
        )
        client = httpx.Client(base_url=stack.client.address, trust_env=False, timeout=60)
        credentials = {"username": name, "password": "only-reads"}
        token = client.post("/auth/token", json=credentials).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        clients.append(client)
        return client

    yield log_in
    for client in clients:
        client.close()


def list_pages(stack, run_id) -> list[str]:
    key = stack.result("evaluate", run_id)["evaluation"]
    return [
        f"/galaxy/runs/{DAG_ID}/{run_id}/report.html",
        f"/galaxy/evaluations/{key}/report.html",
        "/galaxy/leaderboard.html",
    ]


def test_reports_are_shown_to_those_who_may_see_runs(stack, run_id, log_in):
    viewer, nobody = log_in("Viewer"), log_in("Public")
    anybody = httpx.Client(base_url=stack.client.address, trust_env=False, timeout=60)
    for page in list_pages(stack, run_id):
        assert viewer.get(page).status_code == 200
        assert nobody.get(page).status_code == 403
        # Another DAG in the query has no say.
        assert nobody.get(page, params={"dag_id": "galaxy_promotion"}).status_code == 403
        assert anybody.get(page).status_code == 401
    anybody.close()


def test_a_killed_promotion_is_tried_again_and_leaves_one_whole_champion(stack, run_id):
    champion = find_champion(stack)
    other = stack.trigger(**SMALL, seed=17)
    wait_for(lambda: stack.task("promote", other)["state"] == "running", timeout_s=400)
    stack.crash("worker")
    assert stack.wait_for_end(other, timeout_s=600) == "success"
    assert stack.task("promote", other)["try_number"] >= 2
    assert find_champion(stack) == champion  # it is not shown to be better
    stack.verify_artifacts()
    assert list_tracked(stack) == list_published(stack)


def test_without_mlflows_server_networks_train_and_are_logged_later(stack, run_id):
    other = stack.trigger(**SMALL, seed=99)
    wait_for(lambda: stack.task("predict_champion", other)["state"] == "success", timeout_s=400)
    stack.compose("stop", "mlflow")
    try:
        wait_for(lambda: stack.task("evaluate", other)["state"] == "success", timeout_s=400)
        assert "Not logged in MLflow yet" in stack.log("evaluate", other)
    finally:
        stack.compose("start", "mlflow")
    assert stack.wait_for_end(other, timeout_s=600) == "success"
    assert list_tracked(stack) == list_published(stack)
