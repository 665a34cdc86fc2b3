"""The stack goes without a trace; runs after the other tests of it."""

import subprocess

import pytest

pytestmark = pytest.mark.e2e


def test_down_leaves_no_container_and_no_network_and_keeps_the_data(stack):
    name = stack.environment["COMPOSE_PROJECT_NAME"]
    label = f"label=com.docker.compose.project={name}"

    def list_left(kind, *options):
        command = ["docker", kind, "ls", "--quiet", "--filter", label, *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    stack.compose("down")

    assert list_left("container", "--all") == []
    assert list_left("network") == []
    assert len(list_left("volume")) == 3
    assert list(stack.runs.glob("evaluations/*/report.html"))
