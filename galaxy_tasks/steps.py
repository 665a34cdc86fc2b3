"""What each task does: read, call, write, log. One function for each task, named as the task.

Every argument and result is JSON, small enough for an XCom. A step whose artifact is already
published returns it at once. `clean_labels` is missing here: it is the Spark application in
`labels.py`, which publishes its artifact itself.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from galaxy_tasks import artifacts, lineage
from galaxy_tasks.artifacts import Artifact
from galaxy_tasks.config import RunConfig, parse_config
from galaxy_tasks.durable import read_json
from galaxy_tasks.errors import InputError
from galaxy_tasks.lineage import ReleaseFiles
from galaxy_tasks.network_training import train_network, train_networks
from galaxy_tasks.releases import RELEASES

Json = dict[str, Any]


def prepare_release(settings: Json) -> Json:
    """Return where the release's files are, as ReleaseFiles; draw or fetch it first if need be."""
    from galaxy_tasks.release_fetching import provide_source
    from galaxy_tasks.release_files import locate_release
    from galaxy_tasks.release_tables import convert_tables

    located = []
    for part in parse_config(settings).parts():
        is_drawn = part.release == "simulated"
        source = _draw_simulation(part).path if is_drawn else provide_source(part)
        found = locate_release(part, source=source, checksums=artifacts.checksums())
        files = convert_tables(found)
        print(f"Release {part.release}: {RELEASES[part.release].reference}", flush=True)
        print(f"Catalogue: {files.catalogue}\nImages: {files.images}", flush=True)
        located.append(files)
    return lineage.join_release_files(located).as_dict()


def preprocess_images(settings: Json, release_files: Json) -> Json:
    """Prepare every labelled cutout and return the reference of the images artifact."""
    from galaxy_tasks.earlier_tests import find_labels
    from galaxy_tasks.images import ImageSettings
    from galaxy_tasks.preparation import prepare_cutouts

    config, files = parse_config(settings), ReleaseFiles(**release_files)
    labels = find_labels(config, files) or artifacts.require(
        "labels", lineage.labels_made_from(config, files), task="clean_labels"
    )
    with artifacts.open_draft("images", lineage.images_made_from(config, labels.key)) as draft:
        if draft.published:
            _check_rejected(draft.published, config.max_rejected_fraction)
            return artifacts.tell_published(draft.published)
        summary = prepare_cutouts(
            draft.path,
            galaxies=_read_table(labels.path / "labels.parquet"),
            images_folder=Path(files.images),
            other_folders=[Path(part.images) for part in files.combined],
            settings=ImageSettings.from_config(config),
            max_rejected_fraction=config.max_rejected_fraction,
            workers=config.image_workers,
        )
        classes = read_json(labels.path / "classes.json")
        return artifacts.publish_and_tell(
            draft, {**asdict(summary), "classes": classes, "labels": labels.key}
        )


def predict_last_winner(settings: Json, release_files: Json, images: Json) -> Json | None:
    """Ask the last winner about this run's test galaxies; return its predictions' reference.

    Returns None where no earlier run has had a winner on galaxies of this kind.
    """
    from galaxy_tasks.former import find_former_winner

    config, prepared = parse_config(settings), Artifact.from_reference(images)
    former = find_former_winner(config, prepared.key)
    if former is None:
        print("No other run has had a winner: there is nothing to compare with.", flush=True)
        return None
    made_from = lineage.predictions_made_from(
        config,
        images_key=prepared.key,
        evaluation_key=former.evaluation.key,
        model_key=former.model.key,
    )
    with artifacts.open_draft("predictions", made_from) as draft:
        if draft.published:
            return artifacts.tell_published(draft.published)
        from galaxy_tasks.devices import set_up_device

        set_up_device(former.record.config)
        from galaxy_tasks.former_prediction import predict_unseen

        summary = predict_unseen(
            draft.path,
            config=config,
            former=former,
            labels=artifacts.get("labels", prepared.manifest["summary"]["labels"]),
            images=prepared,
            image_folders=[Path(part.images) for part in ReleaseFiles(**release_files).parts()],
        )
        shutil.rmtree(draft.path / "work", ignore_errors=True)
        return artifacts.publish_and_tell(draft, summary)


def train_alexnet(settings: Json, images: Json) -> Json:
    """Train the chosen AlexNet."""
    return train_networks("alexnet", settings, images)


def train_resnet(settings: Json, images: Json) -> Json:
    """Train the chosen ResNets, one after the other."""
    return train_networks("resnet", settings, images)


def train_densenet(settings: Json, images: Json) -> Json:
    """Train the chosen DenseNets, one after the other."""
    return train_networks("densenet", settings, images)


def evaluate(
    settings: Json,
    release_files: Json,
    images: Json,
    trainings: Sequence[Json | None],
    run_id: str,
    last_winner: Json | None = None,
) -> Json:
    """Compare all trained models on the test galaxies, name the winner and write the report.

    `trainings` are the results of the train tasks, None for one that failed or was skipped;
    `last_winner` is that of `predict_last_winner`.
    """
    from galaxy_tasks.verdict import judge_models

    print(f"Evaluating run {run_id}; catalogue {release_files['catalogue']}", flush=True)
    return judge_models(
        parse_config(settings),
        images=Artifact.from_reference(images),
        trainings=trainings,
        predictions=Artifact.from_reference(last_winner) if last_winner else None,
    )


def _draw_simulation(config: RunConfig) -> Artifact:
    from galaxy_tasks.simulation import draw_release
    from galaxy_tasks.simulation.galaxies import DIFFICULTY

    made_from = lineage.simulation_made_from(config, difficulty=asdict(DIFFICULTY))
    with artifacts.open_draft("releases", made_from) as draft:
        if draft.published:
            return draft.published
        draft.clear()
        print(
            f"Drawing {config.simulated_galaxies:,} SIMULATED galaxies (seed {config.seed}).",
            flush=True,
        )
        draw_release(
            draft.path,
            num_galaxies=config.simulated_galaxies,
            seed=config.seed,
            workers=config.image_workers,
        )
        return draft.publish({"galaxies": config.simulated_galaxies, "simulated": True})


def _check_rejected(images: Artifact, max_rejected_fraction: float) -> None:
    """Raise InputError if more was refused than this run allows; another run may allow more."""
    summary = images.manifest["summary"]
    if summary["rejected"] > max_rejected_fraction * summary["galaxies"]:
        raise InputError(
            f"{summary['rejected']} of {summary['galaxies']} images were refused when they were "
            f"prepared ({images.path / 'rejected.parquet'}); max_rejected_fraction allows "
            f"{max_rejected_fraction:.2%}."
        )


def _read_table(path: Path):
    import pandas as pd

    return pd.read_parquet(path)


STEPS = {
    function.__name__: function
    for function in (
        prepare_release,
        preprocess_images,
        predict_last_winner,
        train_alexnet,
        train_resnet,
        train_densenet,
        train_network,
        evaluate,
    )
}
"""The steps by the name of their task; a train task runs `train_network` for each network."""


def run(name: str, arguments: Json) -> Any:
    """Run a step by its name; raise InputError for one that does not exist."""
    if name not in STEPS:
        raise InputError(f"No step {name!r}. Steps: {', '.join(STEPS)}")
    return STEPS[name](**arguments)
