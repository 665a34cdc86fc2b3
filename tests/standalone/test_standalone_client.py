import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.standalone import progress
from galaxy_tasks.standalone.client import ApiError, Client, UnreachableError
from galaxy_tasks.standalone.loopback import find_free_port
from galaxy_tasks.standalone.workflow import DAG_ID, Workflow

RUN = f"/api/v2/{progress.run_path(DAG_ID, 'run_1')}"


class Api(ThreadingHTTPServer):
    """Answers as Airflow's REST API does: each path has a list of answers, the last one for ever.

    An answer is JSON, an HTTP status, or "hang up", "be slow", "cut off".
    """

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = {"/auth/token": [{"access_token": "secret"}], **answers}
        self.asked = Counter()

    def client(self, **limits):
        address = f"http://127.0.0.1:{self.server_port}"
        return Client(address, user="admin", password="", **limits)


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        path = self.path.split("?")[0]
        answers = self.server.answers.get(path, [404])
        answer = answers[min(self.server.asked[path], len(answers) - 1)]
        self.server.asked[path] += 1
        if answer == "hang up":
            return
        if answer == "be slow":
            time.sleep(0.6)
        status = answer if isinstance(answer, int) else 200
        body = json.dumps({"detail": "no"} if status != 200 else answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + (answer == "cut off")))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = answer  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Starts an API with the given answers."""
    started = []

    def start(answers):
        api = Api(answers)
        threading.Thread(target=api.serve_forever, args=(0.02,)).start()
        started.append(api)
        return api

    yield start
    for api in started:
        api.shutdown()
        api.server_close()


@pytest.mark.parametrize("failure", [500, 503, "hang up", "be slow", "cut off"])
def test_a_question_that_fails_twice_is_asked_again(serve, failure):
    api = serve({"/api/v2/dags": [failure, failure, {"total": 1}]})
    assert api.client(timeout_s=0.3).get("dags") == {"total": 1}
    assert api.asked["/api/v2/dags"] >= 3  # a busy machine may be slow once more


def test_a_login_that_fails_is_tried_again_with_the_question(serve):
    api = serve({"/auth/token": [503, {"access_token": "x"}], "/api/v2/dags": [{"total": 1}]})
    assert api.client().get("dags") == {"total": 1}


def test_a_question_is_given_up_when_patience_ends_and_the_message_says_why(serve):
    api = serve({"/api/v2/dags": [503]})
    client = api.client(retry_s=1)
    started = time.monotonic()
    with pytest.raises(UnreachableError, match=r"no answer for 1 s\. Last: HTTP 503: no") as raised:
        client.get("dags")
    assert 0.5 < time.monotonic() - started < 5
    assert isinstance(raised.value, GalaxyMorphologyError)
    assert api.asked["/api/v2/dags"] >= 2


def test_a_server_that_is_not_there_is_named():
    address = f"http://127.0.0.1:{find_free_port(0)}"
    client = Client(address, user="admin", password="", retry_s=0.5)
    with pytest.raises(UnreachableError, match=rf"{address}/api/v2/dags: ConnectError: .*refused"):
        client.get("dags")
    assert not client.is_healthy()


def test_a_refusal_is_final(serve):
    api = serve({"/api/v2/dags": [404]})
    with pytest.raises(ApiError, match="HTTP 404: no"):
        api.client().get("dags")
    assert api.asked["/api/v2/dags"] == 1


def test_a_change_that_meets_an_error_of_the_servers_is_sent_again_and_counts_once(serve):
    """As while Airflow starts: its database is locked, or the answer to what was done is lost."""
    pools, runs = "/api/v2/pools", f"/api/v2/dags/{DAG_ID}/dagRuns"
    api = serve({pools: [500, "hang up", 409], f"{pools}/gpu": [500, {}], runs: [500, 409]})
    client = api.client()
    client.set_pool("gpu", slots=1, description="")
    assert client.trigger(DAG_ID, {}).startswith("manual__")
    assert api.asked[f"{pools}/gpu"] >= 2
    assert api.asked[runs] == 2


def test_the_run_of_a_start_that_was_killed_is_over_before_the_next_begins(serve, capsys):
    runs = f"/api/v2/dags/{DAG_ID}/dagRuns"
    at_work = {"task_instances": [task("train_resnet", "running", try_number=1)]}
    api = serve(
        {
            "/api/v2/pools": [{}],
            "/api/v2/importErrors": [{"import_errors": []}],
            f"/api/v2/dags/{DAG_ID}/details": [500, {}],
            f"/api/v2/dags/{DAG_ID}": [500, {}],
            runs: [{"dag_runs": [{"dag_run_id": "run_1"}]}, 400],
            RUN: [500, 500, {}],
            f"{RUN}/taskInstances": [at_work, at_work, {"task_instances": []}],
        }
    )
    with pytest.raises(InputError):  # the 400 ends the test where the new run would begin
        Workflow(api.client(), gpu_slots=1).run({})
    assert api.asked[RUN] == 3
    assert api.asked[f"{RUN}/taskInstances"] == 3
    assert "Ended the unfinished run run_1" in capsys.readouterr().out


def test_runs_that_others_trigger_are_shown_until_the_user_has_enough(serve, capsys):
    runs = f"/api/v2/dags/{DAG_ID}/dagRuns"
    path = f"/api/v2/{progress.run_path(DAG_ID, 'run_2')}"
    api = serve(
        {
            runs: [{"dag_runs": []}, {"dag_runs": [{"dag_run_id": "run_2"}]}, 404],
            path: [{"state": "success"}],
            f"{path}/taskInstances": [{"task_instances": []}],
            f"{path}/taskInstances/evaluate": [task("evaluate", "success", try_number=1)],
            f"{path}/taskInstances/evaluate/logs/1": [logged("Winner: resnet18")],
        }
    )
    with pytest.raises(ApiError):
        Workflow(api.client(), gpu_slots=1).follow_others()
    shown = capsys.readouterr().out
    assert "Run run_2: http" in shown
    assert "Winner: resnet18" in shown


def task(name, state, *, try_number, map_index=-1):
    return {"task_id": name, "state": state, "try_number": try_number, "map_index": map_index}


def logged(*lines, level="info", **more):
    logger = "galaxy_tasks.pipeline.process"
    return {
        "content": [{"event": line, "logger": logger, "level": level, **more} for line in lines]
    }


def follow(api, **limits):
    client = api.client(**limits)
    return progress.follow_run(client, DAG_ID, "run_1", last_task="evaluate")


def test_following_a_run_survives_failures_and_shows_each_line_once(serve, capsys):
    trained = task("train_resnet", "success", try_number=1)
    api = serve(
        {
            RUN: [{"state": "running"}, 503, "hang up", {"state": "success"}],
            f"{RUN}/taskInstances": [
                {"task_instances": [task("train_resnet", "running", try_number=1)]},
                {"task_instances": [trained, task("evaluate", "success", try_number=1)]},
            ],
            f"{RUN}/taskInstances/train_resnet/logs/1": [
                logged("epoch 1/2"),
                logged("epoch 1/2", "epoch 2/2"),
            ],
            f"{RUN}/taskInstances/evaluate": [task("evaluate", "success", try_number=1)],
            f"{RUN}/taskInstances/evaluate/logs/1": [logged("Winner: resnet18")],
        }
    )
    assert follow(api) == "success"
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ", 1)[1] for line in lines[:-2]] == [
        "train_resnet       is running",
        "train_resnet       epoch 1/2",
        "train_resnet       epoch 2/2",
        "train_resnet       has succeeded",
        "evaluate           has succeeded",
    ]
    assert lines[-2:] == ["", "Winner: resnet18"]


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        (logged("disk nearly full", level="warning"), ["WARNING: disk nearly full"]),
        (
            logged(
                "Task failed with exception",
                level="error",
                error_detail=[{"exc_type": "InputError", "exc_value": "no catalogue"}],
            ),
            ["ERROR: Task failed with exception InputError: no catalogue"],
        ),
        ({"content": [{"event": "Starting", "logger": "airflow.task", "level": "info"}]}, []),
    ],
)
def test_a_line_shows_its_level_and_airflows_own_notes_are_left_out(serve, capsys, entry, shown):
    api = serve(
        {
            RUN: [{"state": "failed"}],
            f"{RUN}/taskInstances": [{"task_instances": [task("a", "failed", try_number=1)]}],
            f"{RUN}/taskInstances/a/logs/1": [entry],
            f"{RUN}/taskInstances/evaluate": [task("evaluate", None, try_number=0)],
        }
    )
    follow(api)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(None, 2)[2] for line in lines] == [*shown, "has FAILED"]


@pytest.mark.parametrize(
    ("evaluate", "said"),
    [
        (task("evaluate", None, try_number=0), ""),
        (task("evaluate", "failed", try_number=1), "cannot be read: HTTP 404"),
        (404, "cannot be read: HTTP 404"),
    ],
)
def test_a_run_that_ends_before_its_last_task_starts_has_no_result(serve, capsys, evaluate, said):
    api = serve(
        {
            RUN: [{"state": "failed"}],
            f"{RUN}/taskInstances": [{"task_instances": [task("a", "skipped", try_number=0)]}],
            f"{RUN}/taskInstances/evaluate": [evaluate],
        }
    )
    assert follow(api) == "failed"
    assert said in capsys.readouterr().out
    assert api.asked[f"{RUN}/taskInstances/evaluate/logs/0"] == 0


def test_the_log_of_a_running_task_is_read_less_often_than_its_state(serve):
    running = {"task_instances": [task("train_resnet", "running", try_number=1)]}
    api = serve(
        {
            RUN: [{"state": "running"}, {"state": "running"}, {"state": "failed"}],
            f"{RUN}/taskInstances": [running],
            f"{RUN}/taskInstances/train_resnet/logs/1": [logged("epoch 1/2")],
        }
    )
    follow(api)
    assert api.asked[RUN] == 3
    assert api.asked[f"{RUN}/taskInstances/train_resnet/logs/1"] == 1


def test_trainings_that_are_repeated_are_told_apart(serve, capsys):
    trainings = [task("train_resnet", "success", try_number=1, map_index=n) for n in (0, 1)]
    api = serve(
        {
            RUN: [{"state": "success"}],
            f"{RUN}/taskInstances": [{"task_instances": trainings}],
            f"{RUN}/taskInstances/train_resnet/logs/1": [logged("epoch 1/1")],
            f"{RUN}/taskInstances/evaluate": [task("evaluate", "success", try_number=1)],
            f"{RUN}/taskInstances/evaluate/logs/1": [logged("Winner: resnet18")],
        }
    )
    assert follow(api) == "success"
    lines = [line.split("  ", 1)[1] for line in capsys.readouterr().out.splitlines()[:-2]]
    assert lines == [
        "train_resnet[0]    epoch 1/1",
        "train_resnet[0]    has succeeded",
        "train_resnet[1]    epoch 1/1",
        "train_resnet[1]    has succeeded",
    ]
