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
from galaxy_tasks.errors import GalaxyMorphologyError, InputError
from galaxy_tasks.lineage import ReleaseFiles

Json = dict[str, Any]


def prepare_release(settings: Json) -> Json:
    """Return where the release's files are, as ReleaseFiles; draw it first if it is simulated."""
    from galaxy_tasks.release_files import locate_release

    config = parse_config(settings)
    if config.release == "simulated":
        drawn = _draw_simulation(config)
        config = config.model_copy(update={"source": str(drawn.path)})
    files = locate_release(config)
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
            return _reuse(draft.published)
        summary = prepare_cutouts(
            draft.path,
            galaxies=_read_table(labels.path / "labels.parquet"),
            images_folder=Path(files.images),
            settings=ImageSettings.from_config(config),
            max_rejected_fraction=config.max_rejected_fraction,
            workers=config.image_workers,
        )
        classes = artifacts.read_json(labels.path / "classes.json")
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

    print(f"Evaluating run {run_id} of release {release_files['catalogue']}", flush=True)
    return judge_models(
        parse_config(settings), images=Artifact.from_reference(images), trainings=trainings
    )


def _draw_simulation(config: RunConfig) -> Artifact:
    from galaxy_tasks.simulation import draw_release

    with artifacts.open_draft("releases", lineage.simulation_made_from(config)) as draft:
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
    """Return {"models": [references], "failed": {architecture: error}}; raise if none succeeded."""
    config, prepared = parse_config(settings), Artifact.from_reference(images)
    models, failed = [], {}
    error: GalaxyMorphologyError | None = None
    for architecture in config.variants(family):
        try:
            models.append(_train_one(architecture, config, prepared))
        except GalaxyMorphologyError as problem:
            error = problem
            failed[architecture] = str(problem)
            print(f"ERROR: {architecture}: {problem}", flush=True)
    if error and not models:
        raise error
    return {"models": models, "failed": failed}


def _train_one(architecture: Architecture, config: RunConfig, images: Artifact) -> Json:
    made_from = lineage.model_made_from(config, images.key, architecture)
    with artifacts.open_draft("models", made_from) as draft:
        if draft.published:
            return _reuse(draft.published)
        from galaxy_tasks.devices import set_up_device
        from galaxy_tasks.trained_model import write_model
        from galaxy_tasks.training import train_classifier

        started = time.monotonic()
        device = set_up_device(config)
        classes = images.manifest["summary"]["classes"]
        trained = train_classifier(
            images.path,
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
        return _publish(draft, summary)


def _read_table(path: Path):
    import pandas as pd

    return pd.read_parquet(path)


def _publish(draft: artifacts.Draft, summary: Mapping[str, Any]) -> Json:
    artifact = draft.publish(summary)
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
        evaluate,
    )
}
"""The steps by the name of their task."""


def run(name: str, arguments: Json) -> Any:
    """Run a step by its name; raise InputError for one that does not exist."""
    if name not in STEPS:
        raise InputError(f"No step {name!r}. Steps: {', '.join(STEPS)}")
    return STEPS[name](**arguments)
