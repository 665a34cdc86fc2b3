"""The container stack as its tests see it: a copy of the project, brought up by `scripts/up`."""

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
from harness import DAG_ID, SETTINGS, TRAINERS, Airflow, wait_for

from galaxy_tasks.standalone.client import Client
from galaxy_tasks.standalone.loopback import find_free_port
from galaxy_tasks.storage.artifacts import Artifact, verify

ROOT = Path(__file__).parents[3]
BASE_IMAGES = (
    "postgres:16-bookworm",
    "redis:7.2-bookworm",
    "python:3.12-slim-bookworm",
    "nvidia/cuda:12.6.3-base-ubuntu24.04",
)
TAG = "test"
CERTIFICATES, PIP_CONFIGURATION = Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pip.conf")
RUN_SETTINGS = {**SETTINGS, "epochs": 2}
LONG_RUN = {
    "architectures": ["alexnet", "resnet18"],
    "epochs": 12,
    "early_stopping_patience_epochs": 12,
    "deterministic": True,
}
"""Long enough to be killed in the middle; deterministic, so that results can be compared."""


class Stack(Airflow):
    """One stack with its own project name, ports, images' tag and folder."""

    def __init__(self, folder: Path, *, name: str) -> None:
        """Copy what git would commit into the folder, and choose ports."""
        self.folder = folder
        copy_project(folder)
        files = "docker-compose.yml"
        if CERTIFICATES.is_file() and PIP_CONFIGURATION.is_file():
            files += ":tests/e2e/compose/build-secrets.yml"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not is_of_compose(key)},
            "COMPOSE_PROJECT_NAME": name,
            "COMPOSE_FILE": files,
            "GALAXY_TAG": TAG,
        }
        self.ports = {
            key: find_free_port(0) for key in ("WEB_PORT", "SPARK_WEB_PORT", "MLFLOW_PORT")
        }

    def write_settings(self, **settings: object) -> None:
        """Write a .env with these, as users do before `scripts/up` completes it."""
        lines = [f"{name}={value}\n" for name, value in (self.ports | settings).items()]
        (self.folder / ".env").write_text("".join(lines))

    @property
    def settings(self) -> dict[str, str]:
        lines = (self.folder / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def remove(self) -> None:
        """End and remove all that a stack of this name has left, data included."""
        command = ["docker", "compose", "--project-name", self.environment["COMPOSE_PROJECT_NAME"]]
        subprocess.run(
            [*command, "down", "--volumes", "--remove-orphans"],
            cwd="/",
            env={k: v for k, v in self.environment.items() if k != "COMPOSE_FILE"},
            capture_output=True,
            check=True,
        )

    def up(self, *arguments: str, timeout_s: float = 1800, **environment: str) -> str:
        """Run `scripts/up` and return what it printed."""
        done = subprocess.run(
            ["scripts/up", *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        address = f"http://127.0.0.1:{self.settings['WEB_PORT']}"
        self.client = Client(address, user="admin", password=self.settings["ADMIN_PASSWORD"])
        return done.stdout

    def compose(self, *arguments: str, is_checked: bool = True, **environment: str) -> str:
        """Run `docker compose` with these arguments and return what it printed."""
        done = subprocess.run(
            ["docker", "compose", "--ansi", "never", *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0 or not is_checked, done.stdout
        return done.stdout

    def run_in(self, service: str, *command: str) -> str:
        return self.compose("exec", "-T", service, *command)

    def services(self) -> dict[str, str]:
        """Return each service that is there with its state and health."""
        printed = self.compose("ps", "--all", "--format", "{{.Service}} {{.State}} {{.Health}}")
        return dict(line.rstrip().split(" ", 1) for line in printed.splitlines())

    def crash(self, service: str) -> None:
        """Kill all of a service's processes at once, as an empty memory or a lost power does.

        Docker then starts it again; `docker kill` would count as the user's wish to stop it.
        """
        container = self.compose("ps", "--quiet", service).strip()
        restarts = int(inspect(container, "{{.RestartCount}}"))
        process = wait_for(lambda: int(inspect(container, "{{.State.Pid}}")), timeout_s=60)
        # From a container, because the engine's processes may be those of another machine.
        bash = ["--user", "0:0", "--entrypoint", "bash", f"galaxy-morphology/airflow:{TAG}", "-c"]
        killing = ["docker", "run", "--rm", "--pid", "host", "--network", "none", *bash]
        subprocess.run([*killing, f"kill -KILL {process}"], check=True)
        wait_for(lambda: int(inspect(container, "{{.RestartCount}}")) > restarts, timeout_s=60)

    def trigger(self, **settings: Any) -> str:
        return self.client.trigger(DAG_ID, RUN_SETTINGS | settings)

    def wait_for_log(
        self, run_id: str, task_id: str, words: str, *, timeout_s: float = 300
    ) -> None:
        def has_words() -> bool:
            state = self.task(task_id, run_id)["state"]
            assert state not in ("success", "failed", "upstream_failed"), state
            return state == "running" and words in self.log(task_id, run_id)

        wait_for(has_words, timeout_s=timeout_s)

    def forget(self, *kinds: str) -> None:
        """Remove artifacts, so that the next run has to make them again.

        Without its models, the registry is of no use: it begins anew.
        """
        for kind in kinds:
            shutil.rmtree(self.runs / kind, ignore_errors=True)
        if "models" in kinds:
            (self.runs / "mlflow.db").unlink(missing_ok=True)
            self.compose("restart", "mlflow")

    def outcomes(self) -> dict[str, str]:
        """Return for each trained network the SHA-256 of its probabilities for the test split."""
        manifests = [
            json.loads(path.read_text()) for path in self.runs.glob("models/*/manifest.json")
        ]
        return {
            each["summary"]["architecture"]: each["files"]["test_probabilities.npy"]["sha256"]
            for each in manifests
        }

    def labels(self) -> pd.DataFrame:
        """Return the only labels table there is, in the order of the galaxies."""
        (path,) = self.runs.glob("labels/*/labels.parquet")
        return pd.read_parquet(path).sort_values("galaxy_id", ignore_index=True)

    def verify_artifacts(self) -> None:
        """Fail if an artifact was begun and not published, or differs from its manifest."""
        assert [str(path) for path in self.runs.glob("*/.draft-*")] == []
        manifests = list(self.runs.glob("*/*/manifest.json"))
        assert manifests
        for path in manifests:
            reference = {"kind": path.parts[-3], "key": path.parts[-2], "path": str(path.parent)}
            verify(Artifact.from_reference(reference))

    def read_spark_master(self) -> dict[str, Any]:
        address = f"http://127.0.0.1:{self.settings['SPARK_WEB_PORT']}/json/"
        with urllib.request.urlopen(address, timeout=10) as response:
            return json.load(response)

    def list_spark_applications(self) -> list[dict[str, Any]]:
        master = self.read_spark_master()
        return [*master["activeapps"], *master["completedapps"]]

    def read_executors(self, application: str) -> str:
        """Return what the executors of a Spark application have logged."""
        files = f"/opt/spark/{application}/*/stderr"
        command = ("exec", "-T", "spark-worker", "sh", "-c", f"cat {files}")
        return self.compose(*command, is_checked=False)


def copy_project(folder: Path) -> None:
    """Copy the files that git knows or would add, so that nothing ignored slips into an image."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)


def is_of_compose(name: str) -> bool:
    """Return whether a variable of the environment would override the .env file."""
    return name.startswith(("COMPOSE_", "GALAXY_", "SPARK_", "AIRFLOW"))


def inspect(name: str, form: str) -> str:
    command = ["docker", "inspect", "--format", form, name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def overlap(tasks: dict[str, dict[str, Any]]) -> bool:
    """Return whether the three trainings ran at one time."""
    trainings = [tasks[name] for name in TRAINERS]
    return max(t["start_date"] for t in trainings) < min(t["end_date"] for t in trainings)


def read_scores(stack: Stack) -> tuple[str, dict[str, Any]]:
    """Return the winner and what each network scored, without times."""
    (path,) = stack.runs.glob("evaluations/*/results.json")
    results = json.loads(path.read_text())
    scores = {
        each["architecture"]: [model["evaluation"] for model in each["models"]]
        for each in results["networks"]
    }
    return results["selection"]["winner"], scores
