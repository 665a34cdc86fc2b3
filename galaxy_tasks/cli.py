"""The command `galaxy-morphology`: the same steps without Airflow, and predictions."""

import json
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from galaxy_tasks import steps
from galaxy_tasks.config import FAMILIES, parse_config
from galaxy_tasks.durable import read_json, write_json
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.options import complete_settings, with_setting_options
from galaxy_tasks.presets import Preset, default_preset
from galaxy_tasks.process import end_with_input, run_step
from galaxy_tasks.releases_cli import releases_app
from galaxy_tasks.spark_conf import spark_submit_conf, spark_submit_environment

app = typer.Typer(
    help="Galaxy-morphology classifiers from Galaxy Zoo releases.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(releases_app, name="releases")


def main() -> None:
    """Run the command; a GalaxyMorphologyError becomes one line and an exit code, no traceback."""
    try:
        app()
    except GalaxyMorphologyError as error:
        print(f"ERROR: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except ChildProcessError as error:  # the child has printed its own traceback
        print(f"ERROR: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


@app.command()
@with_setting_options
def run(
    *,
    preset: Annotated[
        Preset | None, typer.Option(help="Settings to start from. Default: full with a GPU.")
    ] = None,
    settings: dict[str, Any],
) -> None:
    """Run the whole workflow here, without Airflow."""
    values = complete_settings(settings, preset or default_preset())
    release_files = run_step("prepare_release", settings=values)
    clean_labels(values, release_files)
    images = run_step("preprocess_images", settings=values, release_files=release_files)
    last_winner = _predict_last_winner(values, release_files, images)
    trainings = []
    for family in FAMILIES:
        if parse_config(values).variants(family):
            trainings.append(_train(family, values, images))
    run_step(
        "evaluate",
        settings=values,
        release_files=release_files,
        images=images,
        trainings=trainings,
        last_winner=last_winner,
        run_id=time.strftime("command_line_%Y-%m-%dT%H-%M-%S"),
    )


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    *,
    model: Annotated[Path, typer.Option(help="Folder of a trained model; the report names it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV file to write.")],
) -> None:
    """Classify images with a trained model, to a CSV of id, class and probabilities."""
    from galaxy_tasks.prediction import find_images, predict_to_csv

    if not output.absolute().parent.is_dir():
        raise InputError(f"The folder of {output} does not exist.")
    if output.is_dir():
        raise InputError(
            f"--output names the CSV file to write. Received a folder: {output}. "
            f"Name a file in it, such as {output / 'classes.csv'}."
        )
    count = predict_to_csv(find_images(paths), model_folder=model, output=output)
    print(f"Wrote {output}: {count.classified:,} classified, {count.rejected:,} rejected.")


@app.command(hidden=True)
def step(
    name: str,
    *,
    arguments: Annotated[Path, typer.Option()],
    result: Annotated[Path, typer.Option()],
    ends_with_input: Annotated[bool, typer.Option("--ends-with-input")] = False,
) -> None:
    """Run one step: arguments and result are JSON files. Airflow's tasks call this."""
    if ends_with_input:
        end_with_input()
    try:
        answer = {"result": steps.run(name, read_json(arguments))}
    except GalaxyMorphologyError as error:
        write_json(result, {"error": str(error)})
        raise
    write_json(result, answer)


def clean_labels(settings: dict[str, Any], release_files: dict[str, Any]) -> None:
    """Submit the label job to a local Spark, as the DAG's SparkSubmitOperator does."""
    conf = [part for item in spark_submit_conf().items() for part in ("--conf", "=".join(item))]
    scripts = sysconfig.get_path("scripts")
    command = [
        *(
            str(Path(scripts, "spark-submit")),
            "--master",
            "local[*]",
            *conf,
            str(Path(__file__).with_name("labels.py")),
        ),
        *("--settings", json.dumps(settings), "--release-files", json.dumps(release_files)),
    ]
    # spark-submit looks for Spark with the first Python of the PATH.
    path = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    environment = {**spark_submit_environment(), "PATH": path}
    exit_code = subprocess.run(command, check=False, env=environment).returncode
    if exit_code == InputError.exit_code:
        raise InputError("The label job refused its input; its message is above.")
    if exit_code:
        raise ChildProcessError(f"spark-submit ended with exit code {exit_code}.")


def _predict_last_winner(
    settings: dict[str, Any], release_files: dict[str, Any], images: dict[str, str]
) -> Any:
    """Return the last winner's predictions, or None if they failed: the winner matters more."""
    try:
        return run_step(
            "predict_last_winner", settings=settings, release_files=release_files, images=images
        )
    except (GalaxyMorphologyError, ChildProcessError) as error:
        print(f"ERROR: predict_last_winner: {error}", file=sys.stderr, flush=True)
        return None


def _train(family: str, settings: dict[str, Any], images: dict[str, str]) -> Any:
    """Return the family's result, or None if it failed: the others are still worth comparing."""
    try:
        return run_step(f"train_{family}", settings=settings, images=images)
    except (GalaxyMorphologyError, ChildProcessError) as error:
        print(f"ERROR: train_{family}: {error}", file=sys.stderr, flush=True)
        return None


if __name__ == "__main__":
    main()
