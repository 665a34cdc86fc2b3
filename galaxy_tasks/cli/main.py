"""The command `galaxy-morphology`: the workflow without Airflow, predictions, releases and more."""

import json
import os
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from galaxy_tasks.cli.holdout import holdout_app
from galaxy_tasks.cli.options import complete_settings, with_setting_options
from galaxy_tasks.cli.prune import prune
from galaxy_tasks.cli.releases import releases_app
from galaxy_tasks.config import FAMILIES, Preset, default_preset, keras_backend, parse_config
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.labels.spark_settings import spark_submit_conf, spark_submit_environment
from galaxy_tasks.logs import set_up_logging, without_noise
from galaxy_tasks.pipeline.process import read_result, relog_output, run_step
from galaxy_tasks.pipeline.steps import CLEAN_LABELS
from galaxy_tasks.pipeline.train import train_networks
from galaxy_tasks.storage.latest_holdout import find_latest_holdout
from galaxy_tasks.surroundings import pin_surroundings

app = typer.Typer(
    help="Galaxy-morphology classifiers from Galaxy Zoo releases.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(releases_app, name="releases")
app.add_typer(holdout_app, name="holdout")
app.command("prune")(prune)


def main() -> None:
    """Run the command; what goes wrong becomes a message and an exit code, no traceback."""
    pin_surroundings()
    set_up_logging()
    try:
        keras_backend()  # a wrong one is refused before any work
        app()
    except GalaxyMorphologyError as error:
        typer.echo(f"ERROR: {error}", err=True)
        sys.exit(error.exit_code)
    except ChildProcessError as error:  # the child has printed its own traceback
        typer.echo(f"ERROR: {error}", err=True)
        sys.exit(1)


@app.command()
@with_setting_options
def run(
    *,
    preset: Annotated[
        Preset | None,
        typer.Option(help="Settings to start from. Default: GALAXY_PRESET, else by GPU."),
    ] = None,
    settings: dict[str, Any],
) -> None:
    """Run the whole workflow on this machine, without Airflow.

    The steps are those of the DAG, one after the other. Finished work is not repeated, and an
    interrupted training continues from its last epoch.
    """
    values = complete_settings(settings, preset or default_preset())
    holdout = find_latest_holdout()
    release_files = run_step("prepare_release", settings=values)
    inputs = {"settings": values, "release_files": release_files}
    labels = clean_labels(**inputs, holdout=holdout.as_reference() if holdout else None)
    images = run_step("preprocess_images", **inputs, labels=labels)
    inputs |= {"labels": labels, "images": images}
    champion = _attempt("predict_champion", run_step, "predict_champion", **inputs)
    config = parse_config(values)
    trainings = [
        _attempt(f"train_{family}", train_networks, family, values, images, seed=seed)
        for family in FAMILIES
        if config.variants(family)
        for seed in config.training_seeds
    ]
    baseline = _attempt(
        "train_baseline", run_step, "train_baseline", settings=values, images=images
    )
    run_step(
        "evaluate",
        settings=values,
        labels=labels,
        images=images,
        trainings=trainings,
        champion=champion,
        baseline=baseline,
    )


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(help="Images, folders of images, or zip files.")],
    *,
    model: Annotated[Path, typer.Option(help="Folder of a trained model, as the report lists it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV file to write.")],
) -> None:
    """Classify images with a trained model; write a CSV of ids, classes and probabilities."""
    from galaxy_tasks.prediction.images import predict_to_csv

    _require_output(output, paths)
    with without_noise():
        count = predict_to_csv(paths, model_folder=model, output=output)
    typer.echo(f"Wrote {output}: {count.classified:,} classified, {count.rejected:,} rejected.")


def _require_output(output: Path, inputs: list[Path]) -> None:
    """Raise InputError unless a file can be written there that is none of the inputs."""
    folder = output.absolute().parent
    if not folder.is_dir():
        raise InputError(f"--output is in a folder that does not exist. Received: {output}")
    if output.is_dir():
        raise InputError(
            f"--output must be a file. Received a folder: {output}. Name a file in it, such as "
            f"{output / 'classes.csv'}."
        )
    if any(output.resolve() == path.resolve() for path in inputs):
        raise InputError(f"--output would replace one of the images or zips: {output}")
    if not os.access(folder, os.W_OK):
        raise InputError(f"--output is in a folder that cannot be written to: {folder}")


def clean_labels(
    settings: dict[str, Any],
    release_files: dict[str, Any],
    holdout: dict[str, str] | None = None,
) -> dict[str, str]:
    """Submit the label job to a local Spark, as the DAG's task does; return the labels' reference.

    Raises:
        InputError: the job refused its input.
        ChildProcessError: it failed in another way.
    """
    conf = [part for item in spark_submit_conf().items() for part in ("--conf", "=".join(item))]
    scripts = sysconfig.get_path("scripts")
    # spark-submit looks for Spark with the first Python of the PATH.
    path = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    with tempfile.TemporaryDirectory(prefix="galaxy-step-") as folder:
        result = Path(folder, "result.json")
        command = [
            *(str(Path(scripts, "spark-submit")), "--master", "local[*]", *conf, str(CLEAN_LABELS)),
            *("--settings", json.dumps(settings), "--release-files", json.dumps(release_files)),
            *("--holdout", json.dumps(holdout), "--result", str(result)),
        ]
        exit_code = relog_output(command, {**spark_submit_environment(), "PATH": path})
        if result.is_file():
            return read_result(result)
    raise ChildProcessError(f"spark-submit ended with exit code {exit_code}.")


def _attempt(task: str, step: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Return a step's result, or None where it failed: the run goes on without it."""
    try:
        return step(*arguments, **named)
    except (GalaxyMorphologyError, ChildProcessError) as error:
        typer.echo(f"ERROR: {task}: {error}", err=True)
        return None


if __name__ == "__main__":
    main()
