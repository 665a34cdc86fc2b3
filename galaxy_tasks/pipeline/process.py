"""Runs one step in a Python process of its own, as the Airflow tasks do.

TensorFlow must not be initialised before a fork and holds its memory for the life of a process, and
an Airflow task is a fork of its worker. A freshly executed interpreter has neither problem. It
stays in the task's process group, so that ending the task ends the step. If a process alone is
killed, on a timeout say, its children exit by themselves: each reads from a pipe that its parent
holds, and the system closes the pipe when the parent dies, for whatever reason.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from galaxy_tasks.errors import GalaxyMorphologyError, InputError, ResourceError
from galaxy_tasks.logs import relog
from galaxy_tasks.storage.atomic_io import read_json, write_json

_logger = logging.getLogger(__name__)
_ERRORS = {error.exit_code: error for error in (InputError, ResourceError)}


def run_step(name: str, **arguments: Any) -> Any:
    """Run the step `name` in a new process and return its result.

    Arguments and result are JSON. Every line that the step prints is logged here as it comes.

    Raises:
        InputError, ResourceError: the step raised it; same message.
        ChildProcessError: the step failed in another way; the message names the exit code or
            signal, and the step's own traceback is in the log above.
    """
    with tempfile.TemporaryDirectory(prefix="galaxy-step-") as folder:
        arguments_path, result_path = Path(folder, "arguments.json"), Path(folder, "result.json")
        arguments_path.write_text(json.dumps(arguments, default=str))
        command = [
            *(sys.executable, "-m", "galaxy_tasks.pipeline", name),
            *("--arguments", str(arguments_path), "--result", str(result_path)),
        ]
        exit_code = relog_output(command)
        if result_path.is_file():
            return read_result(result_path)
    how = f"by signal {-exit_code}" if exit_code < 0 else f"with exit code {exit_code}"
    hint = " (the system may have run out of memory)" if exit_code == -9 else ""
    raise ChildProcessError(f"Step {name} was ended {how}{hint}; its last lines are above.")


def relog_output(command: list[str], environment: Mapping[str, str] = os.environ) -> int:
    """Run a command, log each line of its output at the level in front, return its exit code."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    ) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                relog(line.rstrip("\n"), _logger)
        except BaseException:
            child.kill()
            raise
    return child.returncode


def write_result(path: Path, step: Callable[[], Any]) -> None:
    """Call a step and write its result as JSON for `read_result`.

    Where it raises an error of this package, write that instead and exit with the error's code.
    """
    try:
        result = step()
    except GalaxyMorphologyError as error:
        write_json(path, {"error": str(error), "exit_code": error.exit_code})
        sys.exit(error.exit_code)
    write_json(path, {"result": result})


def read_result(path: Path) -> Any:
    """Return the result that another process wrote with `write_result`, or raise its error."""
    answer = read_json(path)
    if "error" in answer:
        raise _ERRORS.get(answer["exit_code"], GalaxyMorphologyError)(answer["error"])
    return answer["result"]


def end_with_input() -> None:
    """Have this process end at once when its standard input, a pipe that the parent holds, does."""
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)
