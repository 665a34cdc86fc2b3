"""Runs one step in a Python process of its own, as the Airflow tasks do.

TensorFlow must not be initialised before a fork and holds its memory for the life of a process, and
an Airflow task is a fork of its worker. A freshly executed interpreter has neither problem. It
stays in the task's process group, so that ending the task ends the step. Where one process alone is
ended, as the one whose time is up, those below it end by themselves: each reads a pipe that its
parent holds, and the system closes it when the parent is gone, however it went.
"""

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.logs import relog
from galaxy_tasks.storage.atomic_io import read_json

_logger = logging.getLogger(__name__)
_ERRORS = {error.exit_code: error for error in (InputError, ResourceError)}

# What TensorFlow's libraries say while they load, before any log level is heard: information that
# begins with I0000, and a remark about it. It would stand on top of every training's log.
_CHATTER = re.compile(r"I0000 \S+ +\d+ \S+\.cc:\d+\] |WARNING: All log messages before absl::")


def run_step(name: str, **arguments: Any) -> Any:
    """Run the step `name` in a new process and return its result.

    Arguments and result are JSON. Every line that the step prints is printed here as it comes.

    Raises:
        InputError, ResourceError: the step raised it; same message.
        ChildProcessError: the step failed in another way; the message says with which exit code
            or signal, and the step's own traceback stands in the log above.
    """
    with tempfile.TemporaryDirectory(prefix="galaxy-step-") as folder:
        arguments_path, result_path = Path(folder, "arguments.json"), Path(folder, "result.json")
        arguments_path.write_text(json.dumps(arguments, default=str))
        command = [
            *(sys.executable, "-m", "galaxy_tasks.pipeline", name),
            *("--arguments", str(arguments_path), "--result", str(result_path)),
        ]
        exit_code = _stream(command)
        answer = read_json(result_path) if result_path.is_file() else {}
    if exit_code in _ERRORS and "error" in answer:
        raise _ERRORS[exit_code](answer["error"])
    if exit_code != 0:
        how = f"by signal {-exit_code}" if exit_code < 0 else f"with exit code {exit_code}"
        hint = " (the system may have run out of memory)" if exit_code == -9 else ""
        raise ChildProcessError(f"Step {name} was ended {how}{hint}; its last lines are above.")
    return answer["result"]


def end_with_input() -> None:
    """Have this process end at once when its standard input, a pipe that the parent holds, does."""
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _stream(command: list[str]) -> int:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                if not _CHATTER.match(line):
                    relog(line.rstrip("\n"), _logger)
        except BaseException:
            child.kill()
            raise
    return child.returncode
