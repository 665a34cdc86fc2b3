"""A catalogue is predicted on the stack's Spark, also where one of its workers is killed."""

import json
import subprocess

import pandas as pd
import pyarrow.parquet as pq
import pytest
from harness import wait_for
from stack import RUN_SETTINGS

from galaxy_tasks.standalone import progress

pytestmark = pytest.mark.e2e
DAG_ID = "galaxy_prediction"
REPEATS = 7
"""How often each galaxy is in the table, so that there is time to kill a worker."""


@pytest.fixture(scope="module")
def champion(stack):
    """A champion: that of tests before, or else of a run of its own."""
    listed = stack.run_in("worker", "galaxy-morphology", "models", "list")
    if "champion" in listed and list(stack.runs.glob("models/*/manifest.json")):
        return
    run_id = stack.trigger(**{**RUN_SETTINGS, "architectures": ["resnet18"]})
    assert stack.wait_for_end(run_id, timeout_s=600) == "success"


@pytest.fixture(scope="module")
def two_workers(stack):
    scale = ("up", "--detach", "--no-deps", "--no-recreate", "--scale")
    stack.compose(*scale, "spark-worker=2", "spark-worker")
    wait_for(lambda: count_workers(stack) == 2, timeout_s=120)
    yield
    stack.compose(*scale, "spark-worker=1", "spark-worker")


def count_workers(stack) -> int:
    workers = stack.read_spark_master()["workers"]
    return sum(worker["state"] == "ALIVE" for worker in workers)


def write_survey(stack) -> tuple[str, int]:
    """Write a table of galaxies; return its path in the containers, and the number of rows."""
    folder = next(path.parent for path in stack.runs.glob("releases/*/**/*.jpg"))
    names = sorted(path.name for path in folder.glob("*.jpg"))
    inside = f"/runs/{folder.relative_to(stack.runs)}"
    rows = [(f"{name}-{n}", f"{inside}/{name}") for n in range(REPEATS) for name in names]
    table = pd.DataFrame(rows, columns=["id", "path"]).assign(ra=1.5, dec=-2.5)
    table.to_csv(stack.runs / "survey.csv", index=False)
    return "/runs/survey.csv", len(rows)


def test_a_killed_spark_worker_changes_nothing(stack, champion, two_workers, request):
    survey, num_rows = write_survey(stack)
    orders = [{"paths": [survey], "output": "on_spark.parquet", "shard_images": 50}]
    variable = {"key": "galaxy_catalogues", "value": json.dumps(orders)}
    stack.client.call("POST", "variables", variable)
    request.addfinalizer(lambda: stack.client.call("DELETE", "variables/galaxy_catalogues"))
    run_id = stack.client.trigger(DAG_ID, {})
    work = stack.runs / "catalogues" / ".on_spark.parquet.work"
    wait_for(lambda: len(list(work.glob("shard-*.json"))) >= 3, timeout_s=400)
    victim = stack.compose("ps", "--quiet", "spark-worker").split()[0]
    subprocess.run(["docker", "kill", victim], capture_output=True, check=True)
    assert len(list(work.glob("shard-*.json"))) < num_rows / 50  # it was killed in the middle
    path = progress.run_path(DAG_ID, run_id)
    ended = wait_for(
        lambda: (state := stack.client.get(path)["state"]) in ("success", "failed") and state,
        timeout_s=600,
    )
    assert ended == "success"
    subprocess.run(["docker", "start", victim], capture_output=True, check=True)
    on_spark = stack.runs / "catalogues" / "on_spark.parquet"
    metadata = json.loads(pq.read_schema(on_spark).metadata[b"galaxy_morphology"])
    engine = {"ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}[
        metadata["engine"].partition(" in ")[0]
    ]
    stack.run_in(
        "worker",
        *("galaxy-morphology", "predict", survey, "-o", "/runs/catalogues/here.parquet"),
        *("--engine", engine, "--shard-images", "50", "--workers", "2"),
    )
    here = pq.read_table(stack.runs / "catalogues" / "here.parquet")
    assert here.num_rows == num_rows
    assert pq.read_table(on_spark).replace_schema_metadata().equals(here.replace_schema_metadata())
