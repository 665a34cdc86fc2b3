"""The images and the two profiles."""

import json
import subprocess

import pytest
from stack import TAG, inspect

pytestmark = pytest.mark.e2e
NAMES = ("airflow", "trainer", "trainer-gpu", "mlflow")


@pytest.fixture(scope="module")
def images(stack):
    stack.compose("build", "--quiet", "trainer-gpu", COMPOSE_PROFILES="gpu")
    return {name: f"galaxy-morphology/{name}:{TAG}" for name in NAMES}


def run_image(image, *command):
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", image, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def configure(stack, profile):
    printed = stack.compose("config", "--format", "json", COMPOSE_PROFILES=profile)
    return json.loads(printed)["services"]


def test_sizes(images, capsys):
    sizes = {name: int(inspect(image, "{{.Size}}")) / 1e9 for name, image in images.items()}
    with capsys.disabled():
        print("\nimages:", ", ".join(f"{name} {size:.2f} GB" for name, size in sizes.items()))
    assert sizes["airflow"] < sizes["trainer"] < sizes["trainer-gpu"]


@pytest.mark.parametrize("name", NAMES)
def test_image_is_healthy_and_holds_nothing_that_it_should_not(images, name):
    image = images[name]
    assert inspect(image, "{{.Config.User}}") == "galaxy"
    assert "healthcheck.py" in inspect(image, "{{json .Config.Healthcheck.Test}}")
    told = inspect(image, "{{json .Config.Env}}") + inspect(image, "{{json .Config.Labels}}")
    assert not any(word in told.upper() for word in ("PASSWORD", "SECRET", "TOKEN"))
    places = "/opt/galaxy /opt/airflow /home /root/.cache /data /runs /tmp /var/lib/apt/lists"
    _, found = run_image(image, "sh", "-c", f"find {places} -type f 2>/dev/null")
    files = [line for line in found.splitlines() if not line.startswith("/home/galaxy/.")]
    assert [line for line in files if not line.startswith("/opt/galaxy/")] == []
    assert {line.split("/")[3] for line in files} <= {
        *("install.sh", "uv_settings.py", "docker", "source", "requirements"),
    }
    assert not [line for line in files if "/tests/" in line or line.endswith((".env", ".pyc"))]


def test_only_trainers_have_tensorflow(images):
    assert run_image(images["airflow"], "python", "-c", "import tensorflow")[0] == 1
    for name in ("trainer", "trainer-gpu"):
        code, told = run_image(
            images[name],
            *("python", "-c", "import tensorflow, airflow.providers.celery; print('both')"),
        )
        assert (code, told.splitlines()[-1]) == (0, "both"), told


def test_gpu_image_brings_cuda(images):
    command = (
        "import nvidia.cudnn, nvidia.cublas, tensorflow as tf; print(tf.test.is_built_with_cuda())"
    )
    code, told = run_image(images["trainer-gpu"], "python", "-c", command)
    assert (code, told.splitlines()[-1]) == (0, "True"), told


def test_layers_survive_a_change_of_the_source(stack, images):
    before = json.loads(inspect(images["airflow"], "{{json .RootFS.Layers}}"))
    changed = stack.folder / "galaxy_tasks" / "errors.py"
    text = changed.read_text()
    try:
        changed.write_text(f"{text}\n# A change.\n")
        stack.compose("build", "--quiet", "scheduler", GALAXY_TAG="test-changed")
    finally:
        changed.write_text(text)
    after = json.loads(inspect("galaxy-morphology/airflow:test-changed", "{{json .RootFS.Layers}}"))
    subprocess.run(["docker", "rmi", "galaxy-morphology/airflow:test-changed"], check=True)
    different = [layer for layer in after if layer not in before]
    assert len(before) == len(after)
    assert 1 <= len(different) <= 3


def test_profile_gpu_reserves_every_gpu_for_the_only_trainer(stack):
    services = configure(stack, "gpu")
    assert "trainer-cpu" not in services
    (device,) = services["trainer-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"], device["count"]) == ("nvidia", ["gpu"], -1)


def test_profile_cpu_reserves_none(stack):
    services = configure(stack, "cpu")
    assert "trainer-gpu" not in services
    assert "deploy" not in services["trainer-cpu"]


@pytest.mark.parametrize("profiles", ["", "flower", "cpu,gpu"])
def test_a_stack_without_exactly_one_trainer_does_not_start(stack, profiles):
    told = stack.compose(
        *("run", "--rm", "--no-deps", "--env", f"COMPOSE_PROFILES={profiles}", "init"),
        is_checked=False,
    )
    assert f"COMPOSE_PROFILES is '{profiles}': expected" in told
