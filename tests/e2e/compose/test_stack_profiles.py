"""The stack with the NVIDIA container, at work on the processor, with Flower and two Spark workers.

And then without them, as it was.
"""

import subprocess

import pytest
from harness import wait_for
from stack import TAG, inspect

pytestmark = pytest.mark.e2e
IMAGE = f"galaxy-morphology/trainer-gpu:{TAG}"


@pytest.fixture(scope="module")
def put_back(stack):
    """Puts the stack back as it was; what no test has put back is put back at the end."""
    path, files = stack.folder / ".env", stack.environment["COMPOSE_FILE"]
    before = path.read_text()

    def put_back():
        path.write_text(before)
        stack.environment["COMPOSE_FILE"] = files
        stack.up()

    yield put_back
    if path.read_text() != before:
        put_back()


@pytest.fixture(scope="module")
def gpu_stack(stack, put_back):
    """The stack with the trainer of profile gpu in place of the other."""
    path, profiles = stack.folder / ".env", ("COMPOSE_PROFILES=cpu", "COMPOSE_PROFILES=gpu,flower")
    path.write_text(path.read_text().replace(*profiles))
    stack.environment["COMPOSE_FILE"] += ":tests/e2e/compose/no-gpu.yml"
    stack.up("--scale", "spark-worker=2")
    return stack


def test_the_nvidia_container_serves_the_queue_and_trains(gpu_stack):
    services = gpu_stack.services()
    assert services["trainer-gpu"] == "running healthy"
    assert "trainer-cpu" not in services
    container = gpu_stack.compose("ps", "--quiet", "trainer-gpu").strip()
    assert inspect(container, "{{.Config.Image}}") == IMAGE
    gpu_stack.forget("models", "evaluations")
    run_id = gpu_stack.trigger(architectures=["alexnet"])
    assert gpu_stack.wait_for_end(run_id, timeout_s=600) == "success"
    assert gpu_stack.task("train_alexnet", run_id)["hostname"] == "trainer"
    assert "epoch   2/2" in gpu_stack.log("train_alexnet", run_id)
    gpu_stack.verify_artifacts()


def test_a_trainer_that_lost_its_gpu_is_not_healthy():
    command = ["docker", "run", "--rm", "--network", "none", "--env", "GALAXY_NEEDS_GPU=1", IMAGE]
    done = subprocess.run(
        [*command, "python", "/opt/galaxy/docker/healthcheck.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "nvidia-smi" in done.stdout


def test_a_training_that_needs_a_gpu_does_not_run_on_the_processor(gpu_stack):
    program = (
        "from galaxy_tasks.config import RunConfig\n"
        "from galaxy_tasks.training.device import set_up_device\n"
        "set_up_device(RunConfig())"
    )
    told = gpu_stack.compose(
        *("exec", "-T", "--env", "GALAXY_NEEDS_GPU=1", "trainer-gpu", "python", "-c", program),
        is_checked=False,
    )
    assert "This trainer is meant for an NVIDIA GPU" in told


def test_one_worker_serves_the_queue(gpu_stack):
    told = gpu_stack.run_in(
        "worker",
        *("celery", "--app", "airflow.providers.celery.executors.celery_executor.app"),
        *("inspect", "active_queues"),
    )
    assert told.count("* {'name': 'gpu'") == 1, told


def test_flower_runs_where_it_is_chosen(gpu_stack):
    assert gpu_stack.services()["flower"] == "running healthy"


def test_more_spark_workers_join_the_cluster(gpu_stack):
    assert wait_for(lambda: gpu_stack.read_spark_master()["aliveworkers"] == 2, timeout_s=60)


def test_services_that_are_no_longer_chosen_are_ended(gpu_stack, put_back):
    put_back()
    assert gpu_stack.services()["trainer-cpu"] == "running healthy"
    left = gpu_stack.compose(
        "ps", "--all", "--format", "{{.Service}}", COMPOSE_PROFILES="cpu,gpu,flower"
    )
    assert set(left.split()) == set(gpu_stack.services())
    assert wait_for(lambda: gpu_stack.read_spark_master()["aliveworkers"] == 1, timeout_s=120)
