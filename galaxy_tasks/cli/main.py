"""The command `galaxy-morphology`: the same steps without Airflow, and predictions."""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from galaxy_tasks.cli.options import complete_settings, with_setting_options
from galaxy_tasks.cli.releases import releases_app
from galaxy_tasks.config import FAMILIES, Family, Preset, default_preset, parse_config
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.labels.spark_settings import spark_submit_conf, spark_submit_environment
from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.pipeline.process import read_result, run_step
from galaxy_tasks.pipeline.steps import CLEAN_LABELS
from galaxy_tasks.pipeline.train import train_networks
from galaxy_tasks.storage.holdouts import find_latest_holdout

app = typer.Typer(
    help="Galaxy-morphology classifiers from Galaxy Zoo releases.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(releases_app, name="releases")


def main() -> None:
    """Run the command; a GalaxyMorphologyError becomes one line and an exit code, no traceback."""
    set_up_logging()
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
    holdout = find_latest_holdout()
    release_files = run_step("prepare_release", settings=values)
    inputs = {"settings": values, "release_files": release_files}
    labels = clean_labels(**inputs, holdout=holdout.as_reference() if holdout else None)
    images = run_step("preprocess_images", **inputs, labels=labels)
    champion = _predict_champion(**inputs, labels=labels, images=images)
    trainings = []
    for family in FAMILIES:
        if parse_config(values).variants(family):
            trainings.append(_train(family, values, images))
    run_step(
        "evaluate",
        settings=values,
        labels=labels,
        images=images,
        trainings=trainings,
        champion=champion,
    )


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(help="Images, folders or zips of images.")],
    *,
    model: Annotated[Path, typer.Option(help="Folder of a trained model; the report names it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV file to write.")],
) -> None:
    """Classify images with a trained model, to a CSV of id, class and probabilities."""
    from galaxy_tasks.prediction.images import predict_to_csv

    if not output.absolute().parent.is_dir():
        raise InputError(f"The folder of {output} does not exist.")
    if output.is_dir():
        raise InputError(
            f"--output names the CSV file to write. Received a folder: {output}. "
            f"Name a file in it, such as {output / 'classes.csv'}."
        )
    count = predict_to_csv(paths, model_folder=model, output=output)
    print(f"Wrote {output}: {count.classified:,} classified, {count.rejected:,} rejected.")


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
        exit_code = subprocess.run(
            command, check=False, env={**spark_submit_environment(), "PATH": path}
        ).returncode
        if result.is_file():
            return read_result(result)
    raise ChildProcessError(f"spark-submit ended with exit code {exit_code}.")


def _predict_champion(**arguments: Any) -> Any:
    """Return the champion's predictions, or None if they failed: the winner matters more."""
    try:
        return run_step("predict_champion", **arguments)
    except (GalaxyMorphologyError, ChildProcessError) as error:
        print(f"ERROR: predict_champion: {error}", file=sys.stderr, flush=True)
        return None


def _train(family: Family, settings: dict[str, Any], images: dict[str, str]) -> Any:
    """Return the family's result, or None if it failed: the others are still worth comparing."""
    try:
        return train_networks(family, settings, images)
    except (GalaxyMorphologyError, ChildProcessError) as error:
        print(f"ERROR: train_{family}: {error}", file=sys.stderr, flush=True)
        return None


if __name__ == "__main__":
    main()
