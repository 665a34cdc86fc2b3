import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import SETTINGS, Standalone, wait_for

from galaxy_tasks.standalone.loopback import find_free_port

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 900


@pytest.fixture(scope="session")
def standalone(tmp_path_factory) -> Iterator[Standalone]:
    """One tiny run of `scripts/run`, shared by all end-to-end tests."""
    folder = tmp_path_factory.mktemp("standalone")
    options = [
        part
        for name, value in SETTINGS.items()
        for part in (f"--{name.replace('_', '-')}", as_option(value))
    ]
    environment = {
        **os.environ,
        "GALAXY_AIRFLOW_HOME": str(folder / "airflow"),
        "GALAXY_HOME": str(folder / "runs"),
        "GALAXY_GPU_SLOTS": "3",
    }
    command = [ROOT / "scripts" / "run", "--preset", "quick", "--port", str(find_free_port(0))]
    printed = folder / "printed.txt"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [*command, *options], cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        started = Standalone(process, printed, folder / "airflow", folder / "runs")
        wait_for(
            lambda: "until Ctrl-C" in printed.read_text() or process.poll() is not None,
            timeout_s=START_TIMEOUT_S,
        )
        assert process.poll() is None, printed.read_text()
        started.read_login()
        yield started
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def as_option(value: object) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
