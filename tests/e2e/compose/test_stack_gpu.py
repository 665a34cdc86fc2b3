"""The NVIDIA container at work, on the processor: its image, its worker, its health, a training."""

import subprocess

import pytest
from stack import TAG, inspect

pytestmark = pytest.mark.e2e
IMAGE = f"galaxy-morphology/trainer-gpu:{TAG}"


@pytest.fixture(scope="module")
def gpu_stack(stack):
    """The stack with the trainer of profile gpu in place of the other, put back afterwards."""
    path, files = stack.folder / ".env", stack.environment["COMPOSE_FILE"]
    before = path.read_text()
    path.write_text(before.replace("COMPOSE_PROFILES=cpu", "COMPOSE_PROFILES=gpu"))
    stack.environment["COMPOSE_FILE"] = f"{files}:tests/e2e/compose/no-gpu.yml"
    try:
        stack.up()
        yield stack
    finally:
        path.write_text(before)
        stack.environment["COMPOSE_FILE"] = files
        stack.up()


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
