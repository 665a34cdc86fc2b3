"""The commands `predict` and `similar`: from images to a catalogue, and what looks alike in it."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from galaxy_tasks.cli.models import find_champion_of
from galaxy_tasks.errors import InputError
from galaxy_tasks.logs import without_noise

Inputs = Annotated[
    list[Path],
    typer.Argument(
        help="Images, folders, zips or tars of images, or tables that name them: CSV, Parquet, "
        "FITS, VOTable."
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="Catalogue to write: .parquet, .fits, .vot (VOTable) or .csv."
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="Name of a registered model, whose champion is used, or folder of a trained one. Not "
        "needed where one model has a champion only."
    ),
]
Images = Annotated[
    Path | None, typer.Option(help="Folder, zip or tar with the images that a table names.")
]
IdColumn = Annotated[str, typer.Option(help="A table's column of ids.")]
PathColumn = Annotated[str, typer.Option(help="A table's column of paths of images.")]
Pattern = Annotated[
    str, typer.Option(help="Paths of images, with {id} for a table's id: '{id}.jpg'.")
]
Features = Annotated[
    Path | None, typer.Option(help="Parquet file for the network's last features.")
]
Report = Annotated[
    Path | None, typer.Option(help="HTML page with counts, shares and example galaxies.")
]
Engine = Annotated[
    Literal["auto", "keras", "onnxruntime", "openvino"],
    typer.Option(help="Program that runs the network; auto: the fastest that may."),
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option(help="Its arithmetic; auto: the fastest that agrees with float32."),
]
ShardImages = Annotated[
    int, typer.Option(min=1, help="Images that are finished, or begun anew, together.")
]
Workers = Annotated[int, typer.Option(min=0, help="Processes; 0: one for each core.")]
Spark = Annotated[
    str, typer.Option(help="Master of a Spark cluster that shares the folders: spark://HOST:7077.")
]


def predict(
    paths: Inputs,
    *,
    output: Output,
    model: Model = "",
    images: Images = None,
    id_column: IdColumn = "",
    path_column: PathColumn = "",
    image_name_pattern: Pattern = "",
    features: Features = None,
    report: Report = None,
    engine: Engine = "auto",
    precision: Precision = "auto",
    shard_images: ShardImages = 20_000,
    workers: Workers = 0,
    spark: Spark = "",
) -> None:
    """Classify images with a trained model; write a catalogue. Run again, it goes on."""
    results = [file for file in (output, features, report) if file]
    for number, file in enumerate(results):
        _require_output(file, [*paths, *filter(None, [images]), *results[:number]])
    champion = None if model and Path(model).is_dir() else find_champion_of(model)
    request = {
        "paths": paths,
        "output": output,
        "model": champion.model.path if champion else model,
        "title": champion.title if champion else "",
        "evaluation": champion.facts.evaluation if champion else "",
        "images": images,
        **{"id_column": id_column, "path_column": path_column},
        "image_name_pattern": image_name_pattern,
        **{"engine": engine, "precision": precision},
        **{"features": features, "report": report},
        **{"shard_images": shard_images, "workers": workers},
    }
    with without_noise():
        count = _predict(request, spark)
    refused = count["rows"] - count["classified"]
    typer.echo(f"Wrote {output}: {count['classified']:,} classified, {refused:,} refused.")


def _predict(request: dict[str, Any], spark: str) -> dict[str, Any]:
    if spark:
        from galaxy_tasks.pipeline.predict_on_spark import predict_on_spark

        return predict_on_spark(request, master=spark)
    from galaxy_tasks.pipeline.predict_catalogue import run_prediction

    return run_prediction(**request)


def similar(
    features: Annotated[Path, typer.Argument(help="File that 'predict --features' wrote.")],
    *,
    to: Annotated[str, typer.Option(help="Id of a galaxy in it.")],
    count: Annotated[int, typer.Option(min=1, help="How many to find.")] = 24,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML page with their images.")
    ] = None,
) -> None:
    """Find the galaxies that look most like one of them to the network."""
    from galaxy_tasks.pipeline.show_similar import write_similar
    from galaxy_tasks.prediction.similar import find_similar

    if output:
        _require_output(output, [features])
    found = find_similar(features, to, count=count)
    for one in found[1:]:
        typer.echo(f"{one.similarity:.4f}  {one.galaxy_id}  {one.path}")
    if output:
        write_similar(found, output)
        typer.echo(f"Wrote {output}.")


def _require_output(output: Path, inputs: list[Path]) -> None:
    """Raise InputError unless a file can be written there that is none of the inputs."""
    folder = output.absolute().parent
    if not folder.is_dir():
        raise InputError(f"A result is in a folder that does not exist. Received: {output}")
    if output.is_dir():
        raise InputError(
            f"A result must be a file. Received a folder: {output}. Name a file in it, such as "
            f"{output / 'classes.parquet'}."
        )
    if any(output.resolve() == path.resolve() for path in inputs):
        raise InputError(f"It would replace one of the inputs, or another result: {output}")
    if not os.access(folder, os.W_OK):
        raise InputError(f"A result is in a folder that cannot be written to: {folder}")
