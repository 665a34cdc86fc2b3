import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from stack import BASE_IMAGES, LONG_RUN, Stack, read_scores

NEEDS = "needs a Docker engine with Compose and Buildx"


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine, with the images that ours start from."""
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            subprocess.run(command, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            if os.environ.get("REQUIRE_DOCKER") == "1":
                pytest.fail(f"REQUIRE_DOCKER is 1, and this {NEEDS}", pytrace=False)
            pytest.skip(NEEDS)
    make = Path(__file__).parent / "standins" / "make"
    done = subprocess.run([make, *BASE_IMAGES], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{make}: {done.stderr}", pytrace=False)
    print(done.stdout)


@pytest.fixture(scope="session")
def stack(engine, tmp_path_factory) -> Iterator[Stack]:
    """The whole stack with a trainer without GPU and three slots, shared by all its tests."""
    folder = tmp_path_factory.mktemp("stack")
    started = Stack(folder, name="galaxy-morphology-test")
    started.write_settings(COMPOSE_PROFILES="cpu", GPU_SLOTS=3, WORKER_LOST_AFTER_S=60)
    started.remove()
    try:
        started.printed = started.up()
        yield started
    finally:
        started.remove()


@pytest.fixture(scope="session")
def undisturbed(stack):
    """What a run of LONG_RUN without any failure leaves: each network's outcome, and the scores."""
    stack.forget("models", "evaluations")
    assert stack.wait_for_end(stack.trigger(**LONG_RUN), timeout_s=600) == "success"
    outcomes = stack.outcomes()
    assert set(outcomes) == set(LONG_RUN["architectures"])
    return outcomes, read_scores(stack)
