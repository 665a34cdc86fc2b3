"""The command `galaxy-morphology`: the workflow without Airflow, predictions, releases and more."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from galaxy_tasks.cli.holdout import holdout_app
from galaxy_tasks.cli.models import find_champion_of, leaderboard, models_app
from galaxy_tasks.cli.prune import prune
from galaxy_tasks.cli.releases import releases_app
from galaxy_tasks.cli.workflow import ablate, run
from galaxy_tasks.config import keras_backend
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.logs import set_up_logging, without_noise
from galaxy_tasks.surroundings import pin_surroundings

Engine = Literal["auto", "keras", "onnxruntime", "openvino"]
Precision = Literal["auto", "float32", "bfloat16"]
app = typer.Typer(
    help="Galaxy-morphology classifiers from Galaxy Zoo releases.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(releases_app, name="releases")
app.add_typer(holdout_app, name="holdout")
app.add_typer(models_app, name="models")
app.command("run")(run)
app.command("ablate")(ablate)
app.command("leaderboard")(leaderboard)
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
def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Images, folders, zips or tars of images, or tables that name them: CSV, Parquet, "
            "FITS, VOTable."
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Catalogue to write: .parquet, .fits, .vot (VOTable) or .csv."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="Name of a registered model, whose champion is used, or folder of a trained one. "
            "Not needed where one model has a champion only."
        ),
    ] = "",
    images: Annotated[
        Path | None, typer.Option(help="Folder, zip or tar with the images that a table names.")
    ] = None,
    id_column: Annotated[str, typer.Option(help="A table's column of ids.")] = "",
    path_column: Annotated[str, typer.Option(help="A table's column of paths of images.")] = "",
    image_name_pattern: Annotated[
        str, typer.Option(help="Paths of images, with {id} for a table's id: '{id}.jpg'.")
    ] = "",
    features: Annotated[
        Path | None, typer.Option(help="Parquet file for the network's last features.")
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="Program that runs the network; auto: the fastest that may.")
    ] = "auto",
    precision: Annotated[
        Precision, typer.Option(help="Its arithmetic; auto: the fastest that agrees with float32.")
    ] = "auto",
    shard_images: Annotated[
        int, typer.Option(min=1, help="Images that are finished, or begun anew, together.")
    ] = 20_000,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one for each core.")] = 0,
) -> None:
    """Classify images with a trained model; write a catalogue. Run again, it goes on."""
    from galaxy_tasks.pipeline.predict_catalogue import CatalogueRequest, predict_catalogue
    from galaxy_tasks.prediction.inputs import TableSettings

    for file in (output, features):
        if file:
            _require_output(file, paths)
    table = TableSettings(id_column, path_column, images, image_name_pattern)
    champion = None if model and Path(model).is_dir() else find_champion_of(model)
    request = CatalogueRequest(
        paths=paths,
        output=output,
        model=champion.model.path if champion else Path(model),
        title=champion.title if champion else "",
        evaluation=champion.facts.evaluation if champion else "",
        table=table,
        engine=engine,
        precision=precision,
        features=features,
        shard_images=shard_images,
        workers=workers,
    )
    with without_noise():
        count = predict_catalogue(request)
    typer.echo(
        f"Wrote {output}: {count['classified']:,} classified, "
        f"{count['rows'] - count['classified']:,} refused."
    )


def _require_output(output: Path, inputs: list[Path]) -> None:
    """Raise InputError unless a file can be written there that is none of the inputs."""
    folder = output.absolute().parent
    if not folder.is_dir():
        raise InputError(f"--output is in a folder that does not exist. Received: {output}")
    if output.is_dir():
        raise InputError(
            f"--output must be a file. Received a folder: {output}. Name a file in it, such as "
            f"{output / 'classes.parquet'}."
        )
    if any(output.resolve() == path.resolve() for path in inputs):
        raise InputError(f"--output would replace one of the images or zips: {output}")
    if not os.access(folder, os.W_OK):
        raise InputError(f"--output is in a folder that cannot be written to: {folder}")


if __name__ == "__main__":
    main()
