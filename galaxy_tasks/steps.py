"""What each task does: read, call, write, log. One function for each task, named as the task.

Every argument and result is JSON, small enough for an XCom. A step whose artifact is already
published returns it at once. `clean_labels` is missing here: it is the Spark application in
`labels.py`, which publishes its artifact itself.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from galaxy_tasks import artifacts, lineage
from galaxy_tasks.artifacts import Artifact
from galaxy_tasks.config import Architecture, Family, RunConfig, parse_config
from galaxy_tasks.durable import read_json
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.lineage import ReleaseFiles
from galaxy_tasks.morphology import is_handed
from galaxy_tasks.process import run_step
from galaxy_tasks.releases import RELEASES

Json = dict[str, Any]
_TRAINING_TIMEOUT_S = 2 * 24 * 3600


def prepare_release(settings: Json) -> Json:
    """Return where the release's files are, as ReleaseFiles; draw it first if it is simulated."""
    from galaxy_tasks.release_files import locate_release
    from galaxy_tasks.release_tables import convert_tables

    config = parse_config(settings)
    source = _draw_simulation(config).path if config.release == "simulated" else None
    files = convert_tables(locate_release(config, source=source))
    print(f"Release {config.release}: {RELEASES[config.release].reference}", flush=True)
    print(f"Catalogue: {files.catalogue}\nImages: {files.images}", flush=True)
    return files.as_dict()


def preprocess_images(settings: Json, release_files: Json) -> Json:
    """Prepare every labelled cutout and return the reference of the images artifact."""
    from galaxy_tasks.images import ImageSettings
    from galaxy_tasks.preparation import prepare_cutouts

    config, files = parse_config(settings), ReleaseFiles(**release_files)
    labels = artifacts.require(
        "labels", lineage.labels_made_from(config, files), task="clean_labels"
    )
    with artifacts.open_draft("images", lineage.images_made_from(config, labels.key)) as draft:
        if draft.published:
            _check_rejected(draft.published, config.max_rejected_fraction)
            return _reuse(draft.published)
        summary = prepare_cutouts(
            draft.path,
            galaxies=_read_table(labels.path / "labels.parquet"),
            images_folder=Path(files.images),
            settings=ImageSettings.from_config(config),
            max_rejected_fraction=config.max_rejected_fraction,
            workers=config.image_workers,
        )
        classes = read_json(labels.path / "classes.json")
        return _publish(draft, {**asdict(summary), "classes": classes, "labels": labels.key})


def train_alexnet(settings: Json, images: Json) -> Json:
    """Train the chosen AlexNet."""
    return _train_family("alexnet", settings, images)


def train_resnet(settings: Json, images: Json) -> Json:
    """Train the chosen ResNets, one after the other."""
    return _train_family("resnet", settings, images)


def train_densenet(settings: Json, images: Json) -> Json:
    """Train the chosen DenseNets, one after the other."""
    return _train_family("densenet", settings, images)


def evaluate(
    settings: Json,
    release_files: Json,
    images: Json,
    trainings: Sequence[Json | None],
    run_id: str,
) -> Json:
    """Compare all trained models on the test galaxies, name the winner and write the report.

    `trainings` are the results of the train tasks, None for one that failed or was skipped.
    """
    from galaxy_tasks.verdict import judge_models

    print(f"Evaluating run {run_id}; catalogue {release_files['catalogue']}", flush=True)
    return judge_models(
        parse_config(settings), images=Artifact.from_reference(images), trainings=trainings
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


def _train_family(family: Family, settings: Json, images: Json) -> Json:
    """Return {"models": [references], "failed": {architecture: error}} of the chosen networks.

    Each trains in a process of its own, because seeds, precision and GPU memory belong to a
    process. One that fails does not keep the others from training; then, if another try may help
    or none succeeded, its error is raised, and the next try finds the others finished.
    """
    models, failed = [], {}
    errors: list[Exception] = []
    for architecture in parse_config(settings).variants(family):
        try:
            reference = run_step(
                "train_network", settings=settings, images=images, architecture=architecture
            )
        except (GalaxyMorphologyError, ChildProcessError) as error:
            errors.append(error)
            failed[architecture] = str(error)
            print(f"ERROR: {architecture}: {error}", flush=True)
        else:
            models.append(reference)
    worth_another_try = [error for error in errors if not isinstance(error, InputError)]
    if worth_another_try or (errors and not models):
        raise (worth_another_try or errors)[0]
    return {"models": models, "failed": failed}


def train_network(settings: Json, images: Json, architecture: Architecture) -> Json:
    """Train one network and return the reference of its model."""
    config, prepared = parse_config(settings), Artifact.from_reference(images)
    made_from = lineage.model_made_from(config, prepared.key, architecture)
    with artifacts.open_draft("models", made_from, timeout_s=_TRAINING_TIMEOUT_S) as draft:
        if draft.published:
            return _reuse(draft.published)
        from galaxy_tasks.checkpoints import CHECKPOINT_FILES
        from galaxy_tasks.devices import set_up_device

        device = set_up_device(config)
        from galaxy_tasks.trained_model import write_model
        from galaxy_tasks.training import train_classifier

        started = time.monotonic()
        classes = prepared.manifest["summary"]["classes"]
        config = _keep_handedness(config, classes)
        trained = train_classifier(
            prepared.path,
            architecture=architecture,
            config=config,
            classes=classes,
            device=device,
            folder=draft.path,
        )
        summary = write_model(
            draft.path,
            trained,
            config=config,
            architecture=architecture,
            classes=classes,
            device=device,
        )
        print(
            f"{architecture}: best epoch {trained.state.best_epoch} with validation macro-F1 "
            f"{trained.state.best_macro_f1:.4f}; this attempt took "
            f"{time.monotonic() - started:.0f} s.",
            flush=True,
        )
        return _publish(draft, summary, discard=CHECKPOINT_FILES)


def _keep_handedness(config: RunConfig, classes: Sequence[str]) -> RunConfig:
    """Return the settings without mirror images where these would turn one class into another."""
    if not is_handed(classes):
        return config
    print("Classes tell clockwise from anticlockwise: no mirror images are used.", flush=True)
    views = min(config.prediction_views, 4)
    return config.model_copy(update={"has_flips": False, "prediction_views": views})


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


def _publish(
    draft: artifacts.Draft, summary: Mapping[str, Any], *, discard: Sequence[str] = ()
) -> Json:
    artifact = draft.publish(summary, discard=discard)
    print(f"Published {artifact.path}", flush=True)
    return artifact.as_reference()


def _reuse(artifact: Artifact) -> Json:
    print(f"Already there, nothing to do: {artifact.path}", flush=True)
    return artifact.as_reference()


STEPS = {
    function.__name__: function
    for function in (
        prepare_release,
        preprocess_images,
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
