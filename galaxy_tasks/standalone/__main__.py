"""The command behind `scripts/run`."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from joblib import cpu_count

from galaxy_tasks.acquisition.disk import expand_home
from galaxy_tasks.cli.options import PresetOption, complete_settings, with_setting_options
from galaxy_tasks.config import Preset, default_preset, keras_backend
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.formatting import format_duration
from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.standalone.paths import USER, Paths
from galaxy_tasks.standalone.server import run_server
from galaxy_tasks.standalone.workflow import Interrupted, Workflow
from galaxy_tasks.surroundings import count_gpus, pin_surroundings

EXIT_INTERRUPTED = 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@with_setting_options()
def run(
    *,
    preset: PresetOption = None,
    port: Annotated[
        int,
        typer.Option(help="Port of the web page. If it is taken, another is printed."),
    ] = 8080,
    once: Annotated[
        bool, typer.Option("--once", help="Stop after the run; the exit code is 0 if it succeeds.")
    ] = False,
    settings: dict[str, Any],
) -> None:
    """Start Airflow on this machine, run the whole workflow and show the winner.

    The web page stays up until Ctrl-C, which ends every process.
    """
    combined = settings.get("combine") or ()
    for part in (settings, *(each for each in combined if isinstance(each, dict))):
        if part.get("source"):
            part["source"] = str(_find_folder(part["source"]))
    chosen = preset or default_preset()
    values = complete_settings(settings, chosen)
    paths, gpu_slots = Paths.of_this_project(), count_gpu_slots()
    _announce(chosen, values, is_asked=preset is not None)
    typer.echo(f"Starting Airflow; its log is {paths.log}")
    started = time.monotonic()
    with run_server(paths, port=port, preset=chosen) as client:
        typer.echo(f"Airflow is up after {format_duration(time.monotonic() - started)}.")
        typer.echo(f"Web page: {client.address}\nLogin:    {USER} / {client.password}")
        workflow = Workflow(client, gpu_slots=gpu_slots)
        is_success = workflow.run(values)
        if not once:
            typer.echo(f"Web page: {workflow.page}\nLogin:    {USER} / {client.password}")
            _wait_for_interrupt(workflow)
    sys.exit(0 if is_success else 1)


def count_gpu_slots() -> int:
    """Return how many networks train at once: GALAXY_GPU_SLOTS, else one a GPU or two cores."""
    if slots := os.environ.get("GALAXY_GPU_SLOTS"):
        if not (slots.isdecimal() and int(slots) > 0):
            raise InputError(
                f"GALAXY_GPU_SLOTS must be a whole number of at least 1. Received: {slots!r}"
            )
        return int(slots)
    return count_gpus() or max(1, cpu_count() // 2)


def main() -> None:
    """Run the command; what goes wrong becomes a message and an exit code, no traceback."""
    pin_surroundings()
    set_up_logging()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # under nohup
            signal.signal(number, _interrupt)
    try:
        keras_backend()  # a wrong one is refused before any work
        app()
    except Interrupted:
        typer.echo("Stopped; no process is left.")
        sys.exit(EXIT_INTERRUPTED)
    except GalaxyMorphologyError as error:
        typer.echo(f"ERROR: {error}", err=True)
        sys.exit(1)


def _announce(preset: Preset, values: dict[str, Any], *, is_asked: bool) -> None:
    is_drawn = values["release"] == "simulated"
    why = "" if is_asked else " (no GPU was found)" if preset == "quick" else " (on a GPU)"
    galaxies = f", {values['simulated_galaxies']:,} galaxies" if is_drawn else ""
    epochs = f"{values['epochs']} epoch{'s' if values['epochs'] > 1 else ''}"
    typer.echo(
        f"Preset '{preset}'{why}: {', '.join(values['architectures'])} at "
        f"{values['image_size_px']} px, at most {epochs}. "
        f"Release: {values['release']}{galaxies}."
    )


def _find_folder(source: str) -> Path:
    """Return the folder, as Airflow finds it; raise InputError if there is none."""
    folder = expand_home(source)
    if not folder.is_dir():
        raise InputError(f"--source must be a folder. There is none at: {folder}")
    return folder


def _wait_for_interrupt(workflow: Workflow) -> None:
    typer.echo("All trainings and models in MLflow's page: scripts/mlflow")
    typer.echo("The page stays up until Ctrl-C. Runs that are triggered there are shown here, too.")
    try:
        workflow.follow_others()
    except Interrupted:
        typer.echo("Stopping Airflow …")


def _interrupt(_number: int, _frame: object) -> NoReturn:
    """Let the `with` blocks end what was started; another Ctrl-C must not disturb them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise Interrupted


if __name__ == "__main__":
    main()
