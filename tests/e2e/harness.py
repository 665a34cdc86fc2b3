"""A running `scripts/run`, as the end-to-end tests see it."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from galaxy_tasks.standalone import progress
from galaxy_tasks.standalone.client import Client
from galaxy_tasks.standalone.loopback import find_free_port

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
START_TIMEOUT_S = 900
DAG_ID = "galaxy_morphology"
STEPS = (
    "choose_release",
    "choose_seeds",
    "prepare_release",
    "clean_labels",
    "preprocess_images",
    "train_baseline",
    "evaluate",
    "promote",
)
TRAINERS = ("train_alexnet", "train_resnet", "train_densenet")
ALL_TASKS = (*STEPS, *TRAINERS, "predict_champion")
"""The tasks of a run whose challenger becomes champion and nobody is asked."""
SETTINGS = {
    "architectures": ["alexnet", "resnet18", "densenet121"],
    "simulated_galaxies": 150,
    "image_size_px": 32,
    "epochs": 1,
}


class Airflow:
    """An Airflow that can be asked over its API."""

    client: Client
    run_id: str
    """The run that is meant where none is named."""

    def task(self, task_id: str, run_id: str | None = None) -> dict[str, Any]:
        return self.tasks(run_id)[task_id]

    def tasks(self, run_id: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the tasks by name; each network is trained once."""
        path = f"{self._run_path(run_id)}/taskInstances"
        return {task["task_id"]: task for task in self.client.get(path)["task_instances"]}

    def log(self, task_id: str, run_id: str | None = None) -> str:
        """Return what a task's log says, as the web page shows it."""
        task, lines = self.task(task_id, run_id), []
        for entry in progress.read_log(self.client, self._run_path(run_id), task):
            errors = [error["exc_value"] for error in entry.get("error_detail") or []]
            lines += [entry["event"], *errors]
        return "\n".join(lines)

    def result(self, task_id: str, run_id: str | None = None) -> Any:
        """Return what a task returned."""
        entry = f"{self._run_path(run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        index = self.task(task_id, run_id)["map_index"]
        return self.client.get(f"{entry}?map_index={index}")["value"]

    def wait_for_end(self, run_id: str, *, timeout_s: float = 300) -> str:
        path = progress.run_path(DAG_ID, run_id)
        return wait_for(
            lambda: (state := self.client.get(path)["state"]) in ("success", "failed") and state,
            timeout_s=timeout_s,
        )

    def _run_path(self, run_id: str | None) -> str:
        return progress.run_path(DAG_ID, run_id or self.run_id)


@dataclass
class Standalone(Airflow):
    """What `scripts/run` started, after its run has ended and while its page is up."""

    process: subprocess.Popen[bytes]
    printed: Path
    home: Path
    """Airflow's folder."""
    runs: Path
    """The artifacts' folder."""
    client: Client = field(init=False)
    run_id: str = field(init=False)
    password: str = field(init=False)

    def read_login(self) -> None:
        text = self.printed.read_text()
        address, self.run_id = re.search(rf"(http://\S+)/dags/{DAG_ID}/runs/(\S+)", text).groups()
        user, self.password = re.search(r"Login: +(\S+) / (\S+)", text).groups()
        self.client = Client(address, user=user, password=self.password)

    @property
    def settings(self) -> dict[str, Any]:
        return self.client.get(progress.run_path(DAG_ID, self.run_id))["conf"]


@contextlib.contextmanager
def start_standalone(folder: Path, **more: str) -> Iterator[Standalone]:
    """Run `scripts/run` with all it keeps in this folder; yield it when its run has ended.

    `more` are variables of its environment.
    """
    printed = folder / "printed.txt"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            make_command(**SETTINGS),
            cwd=folder,
            env=make_environment(folder, **more),
            stdout=output,
            stderr=output,
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


def run_once(folder: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run `scripts/run --once` with all it keeps in this folder."""
    return subprocess.run(
        [*make_command(**SETTINGS | settings), "--once"],
        cwd=folder,
        env=make_environment(folder),
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )


def make_command(**settings: object) -> list[str | Path]:
    options = [
        part
        for name, value in settings.items()
        for part in (f"--{name.replace('_', '-')}", as_option(value))
    ]
    start = [ROOT / "scripts" / "run", "--preset", "quick", "--port", str(find_free_port(0))]
    return [*start, *options]


def make_environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "GALAXY_AIRFLOW_HOME": str(folder / "airflow"),
        "GALAXY_HOME": str(folder / "runs"),
        "GALAXY_GPU_SLOTS": "3",
        "GALAXY_RELEASES_POLL_S": "1",
        **more,
    }


def as_option(value: object) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def wait_for(condition: Callable[[], Any], *, timeout_s: float) -> Any:
    """Return the first true answer; fail when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"nothing after {timeout_s} s"
        time.sleep(0.25)
    return answer
